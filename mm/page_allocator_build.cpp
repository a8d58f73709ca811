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
    std::uint64_t const bytes = Carver::bytes<PageAllocator>(1) + Carver::bytes<MemoryBlock>(present.size()) +
                                Carver::bytes<AccountSlot>(early.max_domains());
    Result<PhysAddr, AllocError> const memory = early.allocate_near({.bytes = bytes});
    if (!memory)
        return fail(BuildError{.fault = BuildFault::no_memory});

    Carver carver{early.direct_map().at<std::byte>(*memory)};
    auto* const place = carver.take<PageAllocator>(1);
    auto* const blocks = carver.take<MemoryBlock>(present.size());
    auto* const slots = carver.take<AccountSlot>(early.max_domains());
    for (std::size_t i = 0; i < present.size(); ++i)
        ::new (&blocks[i]) MemoryBlock{present[i]};
    for (std::size_t i = 0; i < early.max_domains(); ++i)
        ::new (&slots[i]) AccountSlot{nullptr};
    auto* const allocator = ::new (place) PageAllocator{early, {blocks, present.size()}, {slots, early.max_domains()}};

    for (NodeId const node : NodeMask::first_n(early.nodes()))
        allocator->build_node(early, node);
    early.seal();
    for (MemoryBlock const& block : early.available())
        if (NodeAllocator* const node = allocator->nodes_[block.node.value()])
            node->add_free(pages_of(block));
    return allocator;
}

PageAllocator::PageAllocator(EarlyAllocator const& early, std::span<MemoryBlock const> blocks,
                             std::span<AccountSlot> accounts)
    : map_{blocks}, direct_map_{early.direct_map()}, on_misuse_{early.on_misuse()}, accounts_{accounts},
      order_{early.distance_order()}
{
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

    Carver carver{direct_map_.at<std::byte>(*memory)};
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
    nodes_[node.value()] = ::new (place) NodeAllocator{node, {region, regions}, direct_map_, on_misuse_};
    usable_.set(node);
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
        print(sink, "node {}: {} pages present, {} free, {} used, {} reserved{}\n", node, pages.present, pages.free,
              pages.used, pages.reserved, too_small_.test(node) ? "; no room for its tables, not used"sv : ""sv);
    }
}

bool PageAllocator::is_consistent() const
{
    for (NodeId const node : usable_)
        if (!node_is_consistent(node))
            return false;
    for (AccountSlot const& slot : accounts_) {
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
    // What is used belongs to the kernel or to an attached account, which knows of it.
    std::uint64_t owned{allocator.pages_of(kernel_owner)};
    for (AccountSlot const& slot : accounts_) {
        DomainAccount const* const account = slot.load(std::memory_order_acquire);
        if (account == nullptr)
            continue;
        std::uint64_t const pages{allocator.pages_of(account->domain())};
        if (pages != account->pages_on(node))
            return false;
        owned += pages;
    }
    return owned == allocator.stats().used;
}

} // namespace hv::mm
