// The part of NodeAllocator that takes defective pages out of use and puts them back.
//
// A page that is free or dirty is cut out of its block and becomes a block of its own, offline. A cached one is called
// back first. One in use is marked, and so is its block, as retiring: caches do not take such a block, so that it comes
// home when it is given back, and there it is carved. As caches take what is used without the node's lock, the mark
// counts only after every one of them was locked once: until then one may still overwrite it.
#include "mm/node_allocator.hpp"

namespace hv::mm {

void NodeAllocator::set_offline(BlockRef page)
{
    // What is back in use was zeroed, not poisoned.
    page.set(page.entry().with_head(PageState::offline, order_4k).with_defect(true).with_poison(false));
    ++offline_;
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

void NodeAllocator::pass_through_caches()
{
    for (PageCache* cache = caches_.load(std::memory_order_acquire); cache != nullptr; cache = cache->next_of_node_)
        cache->drain();
}

Result<Retirement, AllocError> NodeAllocator::retire(Pfn page)
{
    for (;;) {
        {
            Guard guard{lock_, irqs_off};
            PageRegion* const region{buddy_.region_of(page)};
            std::optional<Pfn> const first = region != nullptr ? Buddy::block_of(*region, page) : std::nullopt;
            if (!first)
                return fail(AllocError::bad_request);
            PageEntry const entry{region->get(*first)};
            switch (entry.state()) {
            case PageState::offline:
                return Retirement::done;
            case PageState::free:
            case PageState::dirty:
                set_offline(buddy_.cut_out({region, *first}, page));
                note_free();
                return Retirement::done;
            case PageState::used:
                // False if its pCPU puts it into a cache this instant: looked at again like all that do not stay.
                static_cast<void>(
                    region->replace(*first, entry, entry.with_other_state(PageState::used, PageState::retiring)));
                break;
            case PageState::retiring:
                // Either marked by us and seen by all, or for another page's sake, since when all have seen it.
                region->set_defect(page, true);
                return Retirement::pending;
            case PageState::none:
            case PageState::cached:
            case PageState::scrubbing:
                break;
            }
        }
        pass_through_caches();
        arch::relax();
    }
}

Status<AllocError> NodeAllocator::put_back(Pfn page)
{
    Guard guard{lock_, irqs_off};
    PageRegion* const region{buddy_.region_of(page)};
    std::optional<Pfn> const first = region != nullptr ? Buddy::block_of(*region, page) : std::nullopt;
    if (!first || !region->get(page).is_defective())
        return fail(AllocError::bad_request);
    BlockRef const block{region, *first};
    region->set_defect(page, false);
    if (block.entry().state() == PageState::offline) {
        --offline_;
        buddy_.put_dirty(block, order_4k);
        note_free();
        return done;
    }
    // In use. Its other pages may have to go yet.
    Pfn at{*first};
    Pfn const end{first->value() + block.entry().order().pages()};
    while (at < end && !region->get(at).is_defective())
        at = region->skip_empty(at);
    if (at >= end)
        while (!region->replace(*first, block.entry(),
                                block.entry().with_other_state(PageState::retiring, PageState::used))) {}
    return done;
}

} // namespace hv::mm
