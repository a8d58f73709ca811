// Which node does this physical address belong to? A view of a list of blocks that is sorted by address and free of
// overlaps; whoever holds the list keeps it alive and unchanged. The answer for a hole is "none".
//
// The address space up to the last block is cut into equal slots, each a power of two of bytes; a slot knows the first
// block that ends in it or behind it. A question looks at the blocks of one slot only: one or two on every machine that
// there is, whatever its size.
//
// Read-only after construction, hence no locks. Floor: mm.
#pragma once

#include "mm/types.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hv::mm {

class NodeMap {
public:
    constexpr NodeMap() = default;
    // `blocks` ascending, disjoint, none empty: see is_ordered().
    explicit NodeMap(std::span<MemoryBlock const> blocks);

    // O(1) as long as blocks are not much smaller than a slot, else O(log blocks in the slot).
    [[nodiscard]] std::optional<NodeId> node_of(PhysAddr address) const;
    [[nodiscard]] std::span<MemoryBlock const> blocks() const { return blocks_; }

    [[nodiscard]] static bool is_ordered(std::span<MemoryBlock const> blocks);

private:
    static constexpr std::size_t slot_count = 1024;

    std::span<MemoryBlock const> blocks_;
    unsigned shift_{0};                                 // log2 of a slot's bytes
    std::array<std::uint16_t, slot_count + 1> first_{}; // by slot; the last one is for the slot behind the last
};

} // namespace hv::mm
