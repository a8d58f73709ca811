// All memory of the machine: picks the node by policy, lets the node's own allocator find the block, and keeps the
// books.
//
// Where memory is looked for, in this order; "by distance" is from the request's node, equally far nodes by most free
// memory, then by lowest id; unreachable nodes (distance 255) come last; a node without memory is passed over:
//
//   local         the node, all other nodes by distance
//   preferred     the node (even if outside the set), the set by distance, all other nodes by distance
//   strict_node   the node
//   strict_set    the set by distance; the node itself first only if it is a member
//   interleave    the next member of the set after that of the owner's last call, the other members cyclically, then
//                 all other nodes by distance from that next member, equally far ones by lowest id alone
//   by_number     as Xen does: the node, the members of the set upwards from it by number and round again, then all
//                 other nodes likewise; distances count for nothing
//
// Xen keeps a quarter of node 0
// for low memory and so pushes domains off their node; we keep a few pages a node (low_reserve), and only from those
// who have no business on that node.
//
// With the number of the pCPU that calls, single pages and 2 MiB blocks come from its cache if they are wanted on its
// own node; without, always from the node.
//
// Locking: the claims' lock (rank 38), else none of its own; caches' (39) and nodes' locks (40) are taken one at a
// time. Callers have interrupts off. Floor: mm.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/result.hpp"
#include "mm/account_table.hpp"
#include "mm/distance_order.hpp"
#include "mm/domain_account.hpp"
#include "mm/early_allocator.hpp"
#include "mm/failure_injection.hpp"
#include "mm/machine_memory.hpp"
#include "mm/node_allocator.hpp"
#include "mm/node_map.hpp"
#include "mm/page_cache.hpp"
#include "mm/types.hpp"

#include <array>
#include <atomic>
#include <span>

namespace hv::mm {

inline constexpr std::uint16_t claims_lock_rank = 38;

// All but strict_set and interleave begin at the request's node, whatever the set. Only the first three use caches.
enum class Policy : std::uint8_t { local, preferred, strict_node, strict_set, interleave, by_number };

// What a search by this policy says when it was in vain.
[[nodiscard]] constexpr AllocError exhaustion_of(Policy policy)
{
    switch (policy) {
    case Policy::strict_node:
        return AllocError::exhausted_node;
    case Policy::strict_set:
        return AllocError::exhausted_set;
    case Policy::local:
    case Policy::preferred:
    case Policy::interleave:
    case Policy::by_number:
        break;
    }
    return AllocError::exhausted;
}

struct Request {
    Order order{};
    Policy policy{Policy::local};
    NodeId node{};  // where to begin; interleave does not ask for it
    NodeMask set{}; // preferred, by_number (may be empty), strict_set, interleave; nodes the machine lacks do not count
    DomainAccount* owner{nullptr};  // attached; null: the kernel, which no account is charged for
    PhysAddr below{physical_limit}; // the block ends at or below this address
};

// So many pages on these nodes, as the domain likes.
struct Claim {
    NodeMask nodes{};
    std::uint64_t pages{0};
};

// Why memory that has been plugged in is not used.
enum class GrowError : std::uint8_t {
    bad_range, // not whole pages, beyond what an address can be, or of a node that the machine does not have
    overlap,   // with memory that there is
    below,     // other memory of its node, which has to come first
    too_many,  // pieces of memory on its node
    too_small, // for its own tables
};
[[nodiscard]] std::string_view text_of(GrowError error);

struct NodeTables;

class PageAllocator {
public:
    // How many pieces of memory may be plugged into a node.
    static constexpr std::size_t spare_regions = 8;

    // Build the allocator, on memory of the machine itself, from what `early` has left; `early` gives nothing more. The
    // direct map must reach all memory by now. Error: no_memory.
    [[nodiscard]] static Result<PageAllocator*, BuildError> create(EarlyAllocator& early);
    PageAllocator(PageAllocator const&) = delete;
    PageAllocator& operator=(PageAllocator const&) = delete;

    // Give each pCPU a cache of its node's memory, if it has any; `node_of` by pCPU number. Once, at boot. Error:
    // exhausted_node, and then those that have no cache do without.
    [[nodiscard]] Status<AllocError> create_caches(std::span<NodeId const> node_of);

    // Memory that has been plugged in, which the direct map reaches by now, is used from now on; its tables lie in it.
    // A node that had none gets its allocator, but its pCPUs no caches. While others allocate.
    [[nodiscard]] Status<GrowError> add_memory(MemoryBlock const& block);

