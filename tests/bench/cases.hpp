// The cases, one function a file; their names are those of upstream.txt. Floor: tests.
#pragma once

#include "tests/bench/bench.hpp"

#include <array>

namespace hv::bench {

inline constexpr std::array machine_sizes{8u, 16u, 64u, 256u};

void schedule_cases();
void wake_cases();
void pick_and_tick_cases();
void accounting_cases();

// Those of numacredit.txt.
void numacredit_cases();

} // namespace hv::bench
