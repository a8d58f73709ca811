// The kernel's page tables: map a range with the largest pages that fit, look an address up. What entries look like is
// arch/generic/page_table.hpp's; the address spaces of guests, whose pages come and go, are mm/address_space.hpp's.
//
// Entries are only ever added: who maps a page that is mapped already changes nothing, so the first of two overlapping
// ranges decides on protection. Table pages are reached through the direct map. Locking: the owner's. Floor:
// arch/x86_64.
#pragma once

#include "arch/generic/page_table.hpp"
#include "arch/generic/result.hpp"
#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace hv::arch {

inline constexpr Protection read_only{};
inline constexpr Protection read_write{.access = Access::read_write};
inline constexpr Protection read_execute{.access = Access::read_execute};
inline constexpr Protection device_registers{.access = Access::read_write, .uncached = true};

// Where pages for tables come from: one zeroed page that the direct map covers, or nothing.
struct TablePages {
    void* self{nullptr};
    std::optional<PhysAddr> (*take)(void* self) noexcept {nullptr};
};

enum class MapError : std::uint8_t { no_memory };

class PageTables {
public:
    constexpr PageTables() = default;
    PageTables(PhysAddr root, TablePages pages, bool has_1g_pages)
        : root_{root}, pages_{pages}, has_1g_pages_{has_1g_pages}
    {
    }

    void set_pages(TablePages pages) { pages_ = pages; }
    [[nodiscard]] PhysAddr root() const { return root_; }

    // Maps [from, from + bytes) to [to, to + bytes). All are multiples of 4 KiB. On failure a part may be mapped.
    [[nodiscard]] Status<MapError> map(VirtAddr from, PhysAddr to, std::uint64_t bytes, Protection protection);
    // Makes the table below the top-level entry that `address` belongs to, so that copies of the top level share it.
    [[nodiscard]] Status<MapError> reserve_top_level(VirtAddr address);
    [[nodiscard]] std::optional<Translation> find(VirtAddr address) const;

private:
    [[nodiscard]] std::uint64_t* table_below(std::uint64_t& entry);
    // Maps one page of at most `bytes`; gives its size, 0 without memory.
    [[nodiscard]] std::uint64_t map_one(std::uint64_t from, std::uint64_t to, std::uint64_t bytes,
                                        Protection protection);

    PhysAddr root_;
    TablePages pages_;
    bool has_1g_pages_{false};
};

} // namespace hv::arch
