#include "mm/page_cache.hpp"

#include "mm/node_allocator.hpp"

namespace hv::mm {

PageCache::PageCache(CpuId cpu, NodeAllocator& home, AccountTable accounts, Capacity capacity)
    : lock_{LockKey{.rank = cache_lock_rank, .ordinal = cpu.value()}}, node_{home.node()}, accounts_{accounts},
      region_{&home.regions().front()}, home_{home}
{
    HV_ASSERT(capacity.pages_4k <= most_blocks && capacity.blocks_2m <= most_blocks);
    small_.capacity = capacity.pages_4k;
    large_.capacity = capacity.blocks_2m;
}

bool PageCache::refill(Order order)
{
    Stack& stack{stack_of(order)};
    if (stack.capacity == 0 || !lock_.try_lock())
        return false;
    std::uint32_t depth{stack.depth.load(std::memory_order_relaxed)};
    if (depth == 0) {
        // Half, so that neither the next allocation nor the next free has to go to the node.
        depth = home_.refill(order, std::span{stack.blocks}.first((stack.capacity + 1) / 2));
        stack.depth.store(depth, std::memory_order_relaxed);
    }
    lock_.unlock();
    return depth > 0;
}

bool PageCache::make_room(PhysAddr block, Order order)
{
    Stack& stack{stack_of(order)};
    if (stack.capacity == 0)
        return false;
    bool is_found{false};
    for (PageRegion& region : home_.regions()) {
        if (!region.range().contains(pfn_of(block)))
            continue;
        is_found = true;
        region_.store(&region, std::memory_order_relaxed); // where the next one is looked for first
    }
    if (!is_found || !lock_.try_lock())
        return false;
    if (stack.depth.load(std::memory_order_relaxed) >= stack.capacity)
        give_back(stack, order, (stack.capacity + 1) / 2);
    lock_.unlock();
    return true;
}

void PageCache::give_back(Stack& stack, Order order, std::uint32_t count)
{
    // The depth first: the node counts what is out and subtracts what we say we have.
    std::uint32_t const left{stack.depth.load(std::memory_order_relaxed) - count};
    stack.depth.store(left, std::memory_order_relaxed);
    home_.take_back(order, std::span{stack.blocks}.subspan(left, count));
}

void PageCache::drain()
{
    lock_.lock();
    give_back(small_, order_4k, small_.depth.load(std::memory_order_relaxed));
    give_back(large_, order_2m, large_.depth.load(std::memory_order_relaxed));
    lock_.unlock();
}

void PageCache::check_content(CachedBlock block, Order order) { home_.check_content(block.address, order); }

void PageCache::spoil_content(CachedBlock block, Order order, std::uintptr_t caller)
{
    home_.spoil_content(block.address, order, caller, true);
}

} // namespace hv::mm
