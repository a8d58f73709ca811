// Memory before there is a page allocator: for per-pCPU blocks, page tables, and the page allocator's own tables. It
// takes whole pages from the top of a node's memory downwards and never gives them back: they count as reserved for
// ever.
//
// It knows ranges only and touches no memory, so it works before the direct map exists; what it hands out is not
// zeroed. Life: init(), any number of allocate(), then PageAllocator::create() takes the rest and seals it. No locks:
// one pCPU uses it at boot. 33 KiB; meant to be a constinit global of the composition root. Floor: mm.
#pragma once

#include "arch/generic/result.hpp"
#include "mm/block_list.hpp"
#include "mm/distance_order.hpp"
#include "mm/machine_memory.hpp"
#include "mm/types.hpp"

#include <optional>

namespace hv::mm {

struct EarlyRequest {
    std::uint64_t bytes{0};         // more than 0; rounded up to whole pages
    std::uint64_t align{page_size}; // a power of two; less than a page means a page
    NodeId node{};
    PhysAddr below{physical_limit}; // the block ends at or below this address
};

class EarlyAllocator {
public:
    constexpr EarlyAllocator() = default;
    EarlyAllocator(EarlyAllocator const&) = delete;
    EarlyAllocator& operator=(EarlyAllocator const&) = delete;

    // After a failure the allocator has no memory, but another init() may follow.
    [[nodiscard]] Status<BuildError> init(MachineMemory const& machine);

    // On request.node only. Errors: exhausted_node, bad_request (arguments, or sealed).
    [[nodiscard]] Result<PhysAddr, AllocError> allocate(EarlyRequest const& request);
    // On request.node or else the nearest node that has room. Errors: exhausted, bad_request.
    [[nodiscard]] Result<PhysAddr, AllocError> allocate_near(EarlyRequest const& request);

    // All RAM in whole pages, and what of it nobody has taken yet: sorted, disjoint, touching blocks of a node joined.
    [[nodiscard]] std::span<MemoryBlock const> present() const { return present_.blocks(); }
    [[nodiscard]] std::span<MemoryBlock const> available() const { return available_.blocks(); }
    [[nodiscard]] std::uint64_t available_pages(NodeId node) const;

    [[nodiscard]] unsigned nodes() const { return order_.nodes(); }
    [[nodiscard]] DistanceOrder const& distance_order() const { return order_; }
    [[nodiscard]] DirectMap direct_map() const { return rules_.direct_map; }
    // What the page allocator needs to know: the builder's words, without the spans, which may be gone.
    [[nodiscard]] MachineMemory const& rules() const { return rules_; }

    void seal() { is_sealed_ = true; }

private:
    [[nodiscard]] Status<BuildError> add_blocks(std::span<MemoryBlock const> blocks);
    [[nodiscard]] Status<BuildError> remove_reserved(std::span<PhysRange const> reserved);
    [[nodiscard]] bool is_sound(EarlyRequest const& request) const;
    [[nodiscard]] std::optional<PhysAddr> take(EarlyRequest const& request, NodeId node);

    BlockList present_;
    BlockList available_;
    DistanceOrder order_;
    MachineMemory rules_;
    bool is_sealed_{false};
};

} // namespace hv::mm
