// The page allocator of one node: a buddy allocator (buddy.hpp) behind a lock, with the books that go with it.
//
// Invariants: free + used + cached + reserved + offline == present pages. Free pages are clean, dirty (a dead domain's,
// to be zeroed before anybody gets them) or being zeroed. Claims are promises of free pages to a domain: nobody but the
// claimant gets what would break a claim, and claimed <= free, unless promised pages had to be taken out of use.
//
// Locking: one lock a node, rank 40, its number as ordinal; callers have interrupts off. While it is held nothing
// waits or calls out of mm, except to report corruption, which is the end; pages are zeroed without it. The object and
// its tables live on the node itself; a node without memory has none. Floor: mm.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "mm/account_table.hpp"
#include "mm/buddy.hpp"
#include "mm/machine_memory.hpp"
#include "mm/misuse.hpp"
#include "mm/page_cache.hpp"
#include "mm/page_region.hpp"
#include "mm/types.hpp"

#include <arch/cpu.hpp>

#include <array>
#include <atomic>
#include <optional>
#include <span>

namespace hv::mm {

inline constexpr std::uint16_t node_lock_rank = 40;

// In pages. free + used + cached + reserved + offline == present <= span; dirty <= free, claimed <= free + offline.
struct NodeStats {
    std::uint64_t present{0};  // RAM
    std::uint64_t free{0};     // can be allocated
    std::uint64_t used{0};     // allocated and not yet freed
    std::uint64_t cached{0};   // in the caches of the node's pCPUs
    std::uint64_t reserved{0}; // never the allocator's: firmware, kernel image, early allocations, our tables
    std::uint64_t offline{0};  // taken out of use
    std::uint64_t span{0};     // from the first page to the last, holes included
    std::uint64_t dirty{0};    // of the free ones: not zeroed yet after a domain's end
    std::uint64_t claimed{0};  // of the free ones: promised

    friend constexpr bool operator==(NodeStats const&, NodeStats const&) = default;
};

// What became of a page that was to be taken out of use: nobody gets it again, or nobody will after who has it now.
enum class Retirement : std::uint8_t { done, pending };

// How a node's memory is to be treated; the same for all nodes.
struct NodeRules {
    DirectMap map{};
    MisuseHandler on_misuse{nullptr};
    Zeroer zero{nullptr};         // null: memset
    std::uint64_t low_reserve{0}; // pages below 4 GiB that requests from elsewhere leave alone
    bool poison{false};           // debug builds: fill what is freed, to see writes to it
    AccountTable accounts{{}};
};

struct NodeRequest {
    Order order{};
    DomainId owner{kernel_owner};
    DomainAccount* account{nullptr};     // whose claim this uses up
    std::uint64_t below{physical_limit}; // the block ends at or below this address
    bool spares_low{false};              // leave the low reserve alone
};

class alignas(arch::cache_line) NodeAllocator {
public:
    // The array of `capacity` regions from `regions` on is its own from now on, and `count` of them are there, each as
    // long as RAM is contiguous. All pages are reserved until add_free() says otherwise.
    NodeAllocator(NodeId node, PageRegion* regions, std::size_t count, std::size_t capacity, NodeRules const& rules);
    NodeAllocator(NodeAllocator const&) = delete;
    NodeAllocator& operator=(NodeAllocator const&) = delete;

    [[nodiscard]] bool is_full() const { return regions_.is_full(); }
    // More memory has been plugged in, above all that the node has: reserved, as above. One caller at a time. False if
    // there is no place for another region, or it is not above all others; then nothing has changed.
    [[nodiscard]] bool add_region(PageRange range, std::byte* metadata) HV_EXCLUDES(lock_);
    // Pages of one region that can be allocated from now on, given once and in ascending order. No range
    // touches the next unless a region ends between them.
    void add_free(PageRange range) HV_EXCLUDES(lock_);
    // At boot: a cache of this node's memory; it stays for ever.
    void add_cache(PageCache& cache);

    // A block whose content is whatever its last owner left, or zeroes after a dead domain. Zeroes one here and now if
    // there is no other, and calls the caches' blocks back before it gives up. Errors: order_too_large, exhausted_node.
    [[nodiscard]] Result<PhysAddr, AllocError> allocate(NodeRequest const& request) HV_EXCLUDES(lock_);

    // Give back a block exactly as it was allocated; returns who owned it. Anything else is reported, and if the
    // handler returns, the answer is nothing and nothing has changed.
    [[nodiscard]] std::optional<DomainId> free(PhysAddr block, Order order, std::uintptr_t caller) HV_EXCLUDES(lock_);

    // Make `owner` the owner of an allocated block; returns who was before. Errors as for free().
    [[nodiscard]] std::optional<DomainId> transfer(PhysAddr block, Order order, DomainId owner) HV_EXCLUDES(lock_);

    // Take a page out of use, wherever it is, and back into use; see PageAllocator. No lock of rank 39 or more held.
    // Error: bad_request.
    [[nodiscard]] Result<Retirement, AllocError> retire(Pfn page) HV_EXCLUDES(lock_);
    [[nodiscard]] Status<AllocError> put_back(Pfn page) HV_EXCLUDES(lock_);

    // Promise the domain `most` pages, or as many as there are if `least` is less; returns how many, 0 if less than
    // `least`. And take promises back.
    [[nodiscard]] std::uint64_t claim(DomainAccount& account, std::uint64_t least, std::uint64_t most)
        HV_EXCLUDES(lock_);
    void unclaim(DomainAccount& account, std::uint64_t pages) HV_EXCLUDES(lock_);