    // A block of 2^order pages, aligned to its size; the content is whatever its last owner left, or zeroes after a
    // domain that died. Errors: those of AllocError, where exhausted_node and exhausted_set come from the strict
    // policies only.
    [[nodiscard]] Result<PhysAddr, AllocError> allocate(Request const& request);
    [[nodiscard, gnu::always_inline]] Result<PhysAddr, AllocError> allocate(CpuId self, Request const& request)
    {
        PhysAddr block;
        if (!is_debug && may_be_cached(request) && cache_of(self).node() == request.node &&
            cache_of(self).try_allocate(request.order, request.owner, block)) [[likely]]
            return block;
        // Put together anew, so that the fast path needs no request in memory.
        return allocate_slowly(self, {.order = request.order,
                                      .policy = request.policy,
                                      .node = request.node,
                                      .set = request.set,
                                      .owner = request.owner,
                                      .below = request.below});
    }

    // Give back a block exactly as it was allocated; it goes to its own node, and its owner is credited. Anything else
    // is reported to on_misuse, and changes nothing.
    [[gnu::noinline]] void free(PhysAddr block, Order order);
    [[gnu::always_inline]] void free(CpuId self, PhysAddr block, Order order)
    {
        if (!is_debug && PageCache::keeps(order) && cache_of(self).try_free(block, order, 0)) [[likely]]
            return;
        free_slowly(self, block, order);
    }

    // Promise memory to a domain that is about to be built: all parts or nothing. Its allocations use its promises up,
    // those of others leave them alone. Not at the same time as its allocations. A part for several nodes is spread
    // over them as evenly as they have room. Errors: bad_request (not attached, no such node), over_limit,
    // exhausted_set.
    [[nodiscard]] Status<AllocError> claim(DomainAccount& account, std::span<Claim const> parts);
    void unclaim_all(DomainAccount& account);
    // The domain is being destroyed: it has no claims any more, and what it gives back is zeroed before anybody else
    // gets it.
    void begin_destruction(DomainAccount& account);
    // All blocks that a domain being destroyed still has go back. Finds them by a walk of the nodes where they are.
    void reclaim(DomainAccount& account);

    // For idle pCPUs of the node: zero up to `budget` pages that dead domains left there, and say how many; 0 also
    // while another pCPU does it. With interrupts off, so few at a time: one takes half a microsecond.
    [[nodiscard]] std::uint64_t scrub_some(NodeId node, std::uint64_t budget);

    // Take the page at this address out of use because it is defective: at once if it is free or cached, else as soon
    // as the block that it lies in is given back; until then its owner keeps it. Nobody gets it again before
    // put_back(), and then zeroed. A page that was promised goes all the same: then not everybody gets what they
    // claimed. Error: bad_request, if no node's allocator has such a page (reserved memory is not its), or for
    // put_back() if it is neither out of use nor to be.
    [[nodiscard]] Result<Retirement, AllocError> retire(PhysAddr page);
    [[nodiscard]] Status<AllocError> put_back(PhysAddr page);

    // Make `to` (null: the kernel) the owner of an allocated block. Errors: over_limit; bad_request if `to` is not
    // attached, or after misuse was reported.
    [[nodiscard]] Status<AllocError> transfer(PhysAddr block, Order order, DomainAccount* to);

    // An account can own memory from attach() to detach(). Error: bad_request, if the domain number is not below
    // max_domains, is taken (attach), or the account is not attached or still has pages or claims (detach).
    [[nodiscard]] Status<AllocError> attach(DomainAccount& account);
    [[nodiscard]] Status<AllocError> detach(DomainAccount& account);

    // Give what the pCPUs have cached back to the nodes.
    void drain_caches();
    [[nodiscard]] MisuseHandler on_misuse() const { return rules_.on_misuse; }
    [[nodiscard]] FailureInjection& injection() { return injection_; }

    [[nodiscard]] unsigned nodes() const { return order_.nodes(); }
    [[nodiscard]] NodeStats stats(NodeId node) const;
    // As it is now; stays good when memory is plugged in.
    [[nodiscard]] NodeMap const& node_map() const { return *map_.load(std::memory_order_acquire); }
    [[nodiscard]] DistanceOrder const& distance_order() const { return order_; }
    [[nodiscard]] DirectMap direct_map() const { return rules_.direct_map; }
    // Nodes whose memory can be allocated, and nodes that have RAM but not enough to hold their own tables: that RAM
    // counts as reserved, and boot says so.
    [[nodiscard]] NodeMask usable() const { return usable_.load(std::memory_order_acquire); }
    [[nodiscard]] NodeMask too_small() const { return too_small_; }

