// From a scenario that breaks something to the smallest one that still does: domains, vCPUs, affinities, weights, caps
// and time are taken away one by one, as long as it still fails, until nothing more can go. Floor: tests.
#pragma once

#include "tools/nv/scenario.hpp"

#include <functional>

namespace hv::test {

// `fails` must be true of `scenario`; it is only asked about scenarios that the parser takes.
[[nodiscard]] nv::Scenario shrink(nv::Scenario scenario, std::function<bool(nv::Scenario const&)> const& fails);

} // namespace hv::test
