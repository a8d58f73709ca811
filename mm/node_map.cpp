#include "mm/node_map.hpp"

#include <algorithm>
#include <limits>

namespace hv::mm {

NodeMap::NodeMap(std::span<MemoryBlock const> blocks) : blocks_{blocks}
{
    HV_ASSERT(is_ordered(blocks));
    HV_ASSERT(blocks.size() <= std::numeric_limits<std::uint16_t>::max());
    std::uint64_t const last{blocks.empty() ? 0 : blocks.back().end() - 1};
    while (last >> shift_ >= slot_count)
        ++shift_;
    std::size_t block{0};
    for (std::size_t slot = 0; slot <= slot_count; ++slot) {
        while (block < blocks.size() && (blocks[block].end() - 1) >> shift_ < slot)
            ++block;
        first_[slot] = static_cast<std::uint16_t>(block);
    }
}

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
    std::uint64_t const slot{address.value() >> shift_};
    if (slot >= slot_count)
        return std::nullopt;
    // Invariant: blocks before `low` end at or below the address, blocks from `high` on begin above it. The first block
    // that ends behind this slot may begin in it.
    std::size_t low{first_[slot]};
    std::size_t high{std::min<std::size_t>(first_[slot + 1] + std::size_t{1}, blocks_.size())};
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
