// A pCPU's stock of single pages and of 2 MiB blocks of its own node, so that most requests take no shared lock.
//
// Refilled from the local node only, a batch at a time, and never out of what somebody has claimed; what was allocated
// on another node goes home when it is freed. Cached blocks belong to nobody: they count as cached, not as used, and a
// node that runs out of memory calls them back (drain()).
//
// Locking: one lock a size, rank 39; the pCPU it belongs to only tries, with interrupts off. Every function but
// drain(), pages() and the constant ones is for that pCPU alone. Floor: mm.
#pragma once

#include "mm/account_table.hpp"
#include "mm/cache_lock.hpp"
#include "mm/domain_account.hpp"
#include "mm/page_region.hpp"
#include "mm/types.hpp"

#include <array>
#include <atomic>

namespace hv::mm {

class NodeAllocator;

class alignas(arch::cache_line) PageCache {
public:
    static constexpr std::uint32_t most_blocks = 64;
    // Blocks kept of each size; at most most_blocks. 0: none of this size are kept.
    struct Capacity {
        std::uint32_t pages_4k{most_blocks};
        std::uint32_t blocks_2m{8};
    };

    PageCache(CpuId cpu, NodeAllocator& home, AccountTable accounts, Capacity capacity);
    // What a pCPU without memory on its node has: nothing, ever. `nowhere` has no pages.
    PageCache(PageRegion& nowhere, AccountTable accounts);
    PageCache(PageCache const&) = delete;
    PageCache& operator=(PageCache const&) = delete;

    [[nodiscard]] static constexpr bool keeps(Order order) { return order == order_4k || order == order_2m; }
    // No node of the machine, if there is no memory to keep.
    [[nodiscard]] NodeId node() const { return node_; }

    // A block of a size that it keeps, if it has one; nothing if the owner or the moment ask for the long way, refill()
    // or the node. No frame, no call: this is what most allocations are.
    [[nodiscard, gnu::always_inline]] bool try_allocate(Order order, DomainAccount* owner, PhysAddr& block)
    {
        Stack& stack{stack_of(order)};
        if (!stack.lock.try_lock())
            return false;
        std::uint32_t const depth{stack.lock.count()};
        if (depth == 0 || (owner != nullptr && !owner->grant_fast(order.pages()))) {
            stack.lock.unlock(depth);
            return false;
        }
        std::uint32_t const last{depth - 1};
        block = stack.blocks[last];
        if constexpr (is_debug)
            check_content(block, order);
        PageEntry::Bits const head{PageEntry::head_bits(PageState::used, order)};
        stack.slots[last]->store(owner != nullptr ? head | owner->owner_bits_ : head, std::memory_order_relaxed);
        stack.lock.unlock(last);
        if (owner != nullptr)
            owner->charge(node_, order.pages());
        return true;
    }

    // Keep a block of a size that it keeps. False, and nothing has changed, if there is no room, if it lies elsewhere,
    // if it is no such block in use, or if its owner or the moment ask for the long way.
    [[nodiscard, gnu::always_inline]] bool try_free(PhysAddr block, Order order, std::uintptr_t caller)
    {
        PageRegion const& region = *region_.load(std::memory_order_relaxed);
        std::uint64_t at;
        if (!region.find(block, at))
            return false;
        Stack& stack{stack_of(order)};
        if (!stack.lock.try_lock())
            return false;
        std::uint32_t const depth{stack.lock.count()};
        PageRegion::Slot& slot = region.slot_at(at);
        PageEntry const entry{PageRegion::load(slot)};
        if (!entry.is(PageState::used, order)) {
            stack.lock.unlock(depth);
            return false;
        }
        DomainAccount* const account{accounts_.at(entry.owner_slot())};
        PageEntry const cached{entry.with_other_state(PageState::used, PageState::cached)};
        // In one step: of two who free the block at the same instant only one succeeds, and a block that is to go out
        // of use (NodeAllocator::retire) takes the long way.
        if ((account != nullptr && !account->is_plain()) || depth >= stack.capacity ||
            !PageRegion::replace(slot, entry, cached)) {
            stack.lock.unlock(depth);
            return false;
        }
        if constexpr (is_debug)
            spoil_content(block, order, caller);
        stack.blocks[depth] = block;
        stack.slots[depth] = &slot;
        stack.lock.unlock(depth + 1);
        if (account != nullptr)
            account->uncharge(node_, order.pages());
        return true;
    }

    // After one of these failed: do what can be done about it. False if the same call would fail again.
    [[nodiscard]] bool refill(Order order);
    [[nodiscard]] bool make_room(PhysAddr block, Order order);

    // Give everything back to the node. Any pCPU may call it; interrupts off, no lock of rank 39 or more held.
    void drain();
    // Pages that are in it; without the locks, so a hint unless the pCPU stands still.
    [[nodiscard]] std::uint64_t pages() const
    {
        return small_.lock.count() * order_4k.pages() + large_.lock.count() * order_2m.pages();
    }

private:
    friend class NodeAllocator; // chains the caches of a node

    struct Stack {
        CountLock lock; // over the blocks
        std::uint32_t const capacity;
        std::array<PhysAddr, most_blocks> blocks{};
        std::array<PageRegion::Slot*, most_blocks> slots{}; // where their entries are
    };

    [[nodiscard]] Stack& stack_of(Order order)
    {
        HV_ASSERT(keeps(order));
        return order == order_4k ? small_ : large_;
    }
    // Debug builds: was it written to while it was cached; and fill it, so that this can be told.
    void check_content(PhysAddr block, Order order);
    void spoil_content(PhysAddr block, Order order, std::uintptr_t caller);
    void give_back(Stack& stack, Order order, std::uint32_t count) HV_REQUIRES(stack.lock);

    NodeId const node_;
    AccountTable const accounts_;
    std::atomic<PageRegion*> region_; // the piece of the node's memory that blocks came back to last
    NodeAllocator* const home_;       // null: there is nothing to keep
    PageCache* next_of_node_{nullptr};
    Stack small_;
    Stack large_;
};

} // namespace hv::mm
