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

} // namespace

NodeAllocator::NodeAllocator(NodeId node, PageRegion* regions, std::size_t count, std::size_t capacity,
                             NodeRules const& rules)
    : node_{node}, rules_{rules}, regions_{regions, count, capacity},
      lock_{LockKey{.rank = node_lock_rank, .ordinal = node.value()}}, present_{pages_in(regions_.all())},
      buddy_{node, regions_, rules.map, rules.on_misuse}, reserved_{present_}
{
    HV_ASSERT(rules.on_misuse != nullptr && count > 0);
}

bool NodeAllocator::add_region(PageRange range, std::byte* metadata)
{
    Guard guard{lock_, irqs_off};
    if (regions_.is_full() || range.first < end())
        return false;
    regions_.add(range, metadata);
    present_ += range.pages();
    reserved_ += range.pages();
    return true;
}

void NodeAllocator::add_free(PageRange range)
{
    Guard guard{lock_, irqs_off};
    HV_ASSERT(range.pages() <= reserved_);
    buddy_.add(range);
    reserved_ -= range.pages();
    note_free();
}

void NodeAllocator::add_cache(PageCache& cache)
{
    PageCache* first{caches_.load(std::memory_order_relaxed)};
    do
        cache.next_of_node_ = first;
    while (!caches_.compare_exchange_weak(first, &cache, std::memory_order_release, std::memory_order_relaxed));
}

Result<PhysAddr, AllocError> NodeAllocator::allocate(NodeRequest const& request)
{
    if (!request.order.is_valid())
        return fail(AllocError::order_too_large);
    std::optional<BlockRef> block{allocate_or_scrub(request)};
    if (!block && !request.spares_low && drain_caches())
        block = allocate_or_scrub(request);
    if (!block)
        return fail(AllocError::exhausted_node);
    PhysAddr const address{address_of(block->first)};
    if constexpr (is_debug)
        check_content(address, request.order);
    return address;
}

std::optional<BlockRef> NodeAllocator::allocate_or_scrub(NodeRequest const& request)
{
    for (;;) {
        // A search of many full nodes should not queue for their locks. A page freed this instant may be missed.
        if (free_pages_hint() < request.order.pages())
            return std::nullopt;
        Step step;
        {
            Guard guard{lock_, irqs_off};
            step = try_allocate(request);
        }
        if (step.dirty) {
            std::uint64_t const pages{step.dirty->entry().order().pages()};
            zero(step.dirty->first, pages);
            Guard guard{lock_, irqs_off};
            finish_scrub(*step.dirty, pages);
        } else if (step.shall_wait) {
            arch::relax();
        } else {
            return step.block;
        }
    }
}

NodeAllocator::Step NodeAllocator::try_allocate(NodeRequest const& request)
{
    std::uint64_t const pages{request.order.pages()};
    std::uint64_t const own_claim{request.account != nullptr ? request.account->claim_on(node_) : 0};
    HV_ASSERT(own_claim <= claimed_);
    if (free_count() < claimed_ - own_claim + pages)
        return {};
    std::uint64_t const low_floor{request.spares_low ? rules_.low_reserve : 0};
    std::optional<BlockRef> const block{buddy_.take(request.order, request.below, low_floor)};
    if (!block) {
        // With a floor what is left is not for us, dirty or not: better another node's.
        std::optional<BlockRef> dirty;
        if (low_floor == 0)
            dirty = buddy_.take_dirty(request.order, request.order);
        if (dirty)
            scrubbing_ += dirty->entry().order().pages();
        return {.block = {}, .dirty = dirty, .shall_wait = !dirty && low_floor == 0 && scrubbing_ > 0};
    }
    // The poison bit stays: it belongs to the content, which is checked later.
    block->set(PageEntry{PageState::used, request.order, request.owner}.with_poison(block->entry().is_poisoned()));
    std::uint64_t const from_claim{own_claim < pages ? own_claim : pages};
    if (from_claim > 0) {
        claimed_ -= from_claim;
        request.account->unclaim(node_, from_claim);
    }
    note_free();
    return {.block = block, .dirty = {}};
}

