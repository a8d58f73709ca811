// The part of NodeAllocator that takes defective pages out of use and puts them back.
//
// A page that is free or dirty is cut out of its block and becomes a block of its own, offline. A cached one is called
// back first. One in use is marked, and its block becomes retiring instead of used, which only the node's lock changes
// back: caches do not take such a block, so that it comes home when it is given back, and there it is carved. Whether
// the block is retired or cached first is decided by one compare-and-exchange of its entry.
#include "mm/node_allocator.hpp"

namespace hv::mm {

void NodeAllocator::set_offline(BlockRef page)
{
    // What is back in use was zeroed, not poisoned.
    page.set(page.entry().with_head(PageState::offline, order_4k).with_defect(true).with_poison(false));
    ++offline_;
}

std::optional<BlockRef> NodeAllocator::find_block(Pfn page) const
{
    PageRegion* const region{buddy_.region_of(page)};
    std::optional<Pfn> const first = region != nullptr ? Buddy::block_of(*region, page) : std::nullopt;
    if (!first)
        return std::nullopt;
    return BlockRef{region, *first};
}

void NodeAllocator::carve(BlockRef block, Order order, bool is_dirty)
{
    PageEntry const owned{block.entry()};
    PageRegion& region{*block.region};
    Pfn const end{block.first.value() + order.pages()};
    Pfn at{block.first};
    while (at < end) {
        Pfn defect{at};
        while (defect < end && !region.get(defect).is_defective())
            defect = region.skip_empty(defect);
        if (defect > end)
            defect = end;
        while (at < defect) {
            BlockRef const piece{&region, at};
            Order const size{Buddy::largest_at(at, defect)};
            piece.set(piece.entry().with_owner_of(owned));
            if (is_dirty)
                buddy_.put_dirty(piece, size);
            else
                buddy_.put(piece, size);
            at = Pfn{at.value() + size.pages()};
        }
        if (defect < end) {
            set_offline({&region, defect});
            at = Pfn{defect.value() + 1};
        }
    }
}

std::optional<Retirement> NodeAllocator::try_retire(BlockRef block, Pfn page)
{
    PageEntry const entry{block.entry()};
    switch (entry.state()) {
    case PageState::offline:
        return Retirement::done;
    case PageState::free:
    case PageState::dirty:
        set_offline(buddy_.cut_out(block, page));
        note_free();
        return Retirement::done;
    case PageState::used:
        // False if its owner's pCPU puts it into a cache this instant.
        if (!block.region->replace(block.first, entry, entry.with_other_state(PageState::used, PageState::retiring)))
            return std::nullopt;
        break;
    case PageState::retiring:
        break;
    case PageState::none:
    case PageState::cached:
    case PageState::scrubbing:
        return std::nullopt;
    }
    block.region->set_defect(page, true);
    return Retirement::pending;
}

Result<Retirement, AllocError> NodeAllocator::retire(Pfn page)
{
    for (;;) {
        {
            Guard guard{lock_, irqs_off};
            std::optional<BlockRef> const block{find_block(page)};
            if (!block)
                return fail(AllocError::bad_request);
            if (std::optional<Retirement> const retirement = try_retire(*block, page))
                return *retirement;
        }
        // It is on its way: into a cache, in one, or being zeroed.
        static_cast<void>(drain_caches());
        arch::relax();
    }
}

Status<AllocError> NodeAllocator::put_back(Pfn page)
{
    Guard guard{lock_, irqs_off};
    std::optional<BlockRef> const block{find_block(page)};
    if (!block || !block->region->get(page).is_defective())
        return fail(AllocError::bad_request);
    PageRegion& region{*block->region};
    region.set_defect(page, false);
    if (block->entry().state() == PageState::offline) {
        --offline_;
        buddy_.put_dirty(*block, order_4k);
        note_free();
        return done;
    }
    // In use. Its other pages may have to go yet.
    Pfn const end{block->first.value() + block->entry().order().pages()};
    for (Pfn at{block->first}; at < end; at = region.skip_empty(at))
        if (region.get(at).is_defective())
            return done;
    for (PageEntry entry{block->entry()};
         !region.replace(block->first, entry, entry.with_other_state(PageState::retiring, PageState::used));
         entry = block->entry()) {}
    return done;
}

} // namespace hv::mm
