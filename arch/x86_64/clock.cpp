#include "arch/x86_64/clock.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/instructions.hpp"

namespace hv::arch {
namespace {

struct Clock {
    std::uint64_t start_ticks{0};
    std::uint64_t ns_per_tick_32{0}; // 32 fractional bits
    std::uint64_t khz{0};
};
constinit Clock clock_state;

} // namespace

void clock_start() noexcept { clock_state.start_ticks = read_tsc(); }

void clock_set_rate(std::uint64_t khz) noexcept
{
    HV_ASSERT(khz > 0 && khz <= 100'000'000);
    clock_state.khz = khz;
    clock_state.ns_per_tick_32 = (std::uint64_t{1'000'000} << 32) / khz;
}

std::uint64_t clock_khz() noexcept { return clock_state.khz; }

Instant clock_now() noexcept
{
    // 64 x 64 -> 96 bits: at 5 GHz the counter reaches 2^64 after a century, the product never leaves 128 bits.
    auto const ticks = static_cast<unsigned __int128>(read_tsc() - clock_state.start_ticks);
    return Instant::at_ns(static_cast<std::int64_t>(ticks * clock_state.ns_per_tick_32 >> 32));
}

} // namespace hv::arch
