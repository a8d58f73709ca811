// Going to ring 3 and coming back: how the kernel runs code that it does not trust.
//
// run_in_ring3() is a call: it goes to ring 3 and returns when what runs there has ended, by an exception or because a
// hypercall says so. Interrupts that arrive meanwhile, and hypercalls, run on the caller's own kernel stack and go back
// behind its back; like all interrupts, they may switch tasks. The guest's registers are in the frame, nowhere else; it
// has no vector registers (CR0.EM).
//
// A hypercall is SYSCALL: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; result in rax; rcx and r11 are lost,
// everything else is kept. Locking: none. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/types.hpp"
#include "arch/x86_64/trap_frame.hpp"

#include <cstdint>

namespace hv::arch {

inline constexpr std::uint64_t ring3_limit = std::uint64_t{1} << 47;

// Who answers hypercalls: interrupts off, on the kernel stack of the task that called run_in_ring3().
struct HypercallHandler {
    void* self{nullptr};
    // May change the frame's rax, and no other register. False: the guest has ended.
    bool (*handle)(void* self, TrapFrame& frame) noexcept {nullptr};
};

enum class Ring3End : std::uint8_t { exception, hypercall };

struct Ring3Outcome {
    Ring3End end{};
    TrapFrame registers{};    // as they were at the end
    std::uint64_t address{0}; // CR2, at a page fault
};

// Runs at `entry`, which is below ring3_limit, with `stack` as its stack pointer and `argument` in rdi, all other
// registers zero, in the address space that is loaded. Interrupts off.
[[nodiscard]] Ring3Outcome run_in_ring3(VirtAddr entry, VirtAddr stack, std::uint64_t argument,
                                        HypercallHandler const& handler) noexcept;

// One line without an end of line: how it ended, and where.
void describe(Sink& sink, Ring3Outcome const& outcome) noexcept;

[[nodiscard]] inline bool is_from_ring3(TrapFrame const& frame) { return (frame.cs & 3) == 3; }
// For the exception handler: ends what runs in ring 3.
[[noreturn]] void end_ring3(TrapFrame const& frame) noexcept;
// Turns SYSCALL on, for the calling pCPU. GS is the kernel's.
void ring3_enable() noexcept;

} // namespace hv::arch
