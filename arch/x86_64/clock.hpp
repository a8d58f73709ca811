// The machine's clock: the time-stamp counter, in nanoseconds since the kernel's first instruction in C++.
//
// Monotonic on each pCPU, and across pCPUs as far as the machine's counters agree (they do under QEMU and on every
// machine with an invariant TSC). Reads 0 until the rate is known. No locks: the rate is set once, before other pCPUs
// run. Floor: arch/x86_64.
#pragma once

#include "arch/generic/time.hpp"

#include <cstdint>

namespace hv::arch {

// Starts the count.
void clock_start() noexcept;
// Makes the clock run. khz: 1 to 100'000'000 TSC ticks a millisecond; at 1'000'000 a tick is a nanosecond, exactly.
void clock_set_rate(std::uint64_t khz) noexcept;
[[nodiscard]] std::uint64_t clock_khz() noexcept;
[[nodiscard]] Instant clock_now() noexcept;

} // namespace hv::arch
