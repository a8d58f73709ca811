// I/O interrupt controllers: which interrupt of a device goes to which pCPU, under which vector. Each is mapped when
// its first interrupt is routed, while the boot pCPU is alone. No locks. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"
#include "arch/x86_64/trap_frame.hpp"

namespace hv::arch {

struct InterruptPin {
    PhysAddr controller{};
    std::uint32_t pin{0};
    bool is_level{false}, is_active_low{false};
};

void io_apic_route(InterruptPin const& pin, Vector vector, std::uint32_t apic_id) noexcept;

} // namespace hv::arch
