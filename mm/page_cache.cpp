#include "mm/page_cache.hpp"

#include "mm/node_allocator.hpp"

namespace hv::mm {

namespace {

constexpr LockKey key_of(CpuId cpu) { return {.rank = cache_lock_rank, .ordinal = cpu.value()}; }

} // namespace

PageCache::PageCache(CpuId cpu, NodeAllocator& home, AccountTable accounts, Capacity capacity)
    : node_{home.node()}, accounts_{accounts}, region_{&home.regions().front()}, home_{&home},
      small_{.lock = CountLock{key_of(cpu)}, .capacity = capacity.pages_4k},
      large_{.lock = CountLock{key_of(cpu)}, .capacity = capacity.blocks_2m}
{
    HV_ASSERT(capacity.pages_4k <= most_blocks && capacity.blocks_2m <= most_blocks);
}

PageCache::PageCache(PageRegion& nowhere, AccountTable accounts)
    : node_{NodeMask::capacity}, accounts_{accounts}, region_{&nowhere}, home_{nullptr},
      small_{.lock = CountLock{key_of(CpuId{0})}, .capacity = 0},
      large_{.lock = CountLock{key_of(CpuId{0})}, .capacity = 0}
{
    HV_ASSERT(nowhere.range().pages() == 0);
}

bool PageCache::refill(Order order)
{
    Stack& stack{stack_of(order)};
    if (stack.capacity == 0 || !stack.lock.try_lock())
        return false;
    std::uint32_t depth{stack.lock.count()};
    if (depth == 0) // Half, so that neither the next allocation nor the next free has to go to the node.
        depth = home_->refill(order, std::span{stack.blocks}.first((stack.capacity + 1) / 2), stack.slots);
    stack.lock.unlock(depth);
    return depth > 0;
}

bool PageCache::make_room(PhysAddr block, Order order)
{
    Stack& stack{stack_of(order)};
    if (stack.capacity == 0)
        return false;
    bool is_found{false};
    for (PageRegion& region : home_->regions()) {
        if (!region.range().contains(pfn_of(block)))
            continue;
        is_found = true;
        region_.store(&region, std::memory_order_relaxed); // where the next one is looked for first
    }
    if (!is_found || !stack.lock.try_lock())
        return false;
    if (stack.lock.count() >= stack.capacity)
        give_back(stack, order, (stack.capacity + 1) / 2);
    stack.lock.unlock(stack.lock.count());
    return true;
}

void PageCache::give_back(Stack& stack, Order order, std::uint32_t count)
{
    // The depth first: the node counts what is out and subtracts what we say we have.
    std::uint32_t const left{stack.lock.count() - count};
    stack.lock.set_count(left);
    home_->take_back(order, std::span{stack.blocks}.subspan(left, count));
}

void PageCache::drain()
{
    for (Stack* const stack : {&small_, &large_}) {
        stack->lock.lock();
        give_back(*stack, stack == &small_ ? order_4k : order_2m, stack->lock.count());
        stack->lock.unlock(0);
    }
}

void PageCache::check_content(PhysAddr block, Order order) { home_->check_content(block, order); }

void PageCache::spoil_content(PhysAddr block, Order order, std::uintptr_t caller)
{
    home_->spoil_content(block, order, caller, true);
}

} // namespace hv::mm