    // One line for each node.
    void describe(Sink& sink) const;
    // Walks all memory and compares it with all counters, those of the accounts included. No call may be under way.
    [[nodiscard]] bool is_consistent() const;

private:
    explicit PageAllocator(EarlyAllocator const& early, std::span<MemoryBlock const> blocks, AccountTable accounts);
    void build_node(EarlyAllocator& early, NodeId node);
    void open_node(NodeId node, NodeTables const& tables, std::size_t regions);
    [[nodiscard]] Status<GrowError> check_growth(MemoryBlock const& block) const HV_REQUIRES(claims_lock_);
    std::byte* publish_map(MemoryBlock const& block, std::byte* memory) HV_REQUIRES(claims_lock_);
    // Null: not usable. acquire: pairs with open_node().
    [[nodiscard]] NodeAllocator* allocator_of(NodeId node) const
    {
        return nodes_[node.value()].load(std::memory_order_acquire);
    }
    [[nodiscard]] PageCache::Capacity cache_capacity(NodeId node, std::size_t pcpus_of_node) const;

    [[nodiscard]] PageCache& cache_of(CpuId self) const
    {
        HV_ASSERT(self.value() < caches_.size());
        return *caches_[self.value()];
    }
    void free_home(PhysAddr block, Order order, std::uintptr_t caller);
    [[nodiscard]] static constexpr bool may_be_cached(Request const& request)
    {
        return request.policy <= Policy::strict_node && PageCache::keeps(request.order) &&
               request.below == PhysAddr{physical_limit};
    }
    // The whole of it, as debug builds always do it.
    [[nodiscard, gnu::noinline]] Result<PhysAddr, AllocError> allocate_slowly(CpuId self, Request request);
    [[gnu::noinline]] void free_slowly(CpuId self, PhysAddr block, Order order);

    // Without asking for injected failures.
    [[nodiscard]] Result<PhysAddr, AllocError> allocate_unharmed(Request const& request);
    [[nodiscard]] Result<PhysAddr, AllocError> place(Request const& request);
    [[nodiscard]] Result<PhysAddr, AllocError> place_interleaved(Request const& request);
    [[nodiscard]] Result<PhysAddr, AllocError> place_by_number(Request const& request);
    // On one node, and charge the owner for it there.
    [[nodiscard]] Result<PhysAddr, AllocError> take(Request const& request, NodeId node, bool spares_low);
    // On one of `candidates`, by distance from request.node.
    [[nodiscard]] Result<PhysAddr, AllocError> take_nearest(Request const& request, NodeMask candidates,
                                                            bool spares_low);
    // The same where nobody asked for these nodes: their low memory is the last to go.
    [[nodiscard]] Result<PhysAddr, AllocError> spill(Request const& request, NodeMask candidates);
    [[nodiscard]] NodeId freest(NodeMask nodes) const;
    [[nodiscard]] bool claim_part(DomainAccount& account, Claim const& part) HV_REQUIRES(claims_lock_);
    [[nodiscard]] std::uint64_t claim_on(DomainAccount& account, NodeId node, std::uint64_t least, std::uint64_t most)
        HV_REQUIRES(claims_lock_);
    [[nodiscard]] bool node_is_consistent(NodeId node) const;
    [[nodiscard]] NodeAllocator* allocator_at(PhysAddr address) const;

    NodeMap const first_map_;
    std::atomic<NodeMap const*> map_{&first_map_}; // others lie in the memory that made them necessary, and stay
    AccountTable const accounts_;
    PageRegion nowhere_{{}, nullptr};
    PageCache no_cache_{nowhere_, accounts_};
    std::array<PageCache*, CpuMask::capacity> caches_; // by pCPU; no_cache_ for those who have none
    FailureInjection injection_;
    MachineMemory const rules_;
    std::atomic<NodeMask> usable_{}; // one writer at a time
    NodeMask too_small_;
    std::array<std::atomic<NodeAllocator*>, NodeMask::capacity> nodes_{};
    DistanceOrder order_;
    InterleaveCursor kernel_interleave_;
    TicketLock claims_lock_{
        LockKey{.rank = claims_lock_rank, .ordinal = 0}}; // one claim at a time: all or nothing; and one growth
};

} // namespace hv::mm
