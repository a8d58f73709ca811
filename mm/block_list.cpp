#include "mm/block_list.hpp"

#include "mm/node_map.hpp"

namespace hv::mm {

BlockList::Answer BlockList::insert(MemoryBlock block)
{
    HV_ASSERT(block.base.value() % page_size == 0 && block.length % page_size == 0);
    HV_ASSERT(block.base.value() <= physical_limit && block.length <= physical_limit - block.base.value());
    if (block.length == 0)
        return Answer::done;
    std::size_t first{0};
    while (first < size_ && blocks_[first].end() < block.base.value())
        ++first;
    std::uint64_t start{block.base.value()};
    std::uint64_t end{block.end()};
    std::size_t last{first};
    for (; last < size_ && blocks_[last].base.value() <= block.end(); ++last) {
        MemoryBlock const& met = blocks_[last];
        if (met.node != block.node) {
            bool const only_touches = met.end() == block.base.value() || met.base.value() == block.end();
            if (!only_touches)
                return Answer::overlaps_other_node;
            if (met.end() != block.base.value())
                break; // It follows directly: it stays, behind the new block.
            HV_ASSERT(last == first);
            ++first;
            continue;
        }
        start = met.base.value() < start ? met.base.value() : start;
        end = met.end() > end ? met.end() : end;
    }
    if (size_ - (last - first) + 1 > capacity)
        return Answer::full;
    MemoryBlock const joined[]{{.base = PhysAddr{start}, .length = end - start, .node = block.node}};
    replace(first, last, joined);
    HV_ASSERT_SLOW(is_consistent());
    return Answer::done;
}

bool BlockList::cut(std::uint64_t from, std::uint64_t to)
{
    HV_ASSERT(from % page_size == 0 && to % page_size == 0);
    if (from >= to)
        return true;
    std::size_t first{0};
    while (first < size_ && blocks_[first].end() <= from)
        ++first;
    std::size_t last{first};
    while (last < size_ && blocks_[last].base.value() < to)
        ++last;
    if (first == last)
        return true;

    std::array<MemoryBlock, 2> rest{};
    std::size_t pieces{0};
    MemoryBlock const& lowest = blocks_[first];
    MemoryBlock const& highest = blocks_[last - 1];
    if (lowest.base.value() < from)
        rest[pieces++] = {.base = lowest.base, .length = from - lowest.base.value(), .node = lowest.node};
    if (highest.end() > to)
        rest[pieces++] = {.base = PhysAddr{to}, .length = highest.end() - to, .node = highest.node};
    if (size_ - (last - first) + pieces > capacity)
        return false;
    replace(first, last, {rest.data(), pieces});
    HV_ASSERT_SLOW(is_consistent());
    return true;
}

void BlockList::replace(std::size_t first, std::size_t last, std::span<MemoryBlock const> with)
{
    std::size_t const tail = size_ - last;
    std::size_t const moved_to = first + with.size();
    if (moved_to < last) {
        for (std::size_t i = 0; i < tail; ++i)
            blocks_[moved_to + i] = blocks_[last + i];
    } else {
        for (std::size_t i = tail; i-- > 0;)
            blocks_[moved_to + i] = blocks_[last + i];
    }
    for (std::size_t i = 0; i < with.size(); ++i)
        blocks_[first + i] = with[i];
    size_ = moved_to + tail;
}

bool BlockList::is_consistent() const
{
    for (std::size_t i = 1; i < size_; ++i)
        if (blocks_[i - 1].node == blocks_[i].node && blocks_[i - 1].end() == blocks_[i].base.value())
            return false; // These two should be one.
    return NodeMap::is_ordered(blocks());
}

} // namespace hv::mm
