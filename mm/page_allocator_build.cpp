// The part of PageAllocator that runs rarely: its construction and growth, its statistics and its self-check.
#include "mm/carver.hpp"
#include "mm/page_allocator.hpp"

#include <new>

namespace hv::mm {

Result<PageAllocator*, BuildError> PageAllocator::create(EarlyAllocator& early)
{
    std::span<MemoryBlock const> const present = early.present();
    std::size_t const slot_count{early.rules().max_domains + std::size_t{1}};
    std::uint64_t const bytes = Carver::bytes<PageAllocator>(1) + Carver::bytes<MemoryBlock>(present.size()) +
                                Carver::bytes<AccountTable::Slot>(slot_count);
    Result<PhysAddr, AllocError> const memory = early.allocate_near({.bytes = bytes});
    if (!memory)
        return fail(BuildError{.fault = BuildFault::no_memory});

    Carver carver{early.direct_map().at<std::byte>(*memory)};
    auto* const place = carver.take<PageAllocator>(1);
    auto* const blocks = carver.take<MemoryBlock>(present.size());
    auto* const slots = carver.take<AccountTable::Slot>(slot_count);
    for (std::size_t i = 0; i < present.size(); ++i)
        ::new (&blocks[i]) MemoryBlock{present[i]};
    for (std::size_t i = 0; i < slot_count; ++i)
        ::new (&slots[i]) AccountTable::Slot{nullptr};
    auto* const allocator =
        ::new (place) PageAllocator{early, {blocks, present.size()}, AccountTable{{slots, slot_count}}};

    for (NodeId const node : NodeMask::first_n(early.nodes()))
        allocator->build_node(early, node);
    early.seal();
    for (MemoryBlock const& block : early.available())
        if (NodeAllocator* const node = allocator->allocator_of(block.node))
            node->add_free(pages_of(block));
    return allocator;
}

PageAllocator::PageAllocator(EarlyAllocator const& early, std::span<MemoryBlock const> blocks, AccountTable accounts)
    : first_map_{blocks}, accounts_{accounts}, rules_{early.rules()}, order_{early.distance_order()}
{
    caches_.fill(&no_cache_);
}

void PageAllocator::build_node(EarlyAllocator& early, NodeId node)
{
    std::uint64_t regions{0};
    std::uint64_t metadata{0};
    for (MemoryBlock const& block : node_map().blocks()) {
        if (block.node != node)
            continue;
        ++regions;
        metadata += PageRegion::metadata_bytes(pages_of(block).pages());
    }
    if (regions == 0)
        return;
    Result<PhysAddr, AllocError> const memory =
        early.allocate({.bytes = NodeTables::bytes(regions + spare_regions) + metadata, .node = node});
    if (!memory) {
        too_small_.set(node);
        return;
    }

    NodeTables const tables{rules_.direct_map.at<std::byte>(*memory), regions + spare_regions};
    std::byte* entries{tables.rest};
    std::size_t built{0};
    for (MemoryBlock const& block : node_map().blocks()) {
        if (block.node != node)
            continue;
        ::new (&tables.regions[built++]) PageRegion{pages_of(block), entries};
        entries += PageRegion::metadata_bytes(pages_of(block).pages());
    }
    open_node(node, tables, regions);
}

void PageAllocator::open_node(NodeId node, NodeTables const& tables, std::size_t regions)
{
    NodeRules const rules{.map = rules_.direct_map,
                          .on_misuse = rules_.on_misuse,
                          .zero = rules_.zero,
                          .low_reserve = rules_.low_reserve,
                          .poison = rules_.poison,
                          .accounts = accounts_};
    auto* const allocator = ::new (tables.place) NodeAllocator{node, tables.regions, regions, tables.capacity, rules};
    nodes_[node.value()].store(allocator, std::memory_order_release);
    usable_.store(usable() | NodeMask::of(node), std::memory_order_release); // after the allocator itself
}

std::string_view text_of(GrowError error)
{
    switch (error) {
    case GrowError::bad_range:
        return "it is no whole pages of a node that the machine has";
    case GrowError::overlap:
        return "there is memory already";
    case GrowError::below:
        return "its node has memory above it";
    case GrowError::too_many:
        return "its node has too many pieces of memory";
    case GrowError::too_small:
        return "it has no room for its own tables";
    }
    return "?";
}

Status<GrowError> PageAllocator::check_growth(MemoryBlock const& block) const
{
    constexpr std::uint64_t page_mask{page_size - 1};
    if (block.length == 0 || ((block.base.value() | block.length) & page_mask) != 0 || block.node.value() >= nodes() ||
        block.base.value() >= physical_limit || block.length > physical_limit - block.base.value())
        return fail(GrowError::bad_range);
    for (MemoryBlock const& other : node_map().blocks())
        if (block.base.value() < other.end() && other.base.value() < block.end())
            return fail(GrowError::overlap);
    if (NodeAllocator const* const node = allocator_of(block.node); node != nullptr && pfn_of(block.base) < node->end())
        return fail(GrowError::below);
    return done;
}

// The map with this block, too, at `memory`; gives what lies behind it.
std::byte* PageAllocator::publish_map(MemoryBlock const& block, std::byte* memory)
{
    std::span<MemoryBlock const> const before{node_map().blocks()};
    Carver carver{memory};
    auto* const map = carver.take<NodeMap>(1);
    auto* const blocks = carver.take<MemoryBlock>(before.size() + 1);
    std::size_t size{0};
    bool is_in{false};
    for (MemoryBlock const& other : before) {
        if (!is_in && block.base < other.base) {
            ::new (&blocks[size++]) MemoryBlock{block};
            is_in = true;
        }
        ::new (&blocks[size++]) MemoryBlock{other};
    }
    if (!is_in)
        ::new (&blocks[size++]) MemoryBlock{block};
    map_.store(::new (map) NodeMap{{blocks, size}}, std::memory_order_release); // whole
    return carver.take<std::byte>(0);
}

Status<GrowError> PageAllocator::add_memory(MemoryBlock const& block)
{
    Guard guard{claims_lock_, irqs_off};
    if (Status<GrowError> const checked{check_growth(block)}; !checked)
        return checked;
    PageRange const pages{pages_of(block)};
    NodeAllocator* node{allocator_of(block.node)};
    std::uint64_t const tables{Carver::bytes<NodeMap>(1) + Carver::bytes<MemoryBlock>(node_map().blocks().size() + 1) +
                               (node == nullptr ? NodeTables::bytes(1 + spare_regions) : 0) +
                               PageRegion::metadata_bytes(pages.pages())};
    std::uint64_t const table_pages{round_up(tables, page_size) >> page_shift};
    if (table_pages >= pages.pages())
        return fail(GrowError::too_small);
    if (node != nullptr && node->is_full())
        return fail(GrowError::too_many);

    // Whoever gets a page of it finds its node: the map comes first.
    std::byte* at{publish_map(block, rules_.direct_map.at<std::byte>(block.base))};
    if (node != nullptr) {
        bool const is_added{node->add_region(pages, at)};
        HV_ASSERT(is_added);
    } else {
        NodeTables const place{at, 1 + spare_regions};
        ::new (place.regions) PageRegion{pages, place.rest};
        open_node(block.node, place, 1);
        node = allocator_of(block.node);
    }
    node->add_free({.first = Pfn{pages.first.value() + table_pages}, .end = pages.end});
    return done;
}

Status<AllocError> PageAllocator::create_caches(std::span<NodeId const> node_of)
{
    HV_ASSERT(node_of.size() <= caches_.size());
    std::array<std::size_t, NodeMask::capacity> pcpus{};
    for (NodeId const node : node_of)
        ++pcpus[node.value()];
    for (std::size_t cpu = 0; cpu < node_of.size(); ++cpu) {
        NodeId const node{node_of[cpu]};
        if (!usable().test(node))
            continue;
        static_assert(sizeof(PageCache) <= page_size);
        Result<PhysAddr, AllocError> const place = allocate({.policy = Policy::strict_node, .node = node});
        if (!place)
            return fail(place.error());
        NodeAllocator& home{*allocator_of(node)};
        HV_ASSERT(caches_[cpu] == &no_cache_);
        caches_[cpu] = ::new (rules_.direct_map.at<void>(*place))
            PageCache{CpuId{static_cast<CpuId::Rep>(cpu)}, home, accounts_, cache_capacity(node, pcpus[node.value()])};
        home.add_cache(*caches_[cpu]);
    }
    return done;
}

// All caches of a node together keep at most a thirty-second part of it in single pages and a sixteenth in large ones.
PageCache::Capacity PageAllocator::cache_capacity(NodeId node, std::size_t pcpus_of_node) const
{
    std::uint64_t const share{allocator_of(node)->free_pages_hint() / (32 * pcpus_of_node)};
    auto const at_most = [](std::uint64_t blocks, std::uint32_t most) {
        return blocks < most ? static_cast<std::uint32_t>(blocks) : most;
    };
    PageCache::Capacity const full{};
    return {.pages_4k = at_most(share, full.pages_4k),
            .blocks_2m = at_most(2 * share / order_2m.pages(), full.blocks_2m)};
}

NodeStats PageAllocator::stats(NodeId node) const
{
    HV_ASSERT(node.value() < nodes());
    if (allocator_of(node) != nullptr)
        return allocator_of(node)->stats();
    NodeStats stats;
    std::uint64_t first{0};
    for (MemoryBlock const& block : node_map().blocks()) {
        if (block.node != node)
            continue;
        if (stats.present == 0)
            first = block.base.value();
        stats.present += pages_of(block).pages();
        stats.span = (block.end() - first) >> page_shift;
    }
    stats.reserved = stats.present;
    return stats;
}

void PageAllocator::describe(Sink& sink) const
{
    using namespace std::string_view_literals;
    for (NodeId const node : NodeMask::first_n(nodes())) {
        NodeStats const pages = stats(node);
        print(sink, "node {}: {} pages present, {} free, {} used, {} cached, {} reserved", node, pages.present,
              pages.free, pages.used, pages.cached, pages.reserved);
        if (pages.offline > 0)
            print(sink, ", {} out of use", pages.offline);
        print(sink, "{}\n", too_small_.test(node) ? "; no room for its tables, not used"sv : ""sv);
    }
}

bool PageAllocator::is_consistent() const
{
    for (NodeId const node : usable())
        if (!node_is_consistent(node))
            return false;
    for (AccountTable::Slot const& slot : accounts_.slots()) {
        DomainAccount const* const account = slot.load(std::memory_order_acquire);
        if (account == nullptr)
            continue;
        std::uint64_t pages{0};
        for (NodeId const node : NodeMask::first_n(nodes()))
            pages += account->pages_on(node);
        if (pages != account->total())
            return false;
    }
    return true;
}

bool PageAllocator::node_is_consistent(NodeId node) const
{
    NodeAllocator const& allocator = *allocator_of(node);
    if (!allocator.is_consistent())
        return false;
    // What is used belongs to the kernel or to an attached account, which knows of it; and what is claimed likewise.
    std::uint64_t claimed{0};
    std::uint64_t owned{allocator.pages_of(kernel_owner)};
    for (AccountTable::Slot const& slot : accounts_.slots()) {
        DomainAccount const* const account = slot.load(std::memory_order_acquire);
        if (account == nullptr)
            continue;
        std::uint64_t const pages{allocator.pages_of(account->domain())};
        if (pages != account->pages_on(node))
            return false;
        owned += pages;
        claimed += account->claim_on(node);
    }
    NodeStats const stats{allocator.stats()};
    return owned == stats.used && claimed == stats.claimed;
}

} // namespace hv::mm
