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
//   all
//                 other nodes by distance from that next member, equally far ones by lowest id alone
//
// Xen goes through nodes by number, both within the set and outside; we go by distance. There is no low-memory reserve
// that would push a domain off its node: nobody here needs low memory.
//
// Locking: none of its own; the nodes' locks (rank 40) are taken one at a time. Callers have interrupts off.
// Floor: mm.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/result.hpp"
#include "mm/distance_order.hpp"
#include "mm/domain_account.hpp"
#include "mm/early_allocator.hpp"
#include "mm/machine_memory.hpp"
#include "mm/node_allocator.hpp"
#include "mm/node_map.hpp"
#include "mm/types.hpp"

#include <array>
#include <atomic>
#include <span>

namespace hv::mm {

enum class Policy : std::uint8_t { local, preferred, strict_node, strict_set, interleave };

struct Request {
    Order order{};
    Policy policy{Policy::local};
    NodeId node{};  // where to begin; interleave does not ask for it
    NodeMask set{}; // preferred (may be empty), strict_set, interleave; nodes the machine lacks do not count
    DomainAccount* owner{nullptr}; // attached; null: the kernel, which no account is charged for
};

class PageAllocator {
public:
    // Build the allocator, on memory of the machine itself, from what `early` has left; `early` gives nothing more. The
    // direct map must reach all memory by now. Error: no_memory.
    [[nodiscard]] static Result<PageAllocator*, BuildError> create(EarlyAllocator& early);
    PageAllocator(PageAllocator const&) = delete;
    PageAllocator& operator=(PageAllocator const&) = delete;

    // A block of 2^order pages, aligned to its size; the content is whatever its last owner left. Errors: those of
    // AllocError, where exhausted_node and exhausted_set come from the strict policies only.
    [[nodiscard]] Result<PhysAddr, AllocError> allocate(Request const& request);

    // Give back a block exactly as it was allocated; it goes to its own node, and its owner is credited. Anything else
    // is reported to on_misuse, and changes nothing.
    void free(PhysAddr block, Order order);

    // Make `to` (null: the kernel) the owner of an allocated block. Errors: over_limit; bad_request if `to` is not
    // attached, or after misuse was reported.
    [[nodiscard]] Status<AllocError> transfer(PhysAddr block, Order order, DomainAccount* to);

    // An account can own memory from attach() to detach(). Error: bad_request, if the domain number is not below
    // max_domains, is taken (attach), or the account is not attached or still has pages (detach).
    [[nodiscard]] Status<AllocError> attach(DomainAccount& account);
    [[nodiscard]] Status<AllocError> detach(DomainAccount& account);

    [[nodiscard]] unsigned nodes() const { return order_.nodes(); }
    [[nodiscard]] NodeStats stats(NodeId node) const;
    [[nodiscard]] NodeMap const& node_map() const { return map_; }
    [[nodiscard]] DistanceOrder const& distance_order() const { return order_; }
    [[nodiscard]] DirectMap direct_map() const { return direct_map_; }
    // Nodes whose memory can be allocated, and nodes that have RAM but not enough to hold their own tables: that RAM
    // counts as reserved, and boot says so.
    [[nodiscard]] NodeMask usable() const { return usable_; }
    [[nodiscard]] NodeMask too_small() const { return too_small_; }

    // One line for each node.
    void describe(Sink& sink) const;
    // Walks all memory and compares it with all counters, those of the accounts included. No call may be under way.
    [[nodiscard]] bool is_consistent() const;

private:
    using AccountSlot = std::atomic<DomainAccount*>;

    explicit PageAllocator(EarlyAllocator const& early, std::span<MemoryBlock const> blocks,
                           std::span<AccountSlot> accounts);
    void build_node(EarlyAllocator& early, NodeId node);

    [[nodiscard]] bool is_attached(DomainAccount const& account) const;
    [[nodiscard]] DomainAccount* account_of(DomainId owner) const;
    [[nodiscard]] Result<PhysAddr, AllocError> place(Request const& request);
    [[nodiscard]] Result<PhysAddr, AllocError> place_interleaved(Request const& request);
    // On one node, and charge the owner for it there.
    [[nodiscard]] Result<PhysAddr, AllocError> take(Request const& request, NodeId node);
    // On one of `candidates`, by distance from request.node.
    [[nodiscard]] Result<PhysAddr, AllocError> take_nearest(Request const& request, NodeMask candidates);
    [[nodiscard]] NodeId freest(NodeMask nodes) const;
    [[nodiscard]] bool node_is_consistent(NodeId node) const;

    NodeMap map_;
    DirectMap direct_map_;
    MisuseHandler on_misuse_;
    NodeMask usable_;
    NodeMask too_small_;
    std::span<AccountSlot> accounts_;                        // by domain number
    std::array<NodeAllocator*, NodeMask::capacity> nodes_{}; // null: not usable
    DistanceOrder order_;
    InterleaveCursor kernel_interleave_;
};

} // namespace hv::mm
