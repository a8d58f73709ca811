// The processor instructions that C++ has no words for: ports, control and model-specific registers, CPUID, flags.
// Each function is one instruction; what it does to the machine is up to the caller. No state, no locks. Floor:
// arch/x86_64.
#pragma once

#include <cstdint>

namespace hv::arch {

inline void out8(std::uint16_t port, std::uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
inline void out32(std::uint16_t port, std::uint32_t value) { asm volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
[[nodiscard]] inline std::uint8_t in8(std::uint16_t port)
{
    std::uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
[[nodiscard]] inline std::uint32_t in32(std::uint16_t port)
{
    std::uint32_t value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

[[nodiscard]] inline std::uint64_t read_msr(std::uint32_t msr)
{
    std::uint32_t low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return std::uint64_t{high} << 32 | low;
}
inline void write_msr(std::uint32_t msr, std::uint64_t value)
{
    asm volatile("wrmsr" ::"c"(msr), "a"(static_cast<std::uint32_t>(value)),
                 "d"(static_cast<std::uint32_t>(value >> 32))
                 : "memory");
}

inline constexpr std::uint32_t msr_apic_base = 0x1B;
inline constexpr std::uint32_t msr_efer = 0xC0000080;
inline constexpr std::uint32_t msr_star = 0xC0000081;
inline constexpr std::uint32_t msr_lstar = 0xC0000082;
inline constexpr std::uint32_t msr_syscall_mask = 0xC0000084;
inline constexpr std::uint32_t msr_fs_base = 0xC0000100;
inline constexpr std::uint32_t msr_gs_base = 0xC0000101;
inline constexpr std::uint32_t msr_other_gs_base = 0xC0000102; // exchanged by swapgs
inline constexpr std::uint64_t efer_system_calls = 1u << 0;
inline constexpr std::uint64_t efer_no_execute = 1u << 11;

[[nodiscard]] inline std::uint64_t read_cr0()
{
    std::uint64_t value;
    asm volatile("movq %%cr0, %0" : "=r"(value));
    return value;
}
[[nodiscard]] inline std::uint64_t read_cr2()
{
    std::uint64_t value;
    asm volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
[[nodiscard]] inline std::uint64_t read_cr3()
{
    std::uint64_t value;
    asm volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}
[[nodiscard]] inline std::uint64_t read_cr4()
{
    std::uint64_t value;
    asm volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}
inline void write_cr0(std::uint64_t value) { asm volatile("movq %0, %%cr0" ::"r"(value) : "memory"); }
inline void write_cr3(std::uint64_t value) { asm volatile("movq %0, %%cr3" ::"r"(value) : "memory"); }
inline void write_cr4(std::uint64_t value) { asm volatile("movq %0, %%cr4" ::"r"(value) : "memory"); }
inline void invalidate_page(std::uint64_t address) { asm volatile("invlpg (%0)" ::"r"(address) : "memory"); }

struct CpuidLeaf {
    std::uint32_t eax, ebx, ecx, edx;
};
[[nodiscard]] inline CpuidLeaf cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0)
{
    CpuidLeaf r;
    asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

// Not serialising; the lfence keeps earlier loads from being counted after it.
[[nodiscard]] inline std::uint64_t read_tsc()
{
    std::uint32_t low, high;
    asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return std::uint64_t{high} << 32 | low;
}

// The same in one instruction: it waits for earlier loads itself.
[[nodiscard]] inline std::uint64_t read_tscp()
{
    std::uint64_t low, high; // the instruction clears their upper halves
    std::uint32_t unused;
    asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(unused)::"memory");
    return high << 32 | low;
}

// a * b >> 32, modulo 2^64. In assembly because compilers leave the result where compare-and-exchange wants something
// else, and trace records are counted by the instruction.
[[nodiscard]] inline std::uint64_t multiply_shift_32(std::uint64_t a, std::uint64_t b)
{
    std::uint64_t result;
    asm("mulq %[b]; shldq $32, %%rax, %%rdx" : "=&d"(result), "+a"(a) : [b] "rm"(b) : "cc");
    return result;
}

inline void irqs_disable() { asm volatile("cli" ::: "memory"); }
inline void irqs_enable() { asm volatile("sti" ::: "memory"); }
// The two adjacent: an interrupt that arrives after the sti wakes the hlt instead of being lost before it.
inline void enable_and_halt() { asm volatile("sti; hlt" ::: "memory"); }
[[noreturn]] inline void halt_forever()
{
    for (;;)
        asm volatile("cli; hlt" ::: "memory");
}

} // namespace hv::arch
