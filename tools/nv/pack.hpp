// From a checked scenario to the image that the kernel gets as its module (boot/scenario/layout.hpp). Host only. Floor:
// tools.
#pragma once

#include "tools/nv/scenario.hpp"

#include <cstddef>
#include <vector>

namespace hv::nv {

// The image passes scenario::validate(). The same scenario gives the same bytes.
[[nodiscard]] std::vector<std::byte> pack(Scenario const& scenario);

} // namespace hv::nv
