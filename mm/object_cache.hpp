// Objects of one size, many to a page: slabs of one page each, kept by node, and a magazine of ready objects for each
// pCPU.
//
// A slab belongs to the node its page lies on and to one cache; its header is at the page's start, so an object's
// address says where it goes home. A magazine holds objects of its pCPU's own node only. A node keeps at most one slab
// without objects; others go back to the page allocator. The content of an object is what its last user left.
//
// Locking: a depot a node, rank 37, the node's number as ordinal; pages are taken and given back while it is held. A
// magazine belongs to its pCPU alone. Callers have interrupts off. Floor: mm.
#pragma once

#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "mm/page_allocator.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace hv::mm {

inline constexpr std::uint16_t depot_lock_rank = 37;

class ObjectCache {
public:
    static constexpr std::size_t largest_object = 1024;

    // For objects of `size` bytes, at most largest_object; `align` is a power of two, at most 64. `node_of` by pCPU
    // number, as for the page allocator. It lives in pages of the first pCPU's node, for ever. Errors: bad_request,
    // exhausted.
    [[nodiscard]] static Result<ObjectCache*, AllocError> create(PageAllocator& pages, std::size_t size,
                                                                 std::size_t align, std::span<NodeId const> node_of);
    ObjectCache(ObjectCache const&) = delete;
    ObjectCache& operator=(ObjectCache const&) = delete;

    // An object on `node`; null if that has no memory left.
    [[nodiscard]] void* allocate(CpuId self, NodeId node);
    // Give an object of this cache back, to its own node. Anything else is reported as misuse and changes nothing;
    // giving it back twice is noticed in debug builds.
    [[gnu::noinline]] void free(CpuId self, void* object);
    // Give what the pCPU's magazine holds back to the node.
    void drain(CpuId self);

    // In objects and slabs. given: to users and magazines.
    struct Stats {
        std::uint64_t slabs{0};
        std::uint64_t given{0};

        friend constexpr bool operator==(Stats const&, Stats const&) = default;
    };
    [[nodiscard]] Stats stats(NodeId node);
    [[nodiscard]] unsigned objects_per_slab() const { return per_slab_; }

private:
    static constexpr unsigned magazine_size = 16;

    struct FreeObject {
        FreeObject* next;
    };
    // In the first bytes of its page.
    struct Slab {
        ObjectCache* cache{nullptr};
        Slab* next{nullptr}; // among those of the depot that have free objects
        Slab* prev{nullptr};
        FreeObject* free{nullptr};
        std::uint32_t given{0};
        NodeId node{};
        // Debug builds: whether a user has the object.
        std::array<std::atomic<std::uint64_t>, 4> in_use{};
    };
    struct alignas(arch::cache_line) Depot {
        explicit Depot(NodeId node) : lock{LockKey{.rank = depot_lock_rank, .ordinal = node.value()}} {}

        TicketLock lock;
        Slab* usable HV_GUARDED_BY(lock){nullptr}; // slabs with free objects
        unsigned empty HV_GUARDED_BY(lock){0};     // those of them without any given
        Stats stats HV_GUARDED_BY(lock){};
    };
    struct alignas(arch::cache_line) Magazine {
        NodeId node{};
        unsigned count{0};
        std::array<void*, magazine_size> objects{};
    };

    ObjectCache(PageAllocator& pages, std::size_t step, std::span<Magazine> magazines, std::span<Depot> depots);

    [[nodiscard]] unsigned take(NodeId node, std::span<void*> objects);
    void put(NodeId node, std::span<void* const> objects);
    [[nodiscard]] Slab* grow(Depot& depot, NodeId node) HV_REQUIRES(depot.lock);
    void put_locked(Depot& depot, void* object) HV_REQUIRES(depot.lock);
    static void link(Depot& depot, Slab& slab) HV_REQUIRES(depot.lock);
    static void unlink(Depot& depot, Slab& slab) HV_REQUIRES(depot.lock);
    [[nodiscard]] static Slab& slab_of(void* object);
    [[nodiscard]] bool mark(void* object, bool in_use) const;
    void report(MisuseKind kind, void* object, std::uintptr_t caller) const;

    PageAllocator& pages_;
    std::size_t const step_;  // from one object to the next
    std::size_t const first_; // the first object's offset
    unsigned const per_slab_;
    std::span<Magazine> const magazines_; // by pCPU
    std::span<Depot> const depots_;       // by node
};

} // namespace hv::mm
