// The local interrupt controller (xAPIC) of each pCPU: interrupts between pCPUs, end of interrupt, the one-shot timer.
//
// The registers lie at the same address for every pCPU and answer for the one that asks. Functions are for the calling
// pCPU, with interrupts off where two register writes belong together. Timer: counts down at apic_timer_khz(), 32 bits
// wide, so one shot lasts at most some 4 s at 1 GHz; who needs more arms again. Floor: arch/x86_64.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"
#include "arch/x86_64/trap_frame.hpp"

#include <cstdint>

namespace hv::arch {

// Maps the registers. Once, by the boot pCPU, when device registers can be mapped.
void apic_map(PhysAddr registers) noexcept;
// Enables the calling pCPU's controller. Also lets NMIs through, which not every firmware does.
void apic_enable() noexcept;
[[nodiscard]] std::uint32_t apic_own_id() noexcept;
void apic_end_of_interrupt() noexcept;
// Sends an interrupt to another pCPU; an interrupt that is already pending there is merged.
void apic_send(std::uint32_t apic_id, Vector vector) noexcept;
// An NMI to another pCPU.
void apic_send_nmi(std::uint32_t apic_id) noexcept;
// INIT, then start-up at physical page `page` (0..255).
void apic_send_init(std::uint32_t apic_id) noexcept;
void apic_send_startup(std::uint32_t apic_id, std::uint8_t page) noexcept;
// For panic(): an NMI to every other pCPU. Does nothing before apic_map().
void apic_stop_others() noexcept;

void apic_timer_set_rate(std::uint64_t khz) noexcept;
[[nodiscard]] std::uint64_t apic_timer_khz() noexcept;
// Fires once after `delay`, or earlier if the counter cannot hold it; at once if it is not positive.
void apic_timer_start(Duration delay) noexcept;
void apic_timer_stop() noexcept;
// For calibration: lets the counter run from its maximum without firing, and reads it.
void apic_timer_start_counting() noexcept;
[[nodiscard]] std::uint32_t apic_timer_count() noexcept;

} // namespace hv::arch
