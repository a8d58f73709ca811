#include "arch/x86_64/kernel_space.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/mmio.hpp"
#include "arch/x86_64/panic.hpp"

#include <cstring>

namespace hv::arch {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr std::uint64_t large_page = std::uint64_t{2} << 20;

// Hands out the pages set aside for the first tables, from the bottom.
struct SetAside {
    std::uint64_t next{0}, end{0};
};
constinit SetAside set_aside;
constinit PageTables tables;
constinit std::uint64_t next_mmio{mmio_base};

std::optional<PhysAddr> take_page(void*) noexcept
{
    if (set_aside.next < set_aside.end) {
        PhysAddr const page{set_aside.next};
        set_aside.next += page_size;
        std::memset(direct_map<void>(page), 0, page_size);
        return page;
    }
    return has_page_source() ? allocate_zeroed_pages(NodeId{0}, 0) : std::nullopt;
}

std::uint64_t page_down(std::uint64_t n) { return n & ~(page_size - 1); }
std::uint64_t page_up(std::uint64_t n) { return page_down(n + page_size - 1); }

void must_map(std::uint64_t from, std::uint64_t to, std::uint64_t bytes, Protection protection)
{
    if (!tables.map(VirtAddr{from}, PhysAddr{to}, bytes, protection))
        panic("kernel address space: no page for a table at {:x}; give the machine more memory", from);
}

void map_image(char const* from, char const* to, Protection protection)
{
    std::uint64_t const start{address_of(from)};
    must_map(start, start - kernel_base, page_up(address_of(to)) - start, protection);
}

} // namespace

std::uint64_t kernel_space_table_bytes(std::span<PhysRange const> memory) noexcept
{
    // Top level, image, devices, stacks: a dozen tables and one for each 2 MiB of the image, which is mapped twice.
    std::uint64_t pages{32 + 2 * ((address_of(image_end) - kernel_base) / large_page + 1)};
    for (PhysRange const& range : memory) {
        std::uint64_t const crossed{range.length / gib + 2};
        pages += 4 + (has_gigabyte_pages() ? 2 : crossed) + crossed / 512; // ragged ends, directories, third level
    }
    return pages * page_size;
}

void kernel_space_init(std::span<PhysRange const> memory, PhysRange tables_at) noexcept
{
    HV_ASSERT(tables_at.base.value() % page_size == 0 && tables_at.base.value() + tables_at.length <= boot_map_limit);
    set_aside = {tables_at.base.value(), tables_at.base.value() + tables_at.length};
    std::optional<PhysAddr> const root{take_page(nullptr)};
    tables = PageTables{*root, {nullptr, take_page}, has_gigabyte_pages()};

    map_image(text_start, text_end, read_execute);
    map_image(rodata_start, data_start, read_only);
    map_image(data_start, image_end, read_write);
    // The image's text and constants are not writable through the direct map either: the first mapping of a page
    // counts.
    std::uint64_t const constant{address_of(text_start) - kernel_base};
    must_map(direct_map_base + constant, constant, address_of(data_start) - address_of(text_start), read_only);
    for (PhysRange const& range : memory) {
        std::uint64_t const start{page_down(range.base.value())};
        must_map(direct_map_base + start, start, page_up(range.base.value() + range.length) - start, read_write);
    }
    // The top level is complete from here on: address spaces may copy it.
    for (std::uint64_t const area : {mmio_base, stack_area_base})
        if (!tables.reserve_top_level(VirtAddr{area}))
            panic("kernel address space: no page for a table; give the machine more memory");
    kernel_space_load();
}

bool kernel_space_reserve(PhysRange memory) noexcept
{
    constexpr std::uint64_t of_an_entry{std::uint64_t{512} * gib};
    std::uint64_t const last{memory.base.value() + memory.length};
    std::uint64_t const end{last < direct_map_limit ? last : direct_map_limit};
    for (std::uint64_t at = memory.base.value() / of_an_entry * of_an_entry; at < end; at += of_an_entry)
        if (!tables.reserve_top_level(VirtAddr{direct_map_base + at}))
            return false;
    return true;
}

bool kernel_space_add(PhysRange memory) noexcept
{
    std::uint64_t const start{memory.base.value()};
    return start < direct_map_limit && memory.length <= direct_map_limit - start &&
           tables.map(VirtAddr{direct_map_base + start}, memory.base, memory.length, read_write);
}

void kernel_space_load() noexcept { write_cr3(tables.root().value()); }
PageTables& kernel_space() noexcept { return tables; }

std::uint64_t map_device(PhysAddr physical, std::size_t bytes) noexcept
{
    std::uint64_t const start{page_down(physical.value())};
    std::uint64_t const length{page_up(physical.value() + bytes) - start};
    std::uint64_t const at{next_mmio};
    must_map(at, start, length, device_registers);
    next_mmio += length;
    return at + (physical.value() - start);
}

} // namespace hv::arch
