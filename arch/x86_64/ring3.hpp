// Going to ring 3 and coming back: how the kernel runs code that it does not trust.
//
// run_in_ring3() is a call: it goes to ring 3 and returns when what runs there has ended, by an exception or because a
// hypercall says so. Interrupts that arrive meanwhile, and hypercalls, run on the caller's own kernel stack and go back
// behind its back; like all interrupts, they may switch tasks. The guest's general registers are in the frame, nowhere
// else; what the kernel never touches, vector registers and segments, is in the processor, and whoever switches tasks
// exchanges it (ring3_state.hpp).
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

enum class Ring3Next : std::uint8_t {
    goes_on,        // behind the hypercall
    goes_elsewhere, // with all registers as the frame has them
    ends,
};

// Who answers: interrupts off, on the kernel stack of the task that called run_in_ring3().
struct Ring3Handlers {
    void* self{nullptr};
    // May change the frame's rax, and no other register unless it says goes_elsewhere.
    Ring3Next (*hypercall)(void* self, TrapFrame& frame) noexcept {nullptr};
    // An exception, `address` is CR2. true: the frame says where to go on. Without this function, or where it says
    // false, the guest has ended.
    bool (*fault)(void* self, TrapFrame& frame, std::uint64_t address) noexcept {nullptr};
};
// What every frame that goes to ring 3 must keep to, whoever made it: segments of ring 3, an address there, and no flag
// that is the kernel's.
void ring3_make_safe(TrapFrame& frame) noexcept;

enum class Ring3End : std::uint8_t { exception, hypercall };

struct Ring3Outcome {
    Ring3End end{};
    TrapFrame registers{};    // as they were at the end
    std::uint64_t address{0}; // CR2, at a page fault
};

// Runs at `entry`, which is below ring3_limit, with `stack` as its stack pointer and `argument` in rdi, all other
// registers zero, in the address space that is loaded. Interrupts off.
[[nodiscard]] Ring3Outcome run_in_ring3(VirtAddr entry, VirtAddr stack, std::uint64_t argument,
                                        Ring3Handlers const& handlers) noexcept;

// One line without an end of line: how it ended, and where.
void describe(Sink& sink, Ring3Outcome const& outcome) noexcept;

[[nodiscard]] inline bool is_from_ring3(TrapFrame const& frame) { return (frame.cs & 3) == 3; }
// For the exception handler: returns when ring 3 is to go on as the frame says, else from run_in_ring3().
void handle_ring3_exception(TrapFrame& frame) noexcept;
// Turns SYSCALL on, for the calling pCPU. GS is the kernel's.
void ring3_enable() noexcept;

} // namespace hv::arch