std::optional<DomainId> NodeAllocator::free(PhysAddr block, Order order, std::uintptr_t caller)
{
    MisuseReport report{.address = block, .order = order, .node = node_, .caller = caller};
    {
        Guard guard{lock_, irqs_off};
        if (std::optional<BlockRef> const found = find_used(block, order, report)) {
            PageEntry const entry{found->entry()};
            DomainAccount const* const account{rules_.accounts.at(entry.owner_slot())};
            if (found->region->replace(found->first, entry, entry.without_state())) {
                bool const is_dirty = account != nullptr && account->is_dying();
                if constexpr (is_debug)
                    spoil_content(block, order, caller, !is_dirty);
                if (entry.state() == PageState::retiring)
                    carve(*found, order, is_dirty);
                else if (is_dirty)
                    buddy_.put_dirty(*found, order);
                else
                    buddy_.put(*found, order);
                note_free();
                return entry.owner();
            }
            diagnose(*found->region, found->first, report); // Another pCPU was faster.
        }
    }
    rules_.on_misuse(report);
    return std::nullopt;
}

std::optional<DomainId> NodeAllocator::transfer(PhysAddr block, Order order, DomainId owner)
{
    MisuseReport report{.address = block, .order = order, .node = node_};
    {
        Guard guard{lock_, irqs_off};
        if (std::optional<BlockRef> const found = find_used(block, order, report)) {
            PageEntry const entry{found->entry()};
            if (found->region->replace(found->first, entry,
                                       entry.with_owner_of(PageEntry{PageState::used, order, owner})))
                return entry.owner();
            diagnose(*found->region, found->first, report);
        }
    }
    rules_.on_misuse(report);
    return std::nullopt;
}

std::uint32_t NodeAllocator::refill(Order order, std::span<PhysAddr> blocks, std::span<PageRegion::Slot*> slots)
{
    HV_ASSERT(blocks.size() <= slots.size());
    Guard guard{lock_, irqs_off};
    std::uint64_t const most_blocks{unclaimed() / order.pages()};
    std::uint64_t const wanted{most_blocks < blocks.size() ? most_blocks : blocks.size()};
    std::uint32_t got{0};
    unsigned most{order.value() + 5};
    while (got < wanted) {
        // In one piece if possible, which costs one search.
        unsigned const fits{order.value() + static_cast<unsigned>(std::bit_width(wanted - got)) - 1};
        Order const piece{most < fits ? most : fits};
        std::optional<BlockRef> const taken{buddy_.take(piece, physical_limit, 0)};
        if (!taken) {
            if (piece == order)
                break;
            most = piece.value() - 1;
            continue;
        }
        PageRegion::Slot* const entries{taken->region->slots(taken->first, piece)};
        for (std::uint64_t at = 0; at < piece.pages(); at += order.pages()) {
            PageEntry const entry{PageRegion::load(entries[at]).with_head(PageState::cached, order)};
            entries[at].store(entry.bits(), std::memory_order_relaxed);
            slots[got] = &entries[at];
            blocks[got++] = address_of(Pfn{taken->first.value() + at});
        }
    }
    note_free();
    return got;
}

void NodeAllocator::take_back(Order order, std::span<PhysAddr const> blocks)
{
    if (blocks.empty())
        return;
    Guard guard{lock_, irqs_off};
    for (PhysAddr const block : blocks) {
        BlockRef const cached{buddy_.region_of(pfn_of(block)), pfn_of(block)};
        HV_ASSERT(cached.entry().is(PageState::cached, order));
        buddy_.put(cached, order);
    }
    note_free();
}

bool NodeAllocator::drain_caches()
{
    bool found{false};
    for (PageCache* cache = caches_.load(std::memory_order_acquire); cache != nullptr; cache = cache->next_of_node_) {
        if (cache->pages() == 0)
            continue;
        cache->drain();
        found = true;
    }
    return found;
}

std::uint64_t NodeAllocator::cached_pages() const
{
    std::uint64_t pages{0};
    for (PageCache* cache = caches_.load(std::memory_order_acquire); cache != nullptr; cache = cache->next_of_node_)
        pages += cache->pages();
    return pages;
}

void NodeAllocator::note_free()
{
    // relaxed: hints order nothing, the lock does.
    free_hint_.store(free_count(), std::memory_order_relaxed);
    dirty_hint_.store(buddy_.dirty_pages(), std::memory_order_relaxed);
}

} // namespace hv::mm
