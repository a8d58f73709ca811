// Maximum matching between waiting vCPUs and idle pCPUs: how many more vCPUs could run now. Host only. Floor: tools.
#pragma once

#include "arch/generic/mask.hpp"

#include <cstddef>
#include <span>

namespace hv::nv {

// `allowed[i]`: where waiting vCPU i may run. Its value is at most idle.count() and at most allowed.size().
[[nodiscard]] std::size_t max_matching(CpuMask const& idle, std::span<CpuMask const* const> allowed);

} // namespace hv::nv
