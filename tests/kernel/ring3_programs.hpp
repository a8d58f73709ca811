// Programs for ring 3, in assembly: each gets its argument in rdi and ends by a fault, or by hypercall 2 with its
// verdict in rdi. Floor: tests (kernel).
#pragma once

#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/percpu.hpp"
#include "boot/ring3_guest.hpp"

#include <cstddef>
#include <optional>
#include <span>

// The bytes of a program, between two labels of this file.
#define HV_PROGRAM(name, text) \
    asm(".pushsection .rodata.guests, \"a\"\n" #name "_begin:\n" text "\n" #name "_end:\n.popsection\n"); \
    extern "C" std::byte const name##_begin[], name##_end[]
#define HV_CODE(name) \
    hv::test::Program { name##_begin, name##_end }

namespace hv::test {

struct Program {
    std::byte const* begin;
    std::byte const* end;

    [[nodiscard]] std::span<std::byte const> code() const { return {begin, end}; }
};

// On this pCPU, in an address space of its own. No outcome: no memory.
inline std::optional<arch::Ring3Outcome> run(Program const& program, std::uint64_t argument = 0)
{
    arch::IrqSave const irqs;
    boot::Ring3Guest guest{arch::this_percpu().node};
    if (!guest.build(program.code()))
        return std::nullopt;
    return guest.run(argument);
}

} // namespace hv::test
