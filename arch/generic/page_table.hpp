// The page tables of x86-64 as data: what an entry says, and how to look an address up. Four levels of 512 entries
// each; level 0 has the 4 KiB pages, leaves at level 1 are 2 MiB and at level 2 1 GiB large.
//
// Access has no word for writable and executable at once, and leaf() takes nothing else: whoever makes entries with it
// cannot map such a page, for the kernel or for a guest. Entries that other pCPUs walk meanwhile are read and written
// whole, through load() and store(). Table pages are reached through the direct map. No state, no locks. Floor:
// arch/generic.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/types.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace hv {

enum class Access : std::uint8_t { read, read_write, read_execute };

struct Protection {
    Access access{Access::read};
    bool user{false}; // ring 3 has access, too
    bool uncached{false};

    friend constexpr bool operator==(Protection const&, Protection const&) = default;
};

struct Translation {
    PhysAddr physical;
    Protection protection;
    std::uint64_t page_bytes{0};

    friend constexpr bool operator==(Translation const&, Translation const&) = default;
};

namespace paging {

inline constexpr unsigned entries_per_table = 512;
inline constexpr unsigned top_level = 3;
inline constexpr std::uint64_t page_bytes = 4096;
inline constexpr std::uint64_t large_page_bytes = std::uint64_t{2} << 20;

inline constexpr std::uint64_t present = 1u << 0;
inline constexpr std::uint64_t writable = 1u << 1;
inline constexpr std::uint64_t user = 1u << 2;
inline constexpr std::uint64_t write_through = 1u << 3;
inline constexpr std::uint64_t uncached = 1u << 4;
inline constexpr std::uint64_t accessed = 1u << 5;
inline constexpr std::uint64_t dirty = 1u << 6;
inline constexpr std::uint64_t large = 1u << 7;
inline constexpr std::uint64_t address_bits = 0x000f'ffff'ffff'f000;
inline constexpr std::uint64_t no_execute = std::uint64_t{1} << 63;

constexpr unsigned shift_of(unsigned level) { return 12 + 9 * level; }
// What one entry of this level spans.
constexpr std::uint64_t bytes_of(unsigned level) { return std::uint64_t{1} << shift_of(level); }
constexpr unsigned index_of(std::uint64_t address, unsigned level)
{
    return static_cast<unsigned>(address >> shift_of(level) & (entries_per_table - 1));
}

constexpr bool is_present(std::uint64_t entry) { return (entry & present) != 0; }
// Of a present entry.
constexpr bool is_leaf(std::uint64_t entry, unsigned level) { return level == 0 || (entry & large) != 0; }
constexpr PhysAddr table_of(std::uint64_t entry) { return PhysAddr{entry & address_bits}; }
constexpr PhysAddr page_of(std::uint64_t entry, unsigned level)
{
    return PhysAddr{entry & address_bits & ~(bytes_of(level) - 1)};
}

// Accessed and dirty from the start: nobody asks, and the processor need not write them.
constexpr std::uint64_t leaf(PhysAddr page, Protection protection, unsigned level)
{
    HV_ASSERT((page.value() & ~address_bits) == 0 && page.value() % bytes_of(level) == 0);
    return page.value() | present | accessed | dirty | (level > 0 ? large : 0) |
           (protection.access == Access::read_write ? writable : 0) |
           (protection.access == Access::read_execute ? 0 : no_execute) | (protection.user ? user : 0) |
           (protection.uncached ? uncached | write_through : 0);
}
// Leaves alone decide on rights, but ring 3 must be let through all the way.
constexpr std::uint64_t table(PhysAddr page, bool for_user)
{
    return page.value() | present | writable | (for_user ? user : 0);
}

constexpr Protection protection_of(std::uint64_t entry)
{
    bool const is_writable = (entry & writable) != 0, is_executable = (entry & no_execute) == 0;
    HV_ASSERT(!(is_writable && is_executable));
    return {.access = is_writable     ? Access::read_write
                      : is_executable ? Access::read_execute
                                      : Access::read,
            .user = (entry & user) != 0,
            .uncached = (entry & uncached) != 0};
}

// acquire and release: who finds a table through its entry finds it complete.
[[nodiscard]] inline std::uint64_t load(std::uint64_t& entry)
{
    return std::atomic_ref{entry}.load(std::memory_order_acquire);
}
inline void store(std::uint64_t& entry, std::uint64_t value)
{
    std::atomic_ref{entry}.store(value, std::memory_order_release);
}

// The entries of a table page, at which the direct map has it.
[[nodiscard]] inline std::uint64_t* entries_at(std::uint64_t direct_map_base, PhysAddr table_page)
{
    return reinterpret_cast<std::uint64_t*>(direct_map_base + table_page.value());
}

// What the tables say about an address; nothing if it is not mapped.
[[nodiscard]] inline std::optional<Translation> find(std::uint64_t direct_map_base, PhysAddr root, VirtAddr address)
{
    PhysAddr at{root};
    for (unsigned level = top_level;; --level) {
        std::uint64_t const entry{load(entries_at(direct_map_base, at)[index_of(address.value(), level)])};
        if (!is_present(entry))
            return std::nullopt;
        if (is_leaf(entry, level)) {
            std::uint64_t const inside{address.value() % bytes_of(level)};
            return Translation{.physical = PhysAddr{page_of(entry, level).value() + inside},
                               .protection = protection_of(entry),
                               .page_bytes = bytes_of(level)};
        }
        at = table_of(entry);
    }
}

// What the processor makes of a page, all levels taken together, whoever made the entries.
struct Rights {
    bool writable{true}, executable{true}, user{true};

    [[nodiscard]] constexpr Rights through(std::uint64_t entry) const
    {
        return {writable && (entry & paging::writable) != 0, executable && (entry & no_execute) == 0,
                user && (entry & paging::user) != 0};
    }
};

// Calls visit(VirtAddr, bytes, Rights) for each page that is mapped, in ascending order, and table(PhysAddr) for each
// table below the top one.
template <typename Visit, typename Table>
void for_each_page(std::uint64_t direct_map_base, PhysAddr at, Visit const& visit, Table const& table,
                   unsigned level = top_level, std::uint64_t from = 0, Rights rights = {})
{
    constexpr unsigned sign_bit = shift_of(top_level) + 8;
    for (unsigned i = 0; i < entries_per_table; ++i) {
        std::uint64_t const entry{load(entries_at(direct_map_base, at)[i])};
        if (!is_present(entry))
            continue;
        std::uint64_t address{from + i * bytes_of(level)};
        if (level == top_level && (address >> sign_bit & 1) != 0)
            address |= ~std::uint64_t{0} << sign_bit;
        if (is_leaf(entry, level)) {
            visit(VirtAddr{address}, bytes_of(level), rights.through(entry));
            continue;
        }
        table(table_of(entry));
        for_each_page(direct_map_base, table_of(entry), visit, table, level - 1, address, rights.through(entry));
    }
}

} // namespace paging
} // namespace hv
