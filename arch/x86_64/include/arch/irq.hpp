// x86_64 flavour of <arch/irq.hpp>.
#pragma once

#include <cstdint>

namespace hv::arch {

[[nodiscard]] inline bool irqs_are_off()
{
    std::uint64_t flags;
    asm volatile("pushfq; popq %0" : "=r"(flags)::"memory");
    return (flags & 0x200) == 0;
}

} // namespace hv::arch
