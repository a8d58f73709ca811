#include "mm/node_map.hpp"

namespace hv::mm {

NodeMap::NodeMap(std::span<MemoryBlock const> blocks) : blocks_{blocks} { HV_ASSERT(is_ordered(blocks)); }

bool NodeMap::is_ordered(std::span<MemoryBlock const> blocks)
{
    std::uint64_t previous_end{0};
    for (MemoryBlock const& block : blocks) {
        if (block.length == 0 || block.base.value() < previous_end || block.end() < block.base.value())
            return false;
        previous_end = block.end();
    }
    return true;
}

std::optional<NodeId> NodeMap::node_of(PhysAddr address) const
{
    // Invariant: blocks before `low` end at or below the address, blocks from `high` on begin above it.
    std::size_t low{0};
    std::size_t high{blocks_.size()};
    while (low < high) {
        std::size_t const middle = low + (high - low) / 2;
        MemoryBlock const& block = blocks_[middle];
        if (address < block.base)
            high = middle;
        else if (address.value() >= block.end())
            low = middle + 1;
        else
            return block.node;
    }
    return std::nullopt;
}

} // namespace hv::mm
