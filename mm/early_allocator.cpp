#include "mm/early_allocator.hpp"

#include <bit>

namespace hv::mm {

namespace {

Failure<BuildError> fault(BuildFault what, std::size_t index, std::uint64_t value)
{
    return fail(BuildError{.fault = what, .index = index, .value = value});
}

} // namespace

Status<BuildError> EarlyAllocator::init(MachineMemory const& machine)
{
    present_.clear();
    available_.clear();
    is_sealed_ = false;
    if (machine.nodes < 1 || machine.nodes > NodeMask::capacity)
        return fault(BuildFault::node_count, 0, machine.nodes);
    if (!machine.distances.empty() && machine.distances.size() != std::size_t{machine.nodes} * machine.nodes)
        return fault(BuildFault::distance_count, 0, machine.distances.size());
    if (machine.on_misuse == nullptr)
        return fault(BuildFault::no_handler, 0, 0);
    order_.compute(machine.nodes, machine.distances);
    rules_ = machine;
    rules_.blocks = {};
    rules_.reserved = {};
    rules_.distances = {};

    Status<BuildError> result = add_blocks(machine.blocks);
    if (result)
        result = remove_reserved(machine.reserved);
    if (!result) {
        present_.clear();
        available_.clear();
    }
    return result;
}

Status<BuildError> EarlyAllocator::add_blocks(std::span<MemoryBlock const> blocks)
{
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        MemoryBlock const& block = blocks[i];
        if (block.node.value() >= nodes())
            return fault(BuildFault::block_node, i, block.node.value());
        if (block.length > physical_limit || block.base.value() > physical_limit - block.length)
            return fault(BuildFault::block_range, i, block.base.value());
        std::uint64_t const start = round_up(block.base.value(), page_size);
        std::uint64_t const end = round_down(block.end(), page_size);
        if (start >= end)
            continue; // Less than a page.
        switch (present_.insert({.base = PhysAddr{start}, .length = end - start, .node = block.node})) {
        case BlockList::Answer::done:
            break;
        case BlockList::Answer::overlaps_other_node:
            return fault(BuildFault::block_overlap, i, block.base.value());
        case BlockList::Answer::full:
            return fault(BuildFault::too_many_blocks, i, BlockList::capacity);
        }
    }
    available_ = present_;
    // Frame 0 is never handed out: 0 is how page tables, list links and people say "nothing".
    return available_.cut(0, page_size) ? Status<BuildError>{done}
                                        : fault(BuildFault::too_many_reserved, 0, BlockList::capacity);
}

Status<BuildError> EarlyAllocator::remove_reserved(std::span<PhysRange const> reserved)
{
    for (std::size_t i = 0; i < reserved.size(); ++i) {
        std::uint64_t const base = reserved[i].base.value();
        if (reserved[i].length == 0 || base >= physical_limit)
            continue; // There is no RAM up there.
        std::uint64_t const room = physical_limit - base;
        std::uint64_t const length = reserved[i].length < room ? reserved[i].length : room;
        if (!available_.cut(round_down(base, page_size), round_up(base + length, page_size)))
            return fault(BuildFault::too_many_reserved, i, BlockList::capacity);
    }
    return done;
}

bool EarlyAllocator::is_sound(EarlyRequest const& request) const
{
    return !is_sealed_ && request.bytes > 0 && request.bytes <= physical_limit && std::has_single_bit(request.align) &&
           request.align <= physical_limit && request.node.value() < nodes();
}

Result<PhysAddr, AllocError> EarlyAllocator::allocate(EarlyRequest const& request)
{
    if (!is_sound(request))
        return fail(AllocError::bad_request);
    if (std::optional<PhysAddr> const taken = take(request, request.node))
        return *taken;
    return fail(AllocError::exhausted_node);
}

Result<PhysAddr, AllocError> EarlyAllocator::allocate_near(EarlyRequest const& request)
{
    if (!is_sound(request))
        return fail(AllocError::bad_request);
    for (unsigned n = 0; n < nodes(); ++n)
        if (std::optional<PhysAddr> const taken = take(request, order_.nth(request.node, n)))
            return *taken;
    return fail(AllocError::exhausted);
}

std::optional<PhysAddr> EarlyAllocator::take(EarlyRequest const& request, NodeId node)
{
    std::uint64_t const bytes = round_up(request.bytes, page_size);
    std::uint64_t const align = request.align < page_size ? page_size : request.align;
    std::span<MemoryBlock const> const blocks = available_.blocks();
    for (std::size_t i = blocks.size(); i-- > 0;) {
        MemoryBlock const& block = blocks[i];
        if (block.node != node)
            continue;
        std::uint64_t const end = block.end() < request.below.value() ? block.end() : request.below.value();
        if (end < bytes)
            continue;
        std::uint64_t const start = round_down(end - bytes, align);
        if (start < block.base.value())
            continue;
        if (available_.cut(start, start + bytes))
            return PhysAddr{start};
    }
    return std::nullopt;
}

std::uint64_t EarlyAllocator::available_pages(NodeId node) const
{
    std::uint64_t pages{0};
    for (MemoryBlock const& block : available())
        if (block.node == node)
            pages += block.length >> page_shift;
    return pages;
}

} // namespace hv::mm
