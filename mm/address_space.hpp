// The address space of a domain: its page tables, on its home node, and which pCPUs have them loaded.
//
// The upper half is the kernel's, shared with everybody; the lower half is ring 3's, and nothing there can be writable
// and executable at once (Access). Pages belong to whoever maps them: the address space hands them back, through a
// PageSink, when no pCPU can reach them any more, and not before. Its tables it takes and gives itself.
//
// map() happens or changes nothing. Whatever takes access away goes through a Change: any number of unmap() and
// protect(), one interrupt for each pCPU that has the address space loaded at its end.
//
// Locking: one lock, rank 5, so the first that a pCPU takes: whoever waits for it serves shoot-downs, and its owner
// waits for them. All calls with interrupts off and no lock held. Floor: mm.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/shoot_down.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "mm/page_allocator.hpp"
#include "mm/page_tree.hpp"

#include <cstdint>
#include <optional>

namespace hv::mm {

inline constexpr std::uint16_t address_space_lock_rank = 5;

// Who gets the pages that are not mapped any more: one call for each 4 KiB or 2 MiB page, with the address space's lock
// held. Without a function nobody is told.
struct PageSink {
    void* self{nullptr};
    void (*take)(void* self, CpuId cpu, PhysAddr page, Order order) noexcept {nullptr};
};

class AddressSpace {
public:
    struct Home {
        PageAllocator* pages{nullptr};
        ShootDown* shoot_down{nullptr};
        unsigned pcpus{0};             // that the machine may have
        PhysAddr kernel_root{};        // whose upper half all address spaces share
        NodeId node{};                 // where tables are wanted; elsewhere, by distance, if it has none left
        DomainAccount* owner{nullptr}; // who is charged for the tables; null: the kernel
    };

    // Nothing can be mapped before build().
    explicit AddressSpace(Home const& home);
    ~AddressSpace() { HV_ASSERT(root_ == PhysAddr{}); }
    AddressSpace(AddressSpace const&) = delete;
    AddressSpace& operator=(AddressSpace const&) = delete;

    // Takes the top table. Errors: those of the allocator.
    [[nodiscard]] Status<AllocError> build(CpuId self);
    // Unmaps everything and gives all tables back. Loaded nowhere. It can be built again.
    void demolish(CpuId self, PageSink sink);

    // Errors: bad_range (physical addresses included), occupied, no_memory; nothing has changed then.
    [[nodiscard]] Status<MapError> map(CpuId self, Mapping const& mapping) HV_EXCLUDES(lock_);
    [[nodiscard]] std::optional<Translation> translate(CpuId self, VirtAddr address) HV_EXCLUDES(lock_);

    // Has the calling pCPU leave one address space for another; null: the kernel's own. `load` makes a top table the
    // processor's, and so makes it forget what it knew of the last one. Interrupts stay off in between.
    static void switch_between(CpuId self, AddressSpace* from, AddressSpace* to, PhysAddr kernel_root,
                               void (*load)(PhysAddr root) noexcept);
    [[nodiscard]] bool is_loaded_on(CpuId cpu) const { return loaded_on_.contains(cpu); }

    [[nodiscard]] PhysAddr root() const { return root_; }
    [[nodiscard]] NodeId node() const { return home_.node; }
    // Pages that the tables take, the top one included.
    [[nodiscard]] std::uint64_t table_pages(CpuId self) HV_EXCLUDES(lock_);

    class Change;

private:
    class Turn;

    void lock(CpuId self) HV_ACQUIRE(lock_);
    [[nodiscard]] PageTree tree() const { return {root_, home_.pages->direct_map()}; }
    // A zeroed page for a table.
    [[nodiscard]] Result<PhysAddr, AllocError> take_table(CpuId self);
    [[nodiscard]] bool fill(CpuId self, TableStock& stock, std::uint64_t count);
    void sweep(CpuId self, VirtRange range, PageSink sink) HV_REQUIRES(lock_);

    Home const home_;
    PhysAddr root_{}; // 0: not built
    PcpuSet loaded_on_;
    TicketLock lock_{LockKey{.rank = address_space_lock_rank, .ordinal = 0}};
    std::uint64_t table_pages_ HV_GUARDED_BY(lock_){0};
};

// Takes access away, from its construction to its destruction; in between, nobody else changes the address space. Then
// no pCPU uses what was, and unmapped pages have gone to the sink.
class HV_SCOPED_CAPABILITY AddressSpace::Change {
public:
    [[nodiscard]] Change(AddressSpace& space, CpuId self, PageSink sink) HV_ACQUIRE(space.lock_);
    ~Change() HV_RELEASE();
    Change(Change const&) = delete;
    Change& operator=(Change const&) = delete;

    // Errors: bad_range, not_mapped, splits_page; nothing has changed then.
    [[nodiscard]] Status<MapError> unmap(VirtRange range);
    [[nodiscard]] Status<MapError> protect(VirtRange range, Access access);

private:
    [[nodiscard]] Status<MapError> check(VirtRange range) const;

    AddressSpace& space_;
    CpuId const self_;
    PageSink const sink_;
    Invalidation stale_;
    // Around all that was unmapped.
    std::uint64_t lowest_{user_end}, highest_{0};
};

} // namespace hv::mm
