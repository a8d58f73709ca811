#include "mm/node_allocator.hpp"

#include <bit>

namespace hv::mm {

namespace {

std::uint64_t pages_in(std::span<PageRegion const> regions)
{
    std::uint64_t pages{0};
    for (PageRegion const& region : regions)
        pages += region.range().pages();
    return pages;
}

Pfn offset(Pfn frame, std::uint64_t pages) { return Pfn{frame.value() + pages}; }
Pfn buddy_of(Pfn block, Order order) { return Pfn{block.value() ^ order.pages()}; }
Pfn aligned(Pfn frame, Order order) { return Pfn{round_down(frame.value(), order.pages())}; }

} // namespace

NodeAllocator::NodeAllocator(NodeId node, std::span<PageRegion> regions, DirectMap map, MisuseHandler on_misuse)
    : node_{node}, map_{map}, on_misuse_{on_misuse}, regions_{regions}, present_{pages_in(regions)},
      lock_{LockKey{.rank = node_lock_rank, .ordinal = node.value()}}, reserved_{present_}
{
    HV_ASSERT(on_misuse != nullptr);
}

void NodeAllocator::add_free(PageRange range)
{
    Guard guard{lock_, irqs_off};
    PageRegion* const region{region_of(range.first)};
    HV_ASSERT(region != nullptr && range.end <= region->range().end && range.pages() <= reserved_);
    Pfn at{range.first};
    while (at < range.end) {
        auto const by_alignment = static_cast<unsigned>(std::countr_zero(at.value()));
        auto const by_length = static_cast<unsigned>(std::bit_width(range.end.value() - at.value())) - 1;
        unsigned const fits{by_alignment < by_length ? by_alignment : by_length};
        Order const order{fits < Order::largest ? fits : Order::largest};
        push(*region, at, order, kernel_owner);
        at = offset(at, order.pages());
    }
    reserved_ -= range.pages();
    count_free(free_ + range.pages());
}

Result<PhysAddr, AllocError> NodeAllocator::allocate(Order order, DomainId owner)
{
    if (!order.is_valid())
        return fail(AllocError::order_too_large);
    // A search of many full nodes should not queue for their locks. A page freed this instant may be missed.
    if (free_pages_hint() < order.pages())
        return fail(AllocError::exhausted_node);
    Guard guard{lock_, irqs_off};
    if ((non_empty_ >> order.value()) == 0)
        return fail(AllocError::exhausted_node);
    Pfn const block{take_from_lists(order, owner)};
    used_ += order.pages();
    count_free(free_ - order.pages());
    return address_of(block);
}

Pfn NodeAllocator::take_from_lists(Order order, DomainId owner)
{
    auto const above = static_cast<unsigned>(std::countr_zero(non_empty_ >> order.value()));
    Order found{order.value() + above};
    Pfn block{lists_[found.value()].front()};
    PageRegion& region = *region_of(block);
    unlink(region, block, found);
    while (found > order) {
        // The lower half goes back; the entry of its first page is rewritten by that.
        found = Order{found.value() - 1};
        push(region, block, found, region.get(block).owner());
        block = offset(block, found.pages());
    }
    region.set(block, PageEntry{PageState::used, order, owner});
    return block;
}

std::optional<DomainId> NodeAllocator::free(PhysAddr block, Order order)
{
    MisuseReport report{.address = block, .order = order, .node = node_};
    {
        Guard guard{lock_, irqs_off};
        if (PageRegion* const region = find_used(block, order, report)) {
            DomainId const owner{region->get(pfn_of(block)).owner()};
            put_into_lists(*region, pfn_of(block), order, owner);
            used_ -= order.pages();
            count_free(free_ + order.pages());
            return owner;
        }
    }
    on_misuse_(report);
    return std::nullopt;
}

std::optional<DomainId> NodeAllocator::transfer(PhysAddr block, Order order, DomainId owner)
{
    MisuseReport report{.address = block, .order = order, .node = node_};
    {
        Guard guard{lock_, irqs_off};
        if (PageRegion* const region = find_used(block, order, report)) {
            DomainId const before{region->get(pfn_of(block)).owner()};
            region->set(pfn_of(block), PageEntry{PageState::used, order, owner});
            return before;
        }
    }
    on_misuse_(report);
    return std::nullopt;
}

void NodeAllocator::put_into_lists(PageRegion& region, Pfn block, Order order, DomainId last_owner)
{
    while (order.value() < Order::largest && has_free_buddy(region, block, order)) {
        Pfn const buddy{buddy_of(block, order)};
        unlink(region, buddy, order);
        // Neither half is the first page of a block now, unless push() below says so; last owners stay readable.
        region.set(buddy, PageEntry{PageState::none, Order{}, region.get(buddy).owner()});
        region.set(block, PageEntry{PageState::none, Order{}, last_owner});
        if (buddy < block)
            last_owner = region.get(buddy).owner();
        order = Order{order.value() + 1};
        block = aligned(block, order);
    }
    push(region, block, order, last_owner);
}

bool NodeAllocator::has_free_buddy(PageRegion const& region, Pfn first, Order order) const
{
    Pfn const buddy{buddy_of(first, order)};
    return region.contains(buddy, order) && region.get(buddy).is(PageState::free, order);
}

void NodeAllocator::push(PageRegion& region, Pfn block, Order order, DomainId last_owner)
{
    region.set(block, PageEntry{PageState::free, order, last_owner});
    lists_[order.value()].push(map_, block);
    non_empty_ |= 1u << order.value();
}

void NodeAllocator::unlink(PageRegion& region, Pfn block, Order order)
{
    if (!region.get(block).is(PageState::free, order) || !lists_[order.value()].remove(map_, block))
        die_of_corruption(block, order);
    if (lists_[order.value()].empty())
        non_empty_ &= ~(1u << order.value());
}

void NodeAllocator::count_free(std::uint64_t pages)
{
    free_ = pages;
    // relaxed: a hint orders nothing, the lock does.
    free_hint_.store(pages, std::memory_order_relaxed);
}

PageRegion* NodeAllocator::region_of(Pfn frame) const
{
    // Few: RAM of one node is rarely in more than three pieces.
    for (PageRegion& region : regions_)
        if (region.range().contains(frame))
            return &region;
    return nullptr;
}

} // namespace hv::mm
