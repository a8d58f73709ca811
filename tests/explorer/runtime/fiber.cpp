#include "tests/explorer/runtime/fiber.hpp"

#include <cstdint>
#include <cstdlib>

namespace hv::explorer {

namespace {

constexpr std::size_t stack_bytes{256 * 1024};

} // namespace

// What a function may expect to be kept by whoever it calls: six registers and the stack.
extern "C" void hv_explorer_switch(void** save, void* load);
asm(R"(
    .text
    .globl hv_explorer_switch
    .type hv_explorer_switch, @function
hv_explorer_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size hv_explorer_switch, . - hv_explorer_switch
)");

void prepare(Fiber& fiber, void (*entry)())
{
    if (fiber.memory == nullptr)
        fiber.memory = std::aligned_alloc(64, stack_bytes);
    auto* const top = reinterpret_cast<std::uintptr_t*>(static_cast<char*>(fiber.memory) + stack_bytes);
    top[-1] = 0; // whom `entry` would return to
    top[-2] = reinterpret_cast<std::uintptr_t>(entry);
    for (int i = 3; i <= 8; ++i)
        top[-i] = 0;
    fiber.stack_pointer = top - 8;
}

void switch_fiber(Fiber& from, Fiber const& to) { hv_explorer_switch(&from.stack_pointer, to.stack_pointer); }

} // namespace hv::explorer
