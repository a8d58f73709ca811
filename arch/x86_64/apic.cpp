#include "arch/x86_64/apic.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/mmio.hpp"

#include <arch/cpu.hpp>

#include <limits>

namespace hv::arch {
namespace {

enum class Register : std::uint32_t {
    id = 0x20,
    task_priority = 0x80,
    end_of_interrupt = 0xB0,
    spurious = 0xF0,
    command_low = 0x300,
    command_high = 0x310,
    timer_entry = 0x320,
    lint0_entry = 0x350,
    lint1_entry = 0x360,
    error_entry = 0x370,
    timer_initial = 0x380,
    timer_current = 0x390,
    timer_divide = 0x3E0,
};

constexpr std::uint32_t entry_masked = 1u << 16;
constexpr std::uint32_t entry_nmi = 4u << 8;
constexpr std::uint32_t enabled = 1u << 8;
constexpr std::uint32_t divide_by_one = 0xB;
constexpr std::uint32_t delivery_nmi = 4u << 8;
constexpr std::uint32_t delivery_init = 5u << 8;
constexpr std::uint32_t delivery_startup = 6u << 8;
constexpr std::uint32_t level_assert = 1u << 14;
constexpr std::uint32_t all_but_self = 3u << 18;
constexpr std::uint32_t send_pending = 1u << 12;

constinit std::uint64_t registers_at{0};
constinit std::uint64_t timer_khz{0};

std::uint32_t read(Register r) { return mmio_read32(registers_at + static_cast<std::uint32_t>(r)); }
void write(Register r, std::uint32_t value) { mmio_write32(registers_at + static_cast<std::uint32_t>(r), value); }

void send(std::uint32_t apic_id, std::uint32_t command)
{
    IrqSave const irqs;
    // Hardware may still be busy with the last one; emulators never are.
    for (unsigned tries = 0; tries < 1'000'000 && (read(Register::command_low) & send_pending) != 0; ++tries)
        relax();
    write(Register::command_high, apic_id << 24);
    write(Register::command_low, command);
}

} // namespace

void apic_map(PhysAddr registers) noexcept { registers_at = map_device(registers, 4096); }

void apic_enable() noexcept
{
    constexpr std::uint64_t globally_enabled = 1u << 11, x2apic_mode = 1u << 10;
    std::uint64_t const base{read_msr(msr_apic_base) & ~(globally_enabled | x2apic_mode)};
    // Some firmware leaves it in x2APIC mode, out of which the only way leads through "off".
    if ((read_msr(msr_apic_base) & x2apic_mode) != 0)
        write_msr(msr_apic_base, base);
    write_msr(msr_apic_base, base | globally_enabled);
    write(Register::task_priority, 0);
    write(Register::lint0_entry, entry_masked);
    write(Register::lint1_entry, entry_nmi);
    write(Register::error_entry, static_cast<std::uint32_t>(Vector::apic_error));
    write(Register::timer_divide, divide_by_one);
    write(Register::timer_entry, static_cast<std::uint32_t>(Vector::timer));
    write(Register::spurious, enabled | static_cast<std::uint32_t>(Vector::spurious));
}

std::uint32_t apic_own_id() noexcept { return read(Register::id) >> 24; }
void apic_end_of_interrupt() noexcept { write(Register::end_of_interrupt, 0); }

void apic_send(std::uint32_t apic_id, Vector vector) noexcept
{
    send(apic_id, level_assert | static_cast<std::uint32_t>(vector));
}

void apic_send_nmi(std::uint32_t apic_id) noexcept { send(apic_id, level_assert | delivery_nmi); }

void apic_send_init(std::uint32_t apic_id) noexcept { send(apic_id, level_assert | delivery_init); }

void apic_send_startup(std::uint32_t apic_id, std::uint8_t page) noexcept
{
    send(apic_id, level_assert | delivery_startup | page);
}

void apic_stop_others() noexcept
{
    if (registers_at != 0)
        send(0, level_assert | delivery_nmi | all_but_self);
}

void apic_timer_set_rate(std::uint64_t khz) noexcept
{
    HV_ASSERT(khz > 0 && khz <= 100'000'000);
    timer_khz = khz;
}

std::uint64_t apic_timer_khz() noexcept { return timer_khz; }

void apic_timer_start(Duration delay) noexcept
{
    constexpr std::uint64_t max_count = std::numeric_limits<std::uint32_t>::max();
    constexpr std::int64_t longest_ns = 4'000'000'000; // so that ns * khz stays far below 2^64
    std::int64_t const ns = delay.ns() < 1 ? 1 : delay.ns() > longest_ns ? longest_ns : delay.ns();
    std::uint64_t const count =
        (static_cast<std::uint64_t>(ns) * timer_khz + 999'999) / 1'000'000; // rounded up: never early
    write(Register::timer_initial, static_cast<std::uint32_t>(count > max_count ? max_count : count));
}

void apic_timer_stop() noexcept { write(Register::timer_initial, 0); }

void apic_timer_start_counting() noexcept
{
    write(Register::timer_entry, entry_masked | static_cast<std::uint32_t>(Vector::timer));
    write(Register::timer_initial, std::numeric_limits<std::uint32_t>::max());
}

std::uint32_t apic_timer_count() noexcept { return read(Register::timer_current); }

} // namespace hv::arch
