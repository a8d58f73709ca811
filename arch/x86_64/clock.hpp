// The machine's clock: the time-stamp counter, in nanoseconds since the kernel's first instruction in C++.
//
// Monotonic on each pCPU, and across pCPUs as far as the machine's counters agree (they do under QEMU and on every
// machine with an invariant TSC). Reads 0 until the rate is known. No locks: the rate is set once, before other pCPUs
// run. Floor: arch/x86_64.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/x86_64/instructions.hpp"

#include <cstdint>

namespace hv::arch {

// Starts the count.
void clock_start() noexcept;
// Makes the clock run. khz: 1 to 100'000'000 TSC ticks a millisecond; at 1'000'000 a tick is a nanosecond, exactly.
void clock_set_rate(std::uint64_t khz) noexcept;
[[nodiscard]] std::uint64_t clock_khz() noexcept;

// The clock's own; here because it is read inline.
struct ClockState {
    std::uint64_t start_ticks{0};
    std::uint64_t ns_per_tick_32{0}; // 32 fractional bits
    std::uint64_t khz{0};
};
extern constinit ClockState clock_state;

// What the clock says when the counter reads so many ticks.
[[nodiscard]] inline Instant clock_at(std::uint64_t counter) noexcept
{
    // 64 x 64 -> 96 bits: at 5 GHz the counter reaches 2^64 after a century, the product never leaves 128 bits.
    return Instant::at_ns(
        static_cast<std::int64_t>(multiply_shift_32(counter - clock_state.start_ticks, clock_state.ns_per_tick_32)));
}
[[nodiscard]] inline Instant clock_now() noexcept { return clock_at(read_tsc()); }

} // namespace hv::arch
