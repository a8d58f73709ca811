// The part of PageAllocator that runs rarely: its construction, its statistics and its self-check.
#include "mm/page_allocator.hpp"

#include <new>

namespace hv::mm {

namespace {

constexpr std::uint64_t table_align = 64;

// Hands out the parts of one stretch of memory, one after the other.
class Carver {
public:
    explicit Carver(std::byte* memory) : at_{memory} {}

    template <typename T>
    [[nodiscard]] T* take(std::uint64_t count)
    {
        static_assert(alignof(T) <= table_align);
        std::byte* const memory{at_};
        at_ += bytes<T>(count);
        return reinterpret_cast<T*>(memory);
    }
    template <typename T>
    [[nodiscard]] static constexpr std::uint64_t bytes(std::uint64_t count)
    {
        return round_up(count * sizeof(T), table_align);
    }

private:
    std::byte* at_;
};

PageRange pages_of(MemoryBlock const& block)
{
    return {.first = pfn_of(block.base), .end = pfn_of(PhysAddr{block.end()})};
}

} // namespace

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
        if (NodeAllocator* const node = allocator->nodes_[block.node.value()])
            node->add_free(pages_of(block));
    return allocator;
}

PageAllocator::PageAllocator(EarlyAllocator const& early, std::span<MemoryBlock const> blocks, AccountTable accounts)
    : map_{blocks}, accounts_{accounts}, rules_{early.rules()}, order_{early.distance_order()}
{
    caches_.fill(&no_cache_);
}

void PageAllocator::build_node(EarlyAllocator& early, NodeId node)
{
    std::uint64_t regions{0};
    std::uint64_t metadata{0};
    for (MemoryBlock const& block : map_.blocks()) {
        if (block.node != node)
            continue;
        ++regions;
        metadata += PageRegion::metadata_bytes(pages_of(block).pages());
    }
    if (regions == 0)
        return;
    Result<PhysAddr, AllocError> const memory = early.allocate(
        {.bytes = Carver::bytes<NodeAllocator>(1) + Carver::bytes<PageRegion>(regions) + metadata, .node = node});
    if (!memory) {
        too_small_.set(node);
        return;
    }

    Carver carver{rules_.direct_map.at<std::byte>(*memory)};
    auto* const place = carver.take<NodeAllocator>(1);
    auto* const region = carver.take<PageRegion>(regions);
    auto* entries = carver.take<std::byte>(metadata);
    std::size_t built{0};
    for (MemoryBlock const& block : map_.blocks()) {
        if (block.node != node)
            continue;
        ::new (&region[built++]) PageRegion{pages_of(block), entries};
        entries += PageRegion::metadata_bytes(pages_of(block).pages());
    }
    NodeRules const rules{.map = rules_.direct_map,
                          .on_misuse = rules_.on_misuse,
                          .zero = rules_.zero,
                          .low_reserve = rules_.low_reserve,
                          .poison = rules_.poison,
                          .accounts = accounts_};
    nodes_[node.value()] = ::new (place) NodeAllocator{node, {region, regions}, rules};
    usable_.set(node);
}

Status<AllocError> PageAllocator::create_caches(std::span<NodeId const> node_of)
{
    HV_ASSERT(node_of.size() <= caches_.size());
    std::array<std::size_t, NodeMask::capacity> pcpus{};
    for (NodeId const node : node_of)
        ++pcpus[node.value()];
    for (std::size_t cpu = 0; cpu < node_of.size(); ++cpu) {
        NodeId const node{node_of[cpu]};
        if (!usable_.test(node))
            continue;
        static_assert(sizeof(PageCache) <= page_size);
        Result<PhysAddr, AllocError> const place = allocate({.policy = Policy::strict_node, .node = node});
        if (!place)
            return fail(place.error());
        NodeAllocator& home{*nodes_[node.value()]};
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
    std::uint64_t const share{nodes_[node.value()]->free_pages_hint() / (32 * pcpus_of_node)};
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
    if (nodes_[node.value()] != nullptr)
        return nodes_[node.value()]->stats();
    NodeStats stats;
    std::uint64_t first{0};
    for (MemoryBlock const& block : map_.blocks()) {
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
    for (NodeId const node : usable_)
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
    NodeAllocator const& allocator = *nodes_[node.value()];
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
