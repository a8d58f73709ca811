// The part of NodeAllocator that finds mistakes: of those who free pages, and its own.
#include "mm/node_allocator.hpp"

namespace hv::mm {

std::optional<BlockRef> NodeAllocator::find_used(PhysAddr block, Order order, MisuseReport& report) const
{
    PageRegion* const region{buddy_.region_of(pfn_of(block))};
    if (region == nullptr) {
        report.kind = MisuseKind::no_memory;
        return std::nullopt;
    }
    if (block.value() % page_size == 0 && order.is_valid() &&
        (region->get(pfn_of(block)).is(PageState::used, order) ||
         region->get(pfn_of(block)).is(PageState::retiring, order)))
        return BlockRef{region, pfn_of(block)};
    diagnose(*region, pfn_of(block), report);
    return std::nullopt;
}

void NodeAllocator::diagnose(PageRegion const& region, Pfn frame, MisuseReport& report) const
{
    report.kind = MisuseKind::never_allocated;
    if (std::optional<Pfn> const first = Buddy::block_of(region, frame)) {
        PageEntry const entry{region.get(*first)};
        report.state = entry.state();
        report.block = address_of(*first);
        report.block_order = entry.order();
        report.owner = is_in_use(entry.state()) ? entry.owner() : region.get(frame).owner();
        if (entry.state() == PageState::offline)
            report.kind = MisuseKind::out_of_use;
        else if (!is_in_use(entry.state()))
            report.kind = MisuseKind::double_free;
        else
            report.kind = *first == frame ? MisuseKind::wrong_order : MisuseKind::middle_page;
    }
    if (report.address.value() % page_size != 0)
        report.kind = MisuseKind::misaligned;
}

NodeStats NodeAllocator::stats() const
{
    Guard guard{lock_, irqs_off};
    std::uint64_t const span{end().value() - regions().front().range().first.value()};
    // The caches change without our lock, but what they have was counted as out before they got it and until after they
    // gave it back.
    std::uint64_t const out{present_ - reserved_ - free_count() - offline_};
    std::uint64_t const cached{cached_pages()};
    HV_ASSERT(cached <= out);
    return {.present = present_,
            .free = free_count(),
            .used = out - cached,
            .cached = cached,
            .reserved = reserved_,
            .offline = offline_,
            .span = span,
            .dirty = buddy_.dirty_pages() + scrubbing_,
            .claimed = claimed_};
}

bool NodeAllocator::is_consistent() const
{
    Guard guard{lock_, irqs_off};
    Buddy::Walk const seen{buddy_.walk()};
    return seen.is_sound && buddy_.lists_agree_with(seen) && seen.scrubbing == scrubbing_ &&
           seen.cached == cached_pages() && seen.offline == offline_ &&
           seen.free + seen.dirty + seen.scrubbing + seen.used + seen.cached + seen.offline + reserved_ == present_ &&
           free_pages_hint() == free_count() && dirty_pages_hint() == buddy_.dirty_pages() &&
           claimed_ <= free_count() + offline_;
}

std::uint64_t NodeAllocator::pages_of(DomainId owner) const
{
    Guard guard{lock_, irqs_off};
    std::uint64_t pages{0};
    for (PageRegion const& region : regions()) {
        Pfn at{region.range().first};
        while (at < region.range().end) {
            PageEntry const entry{region.get(at)};
            if (is_in_use(entry.state()) && entry.owner() == owner)
                pages += entry.order().pages();
            at = entry.state() == PageState::none ? region.skip_empty(at) : Pfn{at.value() + entry.order().pages()};
        }
    }
    return pages;
}

std::optional<BlockRef> NodeAllocator::find_owned(DomainId owner, Pfn& from) const
{
    constexpr unsigned most_entries = 1024;
    unsigned looked_at{0};
    Guard guard{lock_, irqs_off};
    for (PageRegion& region : regions()) {
        Pfn const end{region.range().end};
        if (from < region.range().first)
            from = region.range().first;
        while (from < end && looked_at++ < most_entries) {
            Pfn const at{from};
            PageEntry const entry{region.get(at)};
            from = entry.state() == PageState::none ? region.skip_empty(at) : Pfn{at.value() + entry.order().pages()};
            if (is_in_use(entry.state()) && entry.owner() == owner)
                return BlockRef{&region, at};
        }
        if (from < end)
            break;
    }
    return std::nullopt;
}

std::uint64_t NodeAllocator::free_blocks(Order order) const
{
    HV_ASSERT(order.is_valid());
    Guard guard{lock_, irqs_off};
    Buddy::Walk const seen{buddy_.walk()};
    return seen.blocks[static_cast<unsigned>(Shelf::high)][order.value()] +
           seen.blocks[static_cast<unsigned>(Shelf::low)][order.value()];
}

// Lists keep their links at the beginning of free pages; what comes after is ours.
namespace {

constexpr std::uint64_t poison = 0xF4EEF4EEF4EEF4EE;
constexpr std::uint64_t first_word = 4;
constexpr std::uint64_t words_of_a_page = page_size / sizeof(std::uint64_t);
// Larger blocks are rare, and filling one would take a second.
constexpr Order largest_poisoned = order_2m;

} // namespace

void NodeAllocator::spoil_content(PhysAddr block, Order order, std::uintptr_t caller, bool with_poison) const
{
    if (order > largest_poisoned)
        return;
    PageRegion& region{*find_region(regions(), pfn_of(block))};
    PageEntry const head{region.get(pfn_of(block))};
    for (std::uint64_t page = 0; page < order.pages(); ++page) {
        Pfn const frame{pfn_of(block).value() + page};
        region.set_caller(frame, caller);
        if (!with_poison || !rules_.poison || region.get(frame).is_defective())
            continue;
        auto* const words = rules_.map.at<std::uint64_t>(address_of(frame));
        for (std::uint64_t i = first_word; i < words_of_a_page; ++i)
            words[i] = poison;
        region.set(frame, region.get(frame).with_owner_of(head).with_poison(true));
    }
}

void NodeAllocator::check_content(PhysAddr block, Order order) const
{
    PageRegion& region{*find_region(regions(), pfn_of(block))};
    for (std::uint64_t page = 0; page < order.pages(); ++page) {
        Pfn const frame{pfn_of(block).value() + page};
        PageEntry const entry{region.get(frame)};
        if (!entry.is_poisoned())
            continue;
        region.clear_poison(frame);
        auto const* const words = rules_.map.at<std::uint64_t const>(address_of(frame));
        for (std::uint64_t i = first_word; i < words_of_a_page; ++i) {
            if (words[i] == poison)
                continue;
            rules_.on_misuse({.kind = MisuseKind::write_after_free,
                              .address = PhysAddr{address_of(frame).value() + i * sizeof(std::uint64_t)},
                              .order = order,
                              .node = node_,
                              .state = PageState::free,
                              .block = block,
                              .block_order = order,
                              .owner = entry.owner(),
                              .caller = region.caller(frame)});
            break;
        }
    }
}

} // namespace hv::mm
