#include "mm/buddy.hpp"

#include <bit>

namespace hv::mm {

namespace {

Pfn offset(Pfn frame, std::uint64_t pages) { return Pfn{frame.value() + pages}; }
Pfn buddy_of(Pfn block, Order order) { return Pfn{block.value() ^ order.pages()}; }
unsigned index_of(Shelf shelf) { return static_cast<unsigned>(shelf); }

} // namespace

void Buddy::add(PageRange range)
{
    PageRegion* const region{region_of(range.first)};
    HV_ASSERT(region != nullptr && range.end <= region->range().end);
    Pfn at{range.first};
    while (at < range.end) {
        Order const order{largest_at(at, range.end)};
        push(shelf_of(at), {region, at}, order, PageEntry{PageState::free, order, kernel_owner});
        at = offset(at, order.pages());
    }
}

Order Buddy::largest_at(Pfn at, Pfn end)
{
    auto const by_alignment = static_cast<unsigned>(std::countr_zero(at.value()));
    auto const by_length = static_cast<unsigned>(std::bit_width(end.value() - at.value())) - 1;
    unsigned const fits{by_alignment < by_length ? by_alignment : by_length};
    return Order{fits < Order::largest ? fits : Order::largest};
}

std::optional<Pfn> Buddy::block_of(PageRegion const& region, Pfn page)
{
    for (unsigned value = 0; value <= Order::largest; ++value) {
        Pfn const first{round_down(page.value(), Order{value}.pages())};
        if (first < region.range().first)
            break;
        PageEntry const entry{region.get(first)};
        if (entry.state() != PageState::none && page.value() < first.value() + entry.order().pages())
            return first;
    }
    return std::nullopt;
}

std::optional<BlockRef> Buddy::take(Order order, std::uint64_t below, std::uint64_t low_floor)
{
    for (Shelf const shelf : {Shelf::high, Shelf::low}) {
        std::uint32_t const candidates{non_empty_[index_of(shelf)] >> order.value()};
        if (candidates == 0 || (shelf == Shelf::low && low_pages() < low_floor + order.pages()))
            continue;
        std::optional<BlockRef> block;
        Order found{order.value() + static_cast<unsigned>(std::countr_zero(candidates))};
        if (below >= physical_limit || (shelf == Shelf::low && below >= low_memory_limit)) {
            Pfn const front{list(shelf, found).front()};
            block = BlockRef{region_of(front), front};
        } else {
            block = find_below(shelf, order, below);
            if (!block)
                continue;
            found = block->entry().order();
        }
        unlink(shelf, *block, found);
        return split(*block, found, order, below);
    }
    return std::nullopt;
}

std::optional<BlockRef> Buddy::find_below(Shelf shelf, Order order, std::uint64_t below)
{
    for (unsigned value = order.value(); value <= Order::largest; ++value) {
        FreeList const& candidates = list(shelf, Order{value});
        std::optional<Pfn> block;
        if (!candidates.empty())
            block = candidates.front();
        for (; block; block = FreeList::next(map_, *block))
            if (address_of(*block).value() + order.bytes() <= below)
                return BlockRef{region_of(*block), *block};
    }
    return std::nullopt;
}

BlockRef Buddy::split(BlockRef block, Order from, Order to, std::uint64_t below)
{
    while (from > to) {
        from = Order{from.value() - 1};
        BlockRef const upper{block.region, offset(block.first, from.pages())};
        bool const take_upper = address_of(upper.first).value() + to.bytes() <= below;
        BlockRef const rest{take_upper ? block : upper};
        push(shelf_of(rest.first), rest, from, rest.entry().with_head(PageState::free, from));
        if (take_upper)
            block = upper;
    }
    return block;
}

void Buddy::put(BlockRef block, Order order)
{
    while (order.value() < Order::largest && has_free_buddy(*block.region, block.first, order)) {
        BlockRef const buddy{block.region, buddy_of(block.first, order)};
        unlink(shelf_of(buddy.first), buddy, order);
        // Neither half is the first page of a block now, unless push() below says so; last owners stay readable.
        buddy.set(buddy.entry().without_state());
        block.set(block.entry().without_state());
        order = Order{order.value() + 1};
        block.first = Pfn{round_down(block.first.value(), order.pages())};
    }
    push(shelf_of(block.first), block, order, block.entry().with_head(PageState::free, order));
}

void Buddy::put_dirty(BlockRef block, Order order)
{
    push(Shelf::dirty, block, order, block.entry().with_head(PageState::dirty, order));
}

BlockRef Buddy::cut_out(BlockRef block, Pfn page)
{
    PageEntry const head{block.entry()};
    bool const is_dirty{head.state() == PageState::dirty};
    Order order{head.order()};
    unlink(is_dirty ? Shelf::dirty : shelf_of(block.first), block, order);
    while (order.value() > 0) {
        order = Order{order.value() - 1};
        BlockRef const upper{block.region, offset(block.first, order.pages())};
        BlockRef const rest{page < upper.first ? upper : block};
        if (page >= upper.first)
            block = upper;
        push(is_dirty ? Shelf::dirty : shelf_of(rest.first), rest, order, rest.entry().with_head(head.state(), order));
    }
    return block;
}

std::optional<BlockRef> Buddy::take_dirty(Order at_least, Order at_most)
{
    std::uint32_t const all{non_empty_[index_of(Shelf::dirty)]};
    if (all == 0)
        return std::nullopt;
    std::uint32_t const large_enough{all >> at_least.value()};
    Order found{large_enough != 0 ? at_least.value() + static_cast<unsigned>(std::countr_zero(large_enough))
                                  : std::bit_width(all) - 1};
    Pfn const front{list(Shelf::dirty, found).front()};
    BlockRef block{region_of(front), front};
    unlink(Shelf::dirty, block, found);
    while (found > at_most) {
        found = Order{found.value() - 1};
        put_dirty(block, found);
        block.first = offset(block.first, found.pages());
    }
    block.set(block.entry().with_head(PageState::scrubbing, found));
    return block;
}

bool Buddy::has_free_buddy(PageRegion const& region, Pfn first, Order order) const
{
    Pfn const buddy{buddy_of(first, order)};
    return region.contains(buddy, order) && region.get(buddy).is(PageState::free, order);
}

void Buddy::push(Shelf shelf, BlockRef block, Order order, PageEntry entry)
{
    block.set(entry);
    list(shelf, order).push(map_, block.first);
    non_empty_[index_of(shelf)] |= 1u << order.value();
    pages_[index_of(shelf)] += order.pages();
}

void Buddy::unlink(Shelf shelf, BlockRef block, Order order)
{
    PageState const state{shelf == Shelf::dirty ? PageState::dirty : PageState::free};
    if (!block.entry().is(state, order) || !list(shelf, order).remove(map_, block.first))
        die_of_corruption(block, order);
    if (list(shelf, order).empty())
        non_empty_[index_of(shelf)] &= ~(1u << order.value());
    pages_[index_of(shelf)] -= order.pages();
}

void Buddy::die_of_corruption(BlockRef block, Order order) const
{
    on_misuse_({.kind = MisuseKind::corrupt_links,
                .address = address_of(block.first),
                .order = order,
                .node = node_,
                .state = block.entry().state(),
                .block = address_of(block.first),
                .block_order = order,
                .owner = block.entry().owner(),
                .caller = block.region->caller(block.first)});
    // There is no going on, whatever the handler thinks: this list, at least, is lost.
    assert_fail("free pages keep what we wrote to them", __FILE__, __LINE__);
}

Buddy::Walk Buddy::walk() const
{
    Walk result;
    for (PageRegion const& region : regions_.all()) {
        Pfn at{region.range().first};
        while (at < region.range().end && result.is_sound) {
            PageEntry const entry{region.get(at)};
            if (entry.state() == PageState::none) {
                at = region.skip_empty(at);
                continue;
            }
            walk_block(region, at, entry, result);
            at = offset(at, entry.order().pages());
        }
    }
    return result;
}

void Buddy::walk_block(PageRegion const& region, Pfn first, PageEntry entry, Walk& walk) const
{
    Order const order{entry.order()};
    if (!order.is_valid() || first.value() % order.pages() != 0 || !region.contains(first, order)) {
        walk.is_sound = false;
        return;
    }
    // Only a block's first page has a state, and only in two states are there defective pages.
    bool has_defect{entry.is_defective()};
    for (Pfn at = region.skip_empty(first); at.value() < first.value() + order.pages(); at = region.skip_empty(at)) {
        if (region.get(at).state() != PageState::none)
            walk.is_sound = false;
        has_defect = has_defect || region.get(at).is_defective();
    }
    if (has_defect != (entry.state() == PageState::retiring || entry.state() == PageState::offline))
        walk.is_sound = false;
    switch (entry.state()) {
    case PageState::none:
        break;
    case PageState::used:
    case PageState::retiring:
        walk.used += order.pages();
        break;
    case PageState::cached:
        walk.cached += order.pages();
        break;
    case PageState::offline:
        walk.offline += order.pages();
        break;
    case PageState::scrubbing:
        walk.scrubbing += order.pages();
        break;
    case PageState::dirty:
        walk.dirty += order.pages();
        ++walk.blocks[index_of(Shelf::dirty)][order.value()];
        break;
    case PageState::free:
        walk.free += order.pages();
        ++walk.blocks[index_of(shelf_of(first))][order.value()];
        if (order.value() < Order::largest && has_free_buddy(region, first, order))
            walk.is_sound = false;
        break;
    }
}

bool Buddy::lists_agree_with(Walk const& walk) const
{
    if (walk.free != free_pages() || walk.dirty != dirty_pages())
        return false;
    for (Shelf const shelf : {Shelf::high, Shelf::low, Shelf::dirty})
        for (unsigned value = 0; value <= Order::largest; ++value)
            if (!list_is_sound(shelf, Order{value}, walk.blocks[index_of(shelf)][value]))
                return false;
    return true;
}

bool Buddy::list_is_sound(Shelf shelf, Order order, std::uint64_t expected) const
{
    FreeList const& blocks = lists_[index_of(shelf)][order.value()];
    PageState const state{shelf == Shelf::dirty ? PageState::dirty : PageState::free};
    if (blocks.empty() == ((non_empty_[index_of(shelf)] >> order.value() & 1) != 0))
        return false;
    std::uint64_t length{0};
    std::optional<Pfn> block;
    if (!blocks.empty())
        block = blocks.front();
    // Bounded, should the links form a ring. As many list members as free blocks means the same blocks.
    for (; block && length <= expected; block = FreeList::next(map_, *block)) {
        PageRegion const* const region{region_of(*block)};
        if (region == nullptr || !region->get(*block).is(state, order) || !FreeList::is_intact(map_, *block))
            return false;
        ++length;
    }
    return length == expected;
}

} // namespace hv::mm
