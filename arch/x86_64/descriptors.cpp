#include "arch/x86_64/descriptors.hpp"

#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/trap_frame.hpp"

extern "C" char vector_stubs[]; // NOLINT(readability-identifier-naming): vectors.S

namespace hv::arch {
namespace {

struct Gate {
    std::uint64_t low{0}, high{0};
};

struct [[gnu::packed]] TablePointer {
    std::uint16_t limit;
    std::uint64_t base;
};

constexpr unsigned vector_count = 256;
constexpr unsigned stub_bytes = 16;

alignas(4096) constinit std::array<Gate, vector_count> interrupt_table{};

Gate interrupt_gate(std::uint64_t handler, unsigned stack)
{
    constexpr std::uint64_t present_interrupt_gate = 0x8E00;
    return {.low = (handler & 0xFFFF) | std::uint64_t{kernel_code_selector} << 16 | std::uint64_t{stack} << 32 |
                   present_interrupt_gate << 32 | (handler >> 16 & 0xFFFF) << 48,
            .high = handler >> 32};
}

} // namespace

void descriptors_load(Descriptors& descriptors, OwnStacks const& stacks) noexcept
{
    for (unsigned i = 0; i < own_stack_count; ++i)
        descriptors.task_state.interrupt_stacks[i] = stacks[i];
    std::uint64_t const base = address_of(&descriptors.task_state);
    constexpr std::uint64_t limit = sizeof(TaskState) - 1;
    descriptors.segments = {
        0,
        0x00af9b000000ffff, // kernel code, 64-bit
        0x00cf93000000ffff, // kernel data
        0x00cff3000000ffff, // user data
        0x00affb000000ffff, // user code, 64-bit
        limit | (base & 0xFFFFFF) << 16 | std::uint64_t{0x89} << 40 | (base >> 24 & 0xFF) << 56,
        base >> 32,
    };
    TablePointer const pointer{sizeof(descriptors.segments) - 1, address_of(&descriptors.segments)};
    asm volatile("lgdt %0\n\t"
                 "pushq %1\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "lretq\n"
                 "1:\n\t"
                 "movl %2, %%eax\n\t"
                 "movl %%eax, %%ds\n\t"
                 "movl %%eax, %%es\n\t"
                 "movl %%eax, %%ss\n\t"
                 "ltr %w3"
                 :
                 : "m"(pointer), "i"(kernel_code_selector), "i"(kernel_data_selector), "r"(task_state_selector)
                 : "rax", "memory");
}

void descriptors_build_idt() noexcept
{
    for (unsigned v = 0; v < vector_count; ++v)
        interrupt_table[v] = interrupt_gate(address_of(vector_stubs) + std::uint64_t{v} * stub_bytes, 0);
    auto const on_own_stack = [](Vector vector, unsigned stack) {
        auto const v = static_cast<unsigned>(vector);
        interrupt_table[v] = interrupt_gate(address_of(vector_stubs) + std::uint64_t{v} * stub_bytes, stack);
    };
    on_own_stack(Vector::double_fault, double_fault_stack);
    on_own_stack(Vector::nmi, nmi_stack);
    on_own_stack(Vector::machine_check, machine_check_stack);
}

void descriptors_load_idt() noexcept
{
    TablePointer const pointer{sizeof(interrupt_table) - 1, address_of(interrupt_table.data())};
    asm volatile("lidt %0" ::"m"(pointer));
}

} // namespace hv::arch
