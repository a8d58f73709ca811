#include "arch/x86_64/stacks.hpp"

#include "arch/generic/ticket_lock.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"

#include <array>
#include <atomic>

namespace hv::arch {
namespace {

// A slot is twice the size of its stack: the lower half is the guard.
constexpr std::uint64_t slot_bytes = 2 * stack_bytes;
constexpr std::uint64_t max_slots = 65536;
constexpr unsigned stack_order = 2;
static_assert(page_size << stack_order == stack_bytes);

// A stack that nobody uses holds the link to the next such at its top.
struct FreeStack {
    std::uint64_t next_bottom{0}; // 0: none
};

constinit TicketLock lock{LockKey{stack_lock_rank, 0}};
constinit std::array<std::uint64_t, 64> free_bottoms HV_GUARDED_BY(lock){}; // by node; 0: none
// Written under the lock; relaxed reads of the predicates see at least the slots of their own stack.
constinit std::atomic<std::uint64_t> slots_used{0};

FreeStack* link_of(std::uint64_t bottom)
{
    return reinterpret_cast<FreeStack*>(bottom + stack_bytes - sizeof(FreeStack));
}

bool is_in_used_slot(std::uint64_t address)
{
    return address >= stack_area_base &&
           address - stack_area_base < slots_used.load(std::memory_order_relaxed) * slot_bytes;
}

} // namespace

char const* text_of(StackError error)
{
    switch (error) {
    case StackError::no_memory:
        return "no memory left for a stack";
    case StackError::no_address_space:
        return "too many stacks";
    }
    return "?";
}

Result<Stack, StackError> allocate_stack(NodeId node) noexcept
{
    IrqSave const irqs;
    Guard const guard{lock, irqs_off};
    if (std::uint64_t const bottom{free_bottoms[node.value()]}; bottom != 0) {
        free_bottoms[node.value()] = link_of(bottom)->next_bottom;
        return Stack{bottom, node};
    }
    std::uint64_t const slot{slots_used.load(std::memory_order_relaxed)};
    if (slot == max_slots)
        return fail(StackError::no_address_space);
    std::optional<PhysAddr> const pages{allocate_pages(node, stack_order)};
    if (!pages)
        return fail(StackError::no_memory);
    std::uint64_t const bottom{stack_area_base + slot * slot_bytes + stack_bytes};
    if (!kernel_space().map(VirtAddr{bottom}, *pages, stack_bytes, read_write)) {
        release_pages(*pages, stack_order);
        return fail(StackError::no_memory);
    }
    slots_used.store(slot + 1, std::memory_order_relaxed);
    return Stack{bottom, node};
}

void release_stack(Stack stack) noexcept
{
    IrqSave const irqs;
    Guard const guard{lock, irqs_off};
    link_of(stack.bottom)->next_bottom = free_bottoms[stack.node.value()];
    free_bottoms[stack.node.value()] = stack.bottom;
}

bool is_on_a_stack(std::uint64_t address) noexcept
{
    if (address >= address_of(boot_stack) && address < address_of(boot_stack_top))
        return true;
    return is_in_used_slot(address) && (address - stack_area_base) % slot_bytes >= stack_bytes;
}

bool is_stack_guard(std::uint64_t address) noexcept
{
    return is_in_used_slot(address) && (address - stack_area_base) % slot_bytes < stack_bytes;
}

} // namespace hv::arch
