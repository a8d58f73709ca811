// Memory: the kernel's own address space first, then the allocator of pages, then the machine's way to it.
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/panic.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/stacks.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "boot/kernel.hpp"
#include "boot/refuse.hpp"
#include "mm/object_cache.hpp"

namespace hv::boot {
namespace {

constexpr std::uint64_t first_mib = 0x100000;
// Pages below 4 GiB that a node keeps for devices as long as strangers can go elsewhere.
constexpr std::uint64_t low_reserve = 512;

void panic_on_misuse(mm::MisuseReport const& report)
{
    describe(arch::panic_begin(), report);
    arch::panic_end(nullptr);
}

void init_early_allocator(Kernel& k)
{
    static constinit FixedVector<mm::MemoryBlock, acpi::MemoryRanges::capacity> blocks{};
    static constinit FixedVector<mm::PhysRange, 32> taken{};
    bool all{true};
    for (acpi::MemoryRange const& range : k.map.memory)
        all = blocks.push_back({range.base, range.length, range.node}) && all;
    all = taken.push_back({PhysAddr{0}, first_mib}) && all;
    std::uint64_t const image_bytes{arch::address_of(image_end) - arch::kernel_base - arch::image_base};
    all = taken.push_back({PhysAddr{arch::image_base}, image_bytes}) && all;
    for (OccupiedRange const& range : k.info.occupied)
        all = taken.push_back({range.base, range.length}) && all;
    HV_ASSERT(all);
    mm::MachineMemory const machine{.blocks = blocks.span(),
                                    .reserved = taken.span(),
                                    .nodes = k.map.node_count,
                                    .distances = k.map.distance_table(),
                                    .direct_map = mm::DirectMap{arch::direct_map_base},
                                    .on_misuse = panic_on_misuse,
                                    .low_reserve = low_reserve};
    if (Status<mm::BuildError> const built{k.early.init(machine)}; !built)
        refuse_because(built.error());
}

// The direct map: RAM, and what firmware left below 4 GiB (its tables may lie in reserved memory). Holes of the address
// space that the memory map calls reserved further up are no memory.
bool belongs_into_direct_map(MemoryRegion const& region)
{
    switch (region.kind) {
    case MemoryKind::usable:
    case MemoryKind::acpi_reclaimable:
    case MemoryKind::acpi_nvs:
        return true;
    case MemoryKind::reserved:
        return region.base.value() + region.length <= arch::boot_map_limit;
    case MemoryKind::defective:
        return false;
    }
    return false;
}

void init_kernel_space(Kernel& k)
{
    static constinit FixedVector<arch::PhysRange, max_memory_regions + 1> mapped{};
    bool all{mapped.push_back({PhysAddr{0}, first_mib})};
    for (MemoryRegion const& region : k.info.regions)
        if (belongs_into_direct_map(region))
            all = mapped.push_back({region.base, region.length}) && all;
    HV_ASSERT(all);
    std::uint64_t const bytes{arch::kernel_space_table_bytes(mapped.span())};
    Result<PhysAddr, mm::AllocError> const tables{
        k.early.allocate_near({.bytes = bytes, .node = NodeId{0}, .below = PhysAddr{arch::boot_map_limit}})};
    if (!tables)
        refuse("memory: no {} KiB for page tables below 4 GiB; give the machine more memory", bytes / 1024);
    arch::kernel_space_init(mapped.span(), {*tables, bytes});
}

std::optional<PhysAddr> allocate(void* self, NodeId node, unsigned order) noexcept
{
    Result<PhysAddr, mm::AllocError> const pages{static_cast<Kernel*>(self)->pages->allocate(
        arch::this_cpu(), {.order = mm::Order{order}, .policy = mm::Policy::local, .node = node})};
    if (!pages)
        return std::nullopt;
    return *pages;
}

void release(void* self, PhysAddr pages, unsigned order) noexcept
{
    static_cast<Kernel*>(self)->pages->free(arch::this_cpu(), pages, mm::Order{order});
}

// Zeroes what dead domains left on this pCPU's node: some two microseconds of it.
bool scrub_some(void* self) noexcept
{
    constexpr std::uint64_t pages{4};
    return static_cast<Kernel*>(self)->pages->scrub_some(arch::this_percpu().node, pages) != 0;
}

NodeId node_of(void* self, PhysAddr page) noexcept
{
    std::optional<NodeId> const node{static_cast<Kernel*>(self)->pages->node_map().node_of(page)};
    HV_ASSERT(node.has_value());
    return *node;
}

} // namespace

void start_memory(Kernel& k)
{
    init_early_allocator(k);
    init_kernel_space(k);
    Result<mm::PageAllocator*, mm::BuildError> const pages{mm::PageAllocator::create(k.early)};
    if (!pages)
        refuse_because(pages.error());
    k.pages = *pages;
    FixedVector<NodeId, acpi::max_pcpus> homes;
    for (acpi::MapPcpu const& pcpu : k.map.pcpus)
        if (!homes.push_back(pcpu.node))
            break;
    if (!k.pages->create_caches(homes.span()))
        arch::say("warning: memory: no room for the page caches of all pCPUs; those without are slower");
    static_assert(arch::stack_lock_rank < arch::small_memory_lock_rank &&
                      arch::small_memory_lock_rank < mm::depot_lock_rank &&
                      mm::depot_lock_rank < mm::claims_lock_rank && mm::claims_lock_rank < mm::cache_lock_rank &&
                      mm::cache_lock_rank < mm::node_lock_rank,
                  "who waits for pages with one of these locks may have to wait for all that follow");
    arch::install_page_source({.self = &k, .allocate = allocate, .release = release, .node_of = node_of});
    for (acpi::SratMemory const& memory : k.map.srat_memory)
        if (memory.hot_pluggable && !arch::kernel_space_reserve({memory.base, memory.length}))
            refuse("memory: no pages for the tables of what may be plugged in; give the machine more memory");
    static constinit arch::IdleWork idle_work{.some = scrub_some};
    idle_work.self = &k;
    arch::install_idle_work(idle_work);
}

} // namespace hv::boot
