// The part of NodeAllocator that finds mistakes: of those who free pages, and its own.
#include "mm/node_allocator.hpp"

namespace hv::mm {

PageRegion* NodeAllocator::find_used(PhysAddr block, Order order, MisuseReport& report) const
{
    PageRegion* const region{region_of(pfn_of(block))};
    if (region == nullptr) {
        report.kind = MisuseKind::no_memory;
        return nullptr;
    }
    if (block.value() % page_size == 0 && order.is_valid() && region->get(pfn_of(block)).is(PageState::used, order))
        return region;
    diagnose(*region, pfn_of(block), report);
    return nullptr;
}

void NodeAllocator::diagnose(PageRegion const& region, Pfn frame, MisuseReport& report) const
{
    report.kind = MisuseKind::never_allocated;
    // The first page of the block that holds this one has an entry, and its order reaches up to here.
    for (unsigned value = 0; value <= Order::largest; ++value) {
        Pfn const first{round_down(frame.value(), Order{value}.pages())};
        if (first < region.range().first)
            break;
        PageEntry const entry{region.get(first)};
        if (entry.state() == PageState::none || first.value() + entry.order().pages() <= frame.value())
            continue;
        report.state = entry.state();
        report.block = address_of(first);
        report.block_order = entry.order();
        report.owner = entry.state() == PageState::free ? region.get(frame).owner() : entry.owner();
        if (entry.state() == PageState::free)
            report.kind = MisuseKind::double_free;
        else
            report.kind = first == frame ? MisuseKind::wrong_order : MisuseKind::middle_page;
        break;
    }
    if (report.address.value() % page_size != 0)
        report.kind = MisuseKind::misaligned;
}

void NodeAllocator::die_of_corruption(Pfn block, Order order) const
{
    on_misuse_({.kind = MisuseKind::corrupt_links,
                .address = address_of(block),
                .order = order,
                .node = node_,
                .state = PageState::free,
                .block = address_of(block),
                .block_order = order,
                .owner = region_of(block)->get(block).owner()});
    // There is no going on, whatever the handler thinks: this list, at least, is lost.
    assert_fail("free pages keep what we wrote to them", __FILE__, __LINE__);
}

NodeStats NodeAllocator::stats() const
{
    Guard guard{lock_, irqs_off};
    std::uint64_t span{0};
    if (!regions_.empty())
        span = regions_.back().range().end.value() - regions_.front().range().first.value();
    return {.present = present_, .free = free_, .used = used_, .reserved = reserved_, .span = span};
}

bool NodeAllocator::is_consistent() const
{
    Guard guard{lock_, irqs_off};
    Walk const seen{walk()};
    if (!seen.is_sound || seen.free != free_ || seen.used != used_ || free_ + used_ + reserved_ != present_ ||
        free_pages_hint() != free_)
        return false;
    for (unsigned value = 0; value <= Order::largest; ++value)
        if (!list_is_sound(Order{value}, seen.free_blocks[value]))
            return false;
    return true;
}

NodeAllocator::Walk NodeAllocator::walk() const
{
    Walk result;
    for (PageRegion const& region : regions_) {
        Pfn at{region.range().first};
        while (at < region.range().end && result.is_sound) {
            PageEntry const entry{region.get(at)};
            if (entry.state() == PageState::none) {
                at = region.skip_empty(at);
                continue;
            }
            walk_block(region, at, entry, result);
            at = Pfn{at.value() + entry.order().pages()};
        }
    }
    return result;
}

void NodeAllocator::walk_block(PageRegion const& region, Pfn first, PageEntry entry, Walk& walk) const
{
    Order const order{entry.order()};
    if (!order.is_valid() || first.value() % order.pages() != 0 || !region.contains(first, order)) {
        walk.is_sound = false;
        return;
    }
    // Only a block's first page has a state.
    for (Pfn at = region.skip_empty(first); at.value() < first.value() + order.pages(); at = region.skip_empty(at))
        if (region.get(at).state() != PageState::none)
            walk.is_sound = false;
    if (entry.state() == PageState::used) {
        walk.used += order.pages();
        return;
    }
    walk.free += order.pages();
    ++walk.free_blocks[order.value()];
    if (order.value() < Order::largest && has_free_buddy(region, first, order))
        walk.is_sound = false;
}

bool NodeAllocator::list_is_sound(Order order, std::uint64_t expected) const
{
    FreeList const& list = lists_[order.value()];
    if (list.empty() == ((non_empty_ >> order.value() & 1) != 0))
        return false;
    std::uint64_t length{0};
    std::optional<Pfn> block;
    if (!list.empty())
        block = list.front();
    // Bounded, should the links form a ring. As many list members as free blocks means the same blocks.
    for (; block && length <= expected; block = FreeList::next(map_, *block)) {
        PageRegion const* const region{region_of(*block)};
        if (region == nullptr || !region->get(*block).is(PageState::free, order) || !FreeList::is_intact(map_, *block))
            return false;
        ++length;
    }
    return length == expected;
}

std::uint64_t NodeAllocator::pages_of(DomainId owner) const
{
    Guard guard{lock_, irqs_off};
    std::uint64_t pages{0};
    for (PageRegion const& region : regions_) {
        Pfn at{region.range().first};
        while (at < region.range().end) {
            PageEntry const entry{region.get(at)};
            if (entry.state() == PageState::used && entry.owner() == owner)
                pages += entry.order().pages();
            at = entry.state() == PageState::none ? region.skip_empty(at) : Pfn{at.value() + entry.order().pages()};
        }
    }
    return pages;
}

std::uint64_t NodeAllocator::free_blocks(Order order) const
{
    HV_ASSERT(order.is_valid());
    Guard guard{lock_, irqs_off};
    return walk().free_blocks[order.value()];
}

} // namespace hv::mm
