// Small random machines with random VMs, for tests that any policy has to pass. The same seed gives the same scenario
// on every machine and compiler: nothing of <random>'s distributions is used. Floor: tests.
#pragma once

#include "tools/nv/scenario.hpp"

#include <cstdint>
#include <string>

namespace hv::test {

// 1 to 4 nodes, 1 to 8 pCPUs, up to five domains with any workload, masks, weight, cap and start; half of them with
// VMs and pCPUs that come and go. It lasts 0.3 s.
[[nodiscard]] nv::Scenario random_scenario(std::uint64_t seed);

// As a scenario file (schema credit-scenario/2), so that `nv sim` can run it again.
[[nodiscard]] std::string to_json(nv::Scenario const& scenario);

} // namespace hv::test
