// What vectors.S saves when an interrupt or exception arrives, and the numbers of the vectors. Floor: arch/x86_64.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hv::arch {

enum class Vector : std::uint8_t {
    divide_error = 0,
    nmi = 2,
    breakpoint = 3,
    invalid_opcode = 6,
    double_fault = 8,
    general_protection = 13,
    page_fault = 14,
    machine_check = 18,
    // The priority class of the local APIC is the upper half: the spurious vector must end in 0xF on old parts.
    serial = 0xD0,
    timer = 0xE0,
    reschedule = 0xE1,
    call = 0xE2,
    shoot_down = 0xE3,
    apic_error = 0xEE,
    spurious = 0xEF,
};
inline constexpr unsigned exception_count = 32;

// The order is that of the pushes in vectors.S, last pushed first.
struct TrapFrame {
    std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    std::uint64_t vector, error_code;
    std::uint64_t rip, cs, rflags, rsp, ss;
};
static_assert(offsetof(TrapFrame, vector) == 15 * 8 && sizeof(TrapFrame) == 22 * 8);

} // namespace hv::arch
