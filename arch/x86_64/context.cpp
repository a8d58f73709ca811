#include "arch/x86_64/context.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/panic.hpp"

#include <arch/irq.hpp>

extern "C" {
void context_switch(std::uint64_t* save, std::uint64_t load);
void context_start();
[[noreturn]] void context_ended();
}

namespace hv::arch {

void prepare(Context& context, std::uint64_t stack_top, void (*entry)(void*), void* argument) noexcept
{
    HV_ASSERT(stack_top % 16 == 0);
    // As if context_start had called switch_to(): the registers that context_switch pops, then where it returns to.
    auto* const top = reinterpret_cast<std::uint64_t*>(stack_top);
    auto* const frame = top - 9;                          // so that the stack is aligned as the ABI wants it at entry
    frame[0] = 0;                                         // r15
    frame[1] = 0;                                         // r14
    frame[2] = reinterpret_cast<std::uint64_t>(argument); // r13
    frame[3] = reinterpret_cast<std::uint64_t>(entry);    // r12
    frame[4] = 0;                                         // rbx
    frame[5] = 0;                                         // rbp: ends the chain of frames
    frame[6] = reinterpret_cast<std::uint64_t>(&context_start);
    frame[7] = 0;
    frame[8] = 0;
    context.stack_pointer = reinterpret_cast<std::uint64_t>(frame);
}

void switch_to(Context& from, Context& to) noexcept
{
    HV_ASSERT_SLOW(irqs_are_off());
    context_switch(&from.stack_pointer, to.stack_pointer);
}

} // namespace hv::arch

void context_ended() { hv::arch::panic("a task's entry function returned"); }
