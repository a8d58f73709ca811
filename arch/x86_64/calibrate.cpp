#include "arch/x86_64/calibrate.hpp"

#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/hpet.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/mmio.hpp"

#include <arch/cpu.hpp>

#include <limits>

namespace hv::arch {
namespace {

constexpr std::uint64_t longest_hpet_period = 100'000'000; // by specification
constexpr std::uint64_t pm_timer_hz = 3'579'545;
constexpr std::uint32_t pm_timer_mask = 0xFF'FFFF; // it may have 32 bits; 24 last 4.7 s

// A point in time on three clocks.
struct Sample {
    std::uint64_t tsc{0};
    std::uint64_t reference{0};
    std::uint32_t apic_count{0};
};

std::uint64_t read_reference(Reference const& r)
{
    return r.kind == ReferenceKind::hpet ? mmio_read32(r.registers + hpet_counter_at) : in32(r.port) & pm_timer_mask;
}

// Ticks from one reading to a later one; both counters are used with the width that they are sure to have.
std::uint64_t ticks_between(Reference const& r, std::uint64_t from, std::uint64_t to)
{
    return r.kind == ReferenceKind::hpet ? static_cast<std::uint32_t>(to - from) : (to - from) & pm_timer_mask;
}

std::uint64_t ticks_to_ns(Reference const& r, std::uint64_t ticks)
{
    if (r.kind == ReferenceKind::hpet)
        return ticks * mmio_read32(r.registers + hpet_period_at) / femtoseconds_per_ns;
    return ticks * 1'000'000'000 / pm_timer_hz;
}

Sample take_sample(Reference const& r)
{
    constexpr unsigned attempts = 8;
    Sample best;
    std::uint64_t best_width{std::numeric_limits<std::uint64_t>::max()};
    for (unsigned i = 0; i < attempts; ++i) {
        std::uint64_t const before{read_tsc()};
        std::uint64_t const reference{read_reference(r)};
        std::uint32_t const apic_count{apic_timer_count()};
        std::uint64_t const after{read_tsc()};
        if (after - before >= best_width)
            continue;
        best_width = after - before;
        best = {before + best_width / 2, reference, apic_count};
    }
    return best;
}

Rates rates_over(Reference const& r, std::uint64_t wanted_ns)
{
    Sample const start{take_sample(r)};
    while (ticks_to_ns(r, ticks_between(r, start.reference, read_reference(r))) < wanted_ns)
        relax();
    Sample const end{take_sample(r)};
    std::uint64_t const ns{ticks_to_ns(r, ticks_between(r, start.reference, end.reference))};
    return {.tsc_khz = ((end.tsc - start.tsc) * 1'000'000 + ns / 2) / ns,
            .apic_timer_khz = (std::uint64_t{start.apic_count - end.apic_count} * 1'000'000 + ns / 2) / ns};
}

// Within 1 per mille of `wanted`.
bool is_close(std::uint64_t khz, std::uint64_t wanted)
{
    return khz > wanted - wanted / 1000 && khz < wanted + wanted / 1000;
}

} // namespace

Reference hpet_reference(PhysAddr registers) noexcept
{
    std::uint64_t const at{map_device(registers, hpet_bytes)};
    std::uint32_t const period{mmio_read32(at + hpet_period_at)};
    if (period == 0 || period > longest_hpet_period)
        return {};
    mmio_write32(at + hpet_config_at, mmio_read32(at + hpet_config_at) | hpet_enable);
    return {.kind = ReferenceKind::hpet, .registers = at};
}

Reference pm_timer_reference(std::uint16_t port) noexcept { return {.kind = ReferenceKind::pm_timer, .port = port}; }

Rates measure_rates(Reference const& reference) noexcept
{
    constexpr std::uint64_t gigahertz = 1'000'000;
    apic_timer_start_counting();
    Rates rates;
    // With the instruction counter on, QEMU's TSC has exactly 1 GHz, and polling for long is expensive.
    if (is_qemu_tcg())
        rates = rates_over(reference, 200'000);
    if (is_close(rates.tsc_khz, gigahertz) && is_close(rates.apic_timer_khz, gigahertz))
        rates = {gigahertz, gigahertz};
    else
        rates = rates_over(reference, 20'000'000);
    if (is_qemu_tcg())
        rates.apic_timer_khz = gigahertz; // By definition; the measurement only has errors.
    apic_enable();                        // The timer's entry is unmasked again.
    apic_timer_stop();
    return rates;
}

std::uint64_t measure_apic_timer_khz() noexcept
{
    constexpr std::uint64_t gigahertz = 1'000'000;
    if (is_qemu_tcg())
        return gigahertz;
    apic_timer_start_counting();
    Instant const start{clock_now()};
    std::uint32_t const start_count{apic_timer_count()};
    while (clock_now() - start < Duration::from_ms(20))
        relax();
    std::uint64_t const count{start_count - apic_timer_count()};
    auto const ns = static_cast<std::uint64_t>((clock_now() - start).ns());
    apic_enable();
    apic_timer_stop();
    return count * 1'000'000 / ns;
}

} // namespace hv::arch
