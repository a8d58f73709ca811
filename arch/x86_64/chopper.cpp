#include "arch/x86_64/chopper.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/hpet.hpp"
#include "arch/x86_64/mmio.hpp"

#include <limits>

namespace hv::arch {
namespace {

constexpr std::uint64_t comparator_config_at = 0x100, comparator_at = 0x108;
constexpr std::uint64_t periodic = 1u << 3, can_be_periodic = 1u << 4, set_accumulator = 1u << 6;

constinit std::uint64_t started_at{0}; // its registers; 0: not started

} // namespace

char const* text_of(ChopperError error)
{
    switch (error) {
    case ChopperError::no_periodic_comparator:
        return "the HPET has no periodic comparator";
    case ChopperError::too_long:
        return "the period does not fit the HPET's comparator";
    }
    return "?";
}

Status<ChopperError> start_chopper(PhysAddr registers, Duration period) noexcept
{
    HV_ASSERT(period.ns() > 0);
    std::uint64_t const at{map_device(registers, hpet_bytes)};
    std::uint64_t const tick_fs{mmio_read32(at + hpet_period_at)};
    if (tick_fs == 0 || (mmio_read64(at + comparator_config_at) & can_be_periodic) == 0)
        return fail(ChopperError::no_periodic_comparator);
    // At most 2^30 ns: no product overflows.
    std::uint64_t const ticks{(static_cast<std::uint64_t>(period.ns()) * femtoseconds_per_ns + tick_fs - 1) / tick_fs};
    if (ticks > std::numeric_limits<std::uint32_t>::max())
        return fail(ChopperError::too_long);
    mmio_write64(at + hpet_config_at, 0);
    mmio_write64(at + hpet_counter_at, 0);
    mmio_write64(at + comparator_config_at, periodic | set_accumulator); // not: interrupts
    mmio_write64(at + comparator_at, ticks);                             // the first time
    mmio_write64(at + comparator_at, ticks);                             // the period
    mmio_write64(at + hpet_config_at, hpet_enable);
    started_at = at;
    return done;
}

ChopperPause::ChopperPause() noexcept
{
    if (started_at != 0)
        mmio_write64(started_at + hpet_config_at, 0);
}

ChopperPause::~ChopperPause()
{
    if (started_at != 0)
        mmio_write64(started_at + hpet_config_at, hpet_enable);
}

} // namespace hv::arch
