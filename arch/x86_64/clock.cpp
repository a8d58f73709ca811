#include "arch/x86_64/clock.hpp"

#include "arch/generic/assert.hpp"

namespace hv::arch {

constinit ClockState clock_state;

void clock_start() noexcept { clock_state.start_ticks = read_tsc(); }

void clock_set_rate(std::uint64_t khz) noexcept
{
    HV_ASSERT(khz > 0 && khz <= 100'000'000);
    clock_state.khz = khz;
    clock_state.ns_per_tick_32 = (std::uint64_t{1'000'000} << 32) / khz;
}

std::uint64_t clock_khz() noexcept { return clock_state.khz; }

} // namespace hv::arch