    // Zero up to `budget` dirty pages; returns how many there were, 0 also while another pCPU is at it: all that are
    // idle would only queue for the lock. A page takes a few hundred nanoseconds.
    [[nodiscard]] std::uint64_t scrub(std::uint64_t budget) HV_EXCLUDES(lock_);

    // For the caches. Fill `blocks` as far as unclaimed, clean memory goes, and `slots`, at least as long, with where
    // their entries are; returns how many. And the way back.
    [[nodiscard]] std::uint32_t refill(Order order, std::span<PhysAddr> blocks, std::span<PageRegion::Slot*> slots)
        HV_EXCLUDES(lock_);
    void take_back(Order order, std::span<PhysAddr const> blocks) HV_EXCLUDES(lock_);
    // Call all cached blocks back; false if there were none. No lock of rank 39 or more held.
    bool drain_caches() HV_EXCLUDES(lock_);

    [[nodiscard]] NodeId node() const { return node_; }
    [[nodiscard]] std::span<PageRegion> regions() const { return regions_.all(); }
    [[nodiscard]] NodeStats stats() const HV_EXCLUDES(lock_);
    // Without the lock: may be stale by the time it is used.
    [[nodiscard]] std::uint64_t free_pages_hint() const { return free_hint_.load(std::memory_order_relaxed); }
    // The same with what the caches have, which can be called back.
    [[nodiscard]] std::uint64_t available_pages_hint() const { return free_pages_hint() + cached_pages(); }
    [[nodiscard]] std::uint64_t dirty_pages_hint() const { return dirty_hint_.load(std::memory_order_relaxed); }

    // The owner's first block at or above `from`, which moves on behind it; nothing, if there was none in as much as
    // one may look through with the lock held, or up to end().
    [[nodiscard]] std::optional<BlockRef> find_owned(DomainId owner, Pfn& from) const HV_EXCLUDES(lock_);
    [[nodiscard]] Pfn end() const { return regions().back().range().end; }

    // Debug builds with poison: see misuse.hpp.
    void check_content(PhysAddr block, Order order) const;
    void spoil_content(PhysAddr block, Order order, std::uintptr_t caller, bool with_poison) const;

    // For tests and self-checks; they walk all blocks with the lock held. No call may be under way.
    [[nodiscard]] bool is_consistent() const HV_EXCLUDES(lock_);
    [[nodiscard]] std::uint64_t pages_of(DomainId owner) const HV_EXCLUDES(lock_);
    [[nodiscard]] std::uint64_t free_blocks(Order order) const HV_EXCLUDES(lock_);

private:
    // A block, or dirty memory that has to be zeroed before there is one; neither: there is none.
    struct Step {
        std::optional<BlockRef> block, dirty;
        bool shall_wait{false}; // another pCPU is zeroing what we might get
    };

    [[nodiscard]] Step try_allocate(NodeRequest const& request) HV_REQUIRES(lock_);
    [[nodiscard]] std::optional<BlockRef> allocate_or_scrub(NodeRequest const& request) HV_EXCLUDES(lock_);
    [[nodiscard]] std::uint64_t scrub_alone(std::uint64_t budget) HV_EXCLUDES(lock_);
    void finish_scrub(BlockRef block, std::uint64_t pages) HV_REQUIRES(lock_);
    void zero(Pfn first, std::uint64_t pages) const;
    // A block that comes back, without its defective pages.
    void carve(BlockRef block, Order order, bool is_dirty) HV_REQUIRES(lock_);
    void set_offline(BlockRef page) HV_REQUIRES(lock_);
    [[nodiscard]] std::optional<BlockRef> find_block(Pfn page) const HV_REQUIRES(lock_);
    // Nothing: the block is between two states, and others have to go on first.
    [[nodiscard]] std::optional<Retirement> try_retire(BlockRef block, Pfn page) HV_REQUIRES(lock_);
    [[nodiscard]] std::uint64_t unclaimed() const HV_REQUIRES(lock_)
    {
        return free_count() > claimed_ ? free_count() - claimed_ : 0;
    }
    [[nodiscard]] std::uint64_t free_count() const HV_REQUIRES(lock_)
    {
        return buddy_.free_pages() + buddy_.dirty_pages() + scrubbing_;
    }
    [[nodiscard]] std::uint64_t cached_pages() const;
    // The block, if it is one in use, as allocated. Otherwise nothing, and `report` says why.
    [[nodiscard]] std::optional<BlockRef> find_used(PhysAddr block, Order order, MisuseReport& report) const
        HV_REQUIRES(lock_);
    void diagnose(PageRegion const& region, Pfn frame, MisuseReport& report) const HV_REQUIRES(lock_);
    void note_free() HV_REQUIRES(lock_);

    NodeId const node_;
    NodeRules const rules_;
    PageRegions regions_; // what is free of them is guarded by the lock
    mutable TicketLock lock_;
    std::uint64_t present_ HV_GUARDED_BY(lock_);
    Buddy buddy_ HV_GUARDED_BY(lock_);
    std::uint64_t scrubbing_ HV_GUARDED_BY(lock_){0};
    std::uint64_t claimed_ HV_GUARDED_BY(lock_){0};
    std::uint64_t reserved_ HV_GUARDED_BY(lock_){0};
    std::uint64_t offline_ HV_GUARDED_BY(lock_){0};
    std::atomic<std::uint64_t> free_hint_{0};
    std::atomic<std::uint64_t> dirty_hint_{0};
    std::atomic<bool> has_scrubber_{false};
    std::atomic<PageCache*> caches_{nullptr};
};

} // namespace hv::mm
