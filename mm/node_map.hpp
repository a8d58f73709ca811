// Which node does this physical address belong to? A view of a list of blocks that is sorted by address and free of
// overlaps; whoever holds the list keeps it alive and unchanged. The answer for a hole is "none".
//
// Read-only after construction, hence no locks. Floor: mm.
#pragma once

#include "mm/types.hpp"

#include <optional>
#include <span>

namespace hv::mm {

class NodeMap {
public:
    constexpr NodeMap() = default;
    // `blocks` ascending, disjoint, none empty: see is_ordered().
    explicit NodeMap(std::span<MemoryBlock const> blocks);

    // O(log blocks).
    [[nodiscard]] std::optional<NodeId> node_of(PhysAddr address) const;
    [[nodiscard]] std::span<MemoryBlock const> blocks() const { return blocks_; }

    [[nodiscard]] static bool is_ordered(std::span<MemoryBlock const> blocks);

private:
    std::span<MemoryBlock const> blocks_;
};

} // namespace hv::mm
