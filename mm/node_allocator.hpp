// The page allocator of one node: a buddy allocator of blocks of 1 to 2^18 pages, aligned to their size.
//
// Invariants: free + used + reserved == present pages; every free block is in the list of its order and nowhere else;
// no two free buddies stay apart; a block never reaches over a hole, a reserved page or the node's end. The
// highest-placed part of a block that has to be split is handed out, as Xen does, which keeps low memory for those who
// need it.
//
// Locking: one lock a node, rank 40, its number as ordinal; callers have interrupts off. While it is held nothing
// waits or calls out of mm, except to report corruption, which is the end. The object and its tables live on the node
// itself; a node without memory has none. Floor: mm.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "mm/free_list.hpp"
#include "mm/misuse.hpp"
#include "mm/page_region.hpp"
#include "mm/types.hpp"

#include <arch/cpu.hpp>

#include <array>
#include <atomic>
#include <optional>
#include <span>

namespace hv::mm {

inline constexpr std::uint16_t node_lock_rank = 40;

// In pages. free + used + reserved == present <= span.
struct NodeStats {
    std::uint64_t present{0};  // RAM
    std::uint64_t free{0};     // can be allocated
    std::uint64_t used{0};     // allocated and not yet freed
    std::uint64_t reserved{0}; // never the allocator's: firmware, kernel image, early allocations, our tables
    std::uint64_t span{0};     // from the first page to the last, holes included

    friend constexpr bool operator==(NodeStats const&, NodeStats const&) = default;
};

class alignas(arch::cache_line) NodeAllocator {
public:
    // `regions` ascending and disjoint, each as long as RAM is contiguous; the allocator keeps the reference. All pages
    // are reserved until add_free() says otherwise.
    NodeAllocator(NodeId node, std::span<PageRegion> regions, DirectMap map, MisuseHandler on_misuse);
    NodeAllocator(NodeAllocator const&) = delete;
    NodeAllocator& operator=(NodeAllocator const&) = delete;

    // At boot: pages of one region that can be allocated from now on, given once and in ascending order. No range
    // touches the next unless a region ends between them.
    void add_free(PageRange range) HV_EXCLUDES(lock_);

    // A block whose content is whatever its last owner left. Errors: order_too_large, exhausted_node. O(orders).
    [[nodiscard]] Result<PhysAddr, AllocError> allocate(Order order, DomainId owner) HV_EXCLUDES(lock_);

    // Give back a block exactly as it was allocated; returns who owned it. Anything else is reported, and if the
    // handler returns, the answer is nothing and nothing has changed.
    [[nodiscard]] std::optional<DomainId> free(PhysAddr block, Order order) HV_EXCLUDES(lock_);

    // Make `owner` the owner of an allocated block; returns who was before. Errors as for free().
    [[nodiscard]] std::optional<DomainId> transfer(PhysAddr block, Order order, DomainId owner) HV_EXCLUDES(lock_);

    [[nodiscard]] NodeId node() const { return node_; }
    [[nodiscard]] NodeStats stats() const HV_EXCLUDES(lock_);
    // Without the lock: may be stale by the time it is used.
    [[nodiscard]] std::uint64_t free_pages_hint() const { return free_hint_.load(std::memory_order_relaxed); }

    // For tests and self-checks; they walk all blocks with the lock held.
    [[nodiscard]] bool is_consistent() const HV_EXCLUDES(lock_);
    [[nodiscard]] std::uint64_t pages_of(DomainId owner) const HV_EXCLUDES(lock_);
    [[nodiscard]] std::uint64_t free_blocks(Order order) const HV_EXCLUDES(lock_);

private:
    struct Walk {
        std::uint64_t free{0}, used{0};
        std::array<std::uint64_t, Order::count> free_blocks{};
        bool is_sound{true};
    };

    [[nodiscard]] PageRegion* region_of(Pfn frame) const;
    // The block, if it is one in use, as allocated. Otherwise nothing, and `report` says why.
    [[nodiscard]] PageRegion* find_used(PhysAddr block, Order order, MisuseReport& report) const HV_REQUIRES(lock_);
    void diagnose(PageRegion const& region, Pfn frame, MisuseReport& report) const HV_REQUIRES(lock_);
    [[nodiscard]] Pfn take_from_lists(Order order, DomainId owner) HV_REQUIRES(lock_);
    // Enter a free block and merge it with its buddies as far as they are free.
    void put_into_lists(PageRegion& region, Pfn block, Order order, DomainId last_owner) HV_REQUIRES(lock_);
    void push(PageRegion& region, Pfn block, Order order, DomainId last_owner) HV_REQUIRES(lock_);
    void unlink(PageRegion& region, Pfn block, Order order) HV_REQUIRES(lock_);
    void count_free(std::uint64_t pages) HV_REQUIRES(lock_);
    [[noreturn]] void die_of_corruption(Pfn block, Order order) const;

    [[nodiscard]] Walk walk() const HV_REQUIRES(lock_);
    void walk_block(PageRegion const& region, Pfn first, PageEntry entry, Walk& walk) const HV_REQUIRES(lock_);
    [[nodiscard]] bool has_free_buddy(PageRegion const& region, Pfn first, Order order) const HV_REQUIRES(lock_);
    [[nodiscard]] bool list_is_sound(Order order, std::uint64_t expected) const HV_REQUIRES(lock_);

    NodeId const node_;
    DirectMap const map_;
    MisuseHandler const on_misuse_;
    std::span<PageRegion> const regions_; // the list; what its elements hold is guarded by the lock
    std::uint64_t const present_;
    mutable TicketLock lock_;
    std::array<FreeList, Order::count> lists_ HV_GUARDED_BY(lock_){};
    std::uint32_t non_empty_ HV_GUARDED_BY(lock_){0}; // bit o: lists_[o] has a block
    std::uint64_t free_ HV_GUARDED_BY(lock_){0};
    std::uint64_t used_ HV_GUARDED_BY(lock_){0};
    std::uint64_t reserved_ HV_GUARDED_BY(lock_){0};
    std::atomic<std::uint64_t> free_hint_{0};
};

} // namespace hv::mm
