// Tasks of the kernel: a stack each, and the switch between them.
//
// A Context that does not run holds its stack pointer; everything else lies on the stack. Only general registers exist
// here: the kernel has no vector state. Switches happen with interrupts off; a task that is switched to continues with
// interrupts off after its own call of switch_to(), a new one starts so at its entry. Floor: arch/x86_64.
#pragma once

#include <cstdint>

namespace hv::arch {

struct Context {
    std::uint64_t stack_pointer{0}; // first member: context_switch.S
};

// Lets `context` start at entry(argument) on the stack that ends at `stack_top` (16-byte aligned) when it is first
// switched to. entry must not return: that is a panic.
void prepare(Context& context, std::uint64_t stack_top, void (*entry)(void*), void* argument) noexcept;

// Saves the running task in `from` and continues `to`. Returns when somebody switches back, perhaps on another pCPU.
// `from` may be switched to from elsewhere only after this call has left its stack: the caller's locks must see to
// that.
void switch_to(Context& from, Context& to) noexcept;

} // namespace hv::arch
