// Measuring the rates of the time-stamp counter and of the APIC timer against a clock whose rate is known: the HPET or
// the ACPI power-management timer.
//
// A sample is (tsc, reference, tsc); of several the tightest counts, so that being preempted by a hypervisor in the
// middle does no harm. Some 20 ms, or 0.2 ms where QEMU counts instructions. Boot pCPU only, no locks. Floor:
// arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstdint>

namespace hv::arch {

enum class ReferenceKind : std::uint8_t { none, hpet, pm_timer };

struct Reference {
    ReferenceKind kind{ReferenceKind::none};
    std::uint64_t registers{0}; // hpet: where they are mapped
    std::uint16_t port{0};      // pm_timer
};

// An HPET at this physical address, started if it was not; or none if what is there is no HPET.
[[nodiscard]] Reference hpet_reference(PhysAddr registers) noexcept;
[[nodiscard]] Reference pm_timer_reference(std::uint16_t port) noexcept;

struct Rates {
    std::uint64_t tsc_khz{0};
    std::uint64_t apic_timer_khz{0};
};

// `reference` must not be none; the APIC must be enabled.
[[nodiscard]] Rates measure_rates(Reference const& reference) noexcept;
// The APIC timer's rate against the running clock (clock.hpp), for a machine whose TSC rate was given.
[[nodiscard]] std::uint64_t measure_apic_timer_khz() noexcept;

} // namespace hv::arch
