#include "mm/object_cache.hpp"

#include <bit>
#include <new>

namespace hv::mm {

namespace {

constexpr std::size_t slab_align = 64;

} // namespace

Result<ObjectCache*, AllocError> ObjectCache::create(PageAllocator& pages, std::size_t size, std::size_t align,
                                                     std::span<NodeId const> node_of)
{
    if (size == 0 || size > largest_object || !std::has_single_bit(align) || align > slab_align || node_of.empty())
        return fail(AllocError::bad_request);
    std::size_t const header{round_up(sizeof(ObjectCache), arch::cache_line)};
    std::size_t const bytes{header + node_of.size() * sizeof(Magazine) + pages.nodes() * sizeof(Depot)};
    std::uint64_t const page_count{round_up(bytes, page_size) >> page_shift};
    Order const order{static_cast<unsigned>(std::bit_width(page_count - 1))};
    Result<PhysAddr, AllocError> const memory = pages.allocate({.order = order, .node = node_of.front()});
    if (!memory)
        return fail(memory.error());

    auto* const base = pages.direct_map().at<std::byte>(*memory);
    auto* const magazines = reinterpret_cast<Magazine*>(base + header);
    auto* const depots = reinterpret_cast<Depot*>(magazines + node_of.size());
    for (std::size_t cpu = 0; cpu < node_of.size(); ++cpu)
        ::new (&magazines[cpu]) Magazine{.node = node_of[cpu]};
    for (unsigned n = 0; n < pages.nodes(); ++n)
        ::new (&depots[n]) Depot{NodeId{static_cast<NodeId::Rep>(n)}};
    std::size_t const step{round_up(size < sizeof(FreeObject) ? sizeof(FreeObject) : size,
                                    align < alignof(FreeObject) ? alignof(FreeObject) : align)};
    return ::new (base) ObjectCache{pages, step, {magazines, node_of.size()}, {depots, pages.nodes()}};
}

ObjectCache::ObjectCache(PageAllocator& pages, std::size_t step, std::span<Magazine> magazines, std::span<Depot> depots)
    : pages_{pages}, step_{step}, first_{round_up(sizeof(Slab), slab_align)},
      per_slab_{static_cast<unsigned>((page_size - first_) / step)}, magazines_{magazines}, depots_{depots}
{
    static_assert(page_size / sizeof(FreeObject) <= 512);
}

void* ObjectCache::allocate(CpuId self, NodeId node)
{
    HV_ASSERT(self.value() < magazines_.size() && node.value() < depots_.size());
    if (pages_.injection().strikes())
        return nullptr;
    void* object{nullptr};
    Magazine& magazine = magazines_[self.value()];
    if (magazine.node == node) {
        if (magazine.count == 0)
            magazine.count = take(node, std::span{magazine.objects}.first(magazine_size / 2));
        if (magazine.count != 0)
            object = magazine.objects[--magazine.count];
    } else if (take(node, {&object, 1}) == 0) {
        return nullptr;
    }
    if (is_debug && object != nullptr && !mark(object, true))
        report(MisuseKind::corrupt_links, object, 0);
    return object;
}

void ObjectCache::free(CpuId self, void* object)
{
    HV_ASSERT(self.value() < magazines_.size());
    auto const caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
    Slab const& slab = slab_of(object);
    std::size_t const offset{reinterpret_cast<std::uintptr_t>(object) % page_size};
    if (slab.cache != this || offset < first_ || (offset - first_) % step_ != 0)
        return report(MisuseKind::never_allocated, object, caller);
    if (is_debug && !mark(object, false))
        return report(MisuseKind::double_free, object, caller);
    Magazine& magazine = magazines_[self.value()];
    if (magazine.node != slab.node)
        return put(slab.node, {&object, 1});
    if (magazine.count == magazine_size) {
        magazine.count = magazine_size / 2;
        put(slab.node, std::span{magazine.objects}.subspan(magazine_size / 2));
    }
    magazine.objects[magazine.count++] = object;
}

void ObjectCache::drain(CpuId self)
{
    Magazine& magazine = magazines_[self.value()];
    put(magazine.node, std::span{magazine.objects}.first(magazine.count));
    magazine.count = 0;
}

ObjectCache::Stats ObjectCache::stats(NodeId node)
{
    Depot& depot = depots_[node.value()];
    Guard guard{depot.lock, irqs_off};
    return depot.stats;
}

unsigned ObjectCache::take(NodeId node, std::span<void*> objects)
{
    Depot& depot = depots_[node.value()];
    Guard guard{depot.lock, irqs_off};
    unsigned taken{0};
    while (taken < objects.size()) {
        Slab* const slab{depot.usable != nullptr ? depot.usable : grow(depot, node)};
        if (slab == nullptr)
            break;
        if (slab->given++ == 0)
            --depot.empty;
        objects[taken++] = slab->free;
        slab->free = slab->free->next;
        if (slab->free == nullptr)
            unlink(depot, *slab);
    }
    depot.stats.given += taken;
    return taken;
}

void ObjectCache::put(NodeId node, std::span<void* const> objects)
{
    Depot& depot = depots_[node.value()];
    Guard guard{depot.lock, irqs_off};
    for (void* const object : objects)
        put_locked(depot, object);
}

void ObjectCache::put_locked(Depot& depot, void* object)
{
    Slab& slab = slab_of(object);
    HV_ASSERT(slab.given > 0 && depot.stats.given > 0);
    if (slab.free == nullptr)
        link(depot, slab);
    slab.free = ::new (object) FreeObject{slab.free};
    --depot.stats.given;
    if (--slab.given != 0)
        return;
    if (depot.empty == 0) {
        ++depot.empty;
        return;
    }
    unlink(depot, slab);
    --depot.stats.slabs;
    slab.cache = nullptr;
    pages_.free(PhysAddr{reinterpret_cast<std::uintptr_t>(&slab) -
                         reinterpret_cast<std::uintptr_t>(pages_.direct_map().at<std::byte>(PhysAddr{0}))},
                order_4k);
}

ObjectCache::Slab* ObjectCache::grow(Depot& depot, NodeId node)
{
    Result<PhysAddr, AllocError> const page = pages_.allocate({.policy = Policy::strict_node, .node = node});
    if (!page)
        return nullptr;
    auto* const bytes = pages_.direct_map().at<std::byte>(*page);
    Slab* const slab{::new (bytes) Slab{.cache = this, .node = node}};
    // The lowest object is the first to go.
    for (unsigned i = per_slab_; i-- > 0;)
        slab->free = ::new (bytes + first_ + i * step_) FreeObject{slab->free};
    link(depot, *slab);
    ++depot.empty;
    ++depot.stats.slabs;
    return slab;
}

void ObjectCache::link(Depot& depot, Slab& slab)
{
    slab.prev = nullptr;
    slab.next = depot.usable;
    if (slab.next != nullptr)
        slab.next->prev = &slab;
    depot.usable = &slab;
}

void ObjectCache::unlink(Depot& depot, Slab& slab)
{
    if (slab.next != nullptr)
        slab.next->prev = slab.prev;
    if (slab.prev != nullptr)
        slab.prev->next = slab.next;
    else
        depot.usable = slab.next;
}

ObjectCache::Slab& ObjectCache::slab_of(void* object)
{
    return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(object) & ~(page_size - 1));
}

// False if that was so already.
bool ObjectCache::mark(void* object, bool in_use) const
{
    // 16 bytes are the finest that the bits can tell apart; smaller objects share one and are not checked.
    if (step_ < 16)
        return true;
    std::size_t const index{(reinterpret_cast<std::uintptr_t>(object) % page_size - first_) / step_};
    std::atomic<std::uint64_t>& word = slab_of(object).in_use[index / 64];
    std::uint64_t const bit{std::uint64_t{1} << index % 64};
    std::uint64_t const before{in_use ? word.fetch_or(bit, std::memory_order_relaxed)
                                      : word.fetch_and(~bit, std::memory_order_relaxed)};
    return ((before & bit) != 0) != in_use;
}

void ObjectCache::report(MisuseKind kind, void* object, std::uintptr_t caller) const
{
    auto const base = reinterpret_cast<std::uintptr_t>(pages_.direct_map().at<std::byte>(PhysAddr{0}));
    PhysAddr const address{reinterpret_cast<std::uintptr_t>(object) - base};
    pages_.on_misuse()({.kind = kind,
                        .address = address,
                        .order = order_4k,
                        .node = pages_.node_map().node_of(address).value_or(NodeId{}),
                        .caller = caller});
}

} // namespace hv::mm
