// The page tables of one address space below the kernel's half, as a tree: 4 KiB and 2 MiB pages, all for ring 3.
//
// A mapping is made in two steps, so that it either happens or changes nothing: tables_needed() looks, map() cannot
// fail. Taking away takes three, because processors keep what they have read: retire() makes entries of pages and of
// tables that become empty not present but leaves in them what they pointed to; when all processors have forgotten,
// sweep() hands that out. So however much is retired at once, the tree itself remembers it.
//
// Invariants: a table below the top one holds something; outside of retire() .. sweep() every entry is present or zero.
// Locking: the owner's, except that processors read along; every entry is written whole. Floor: mm.
#pragma once

#include "arch/generic/page_table.hpp"
#include "arch/generic/result.hpp"
#include "arch/generic/shoot_down.hpp"
#include "mm/types.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::mm {

// What can be mapped. Not the first 64 KiB: there a null pointer of the kernel's ends. Not the last page: behind it the
// processor could be made to return to an address that is none.
inline constexpr std::uint64_t user_start = 0x10000;
inline constexpr std::uint64_t user_end = 0x7fff'ffff'f000;

enum class MapError : std::uint8_t {
    bad_range,   // empty, not of whole pages, or not between user_start and user_end
    occupied,    // something is mapped there
    not_mapped,  // something is not mapped there
    splits_page, // begins or ends inside a 2 MiB page
    no_memory,   // for a table
};

[[nodiscard]] constexpr std::string_view name_of(MapError error)
{
    switch (error) {
    case MapError::bad_range:
        return "bad range";
    case MapError::occupied:
        return "occupied";
    case MapError::not_mapped:
        return "not mapped";
    case MapError::splits_page:
        return "splits a large page";
    case MapError::no_memory:
        return "no memory for a page table";
    }
    return "?";
}

// Bytes [from, from + bytes).
struct VirtRange {
    VirtAddr from{};
    std::uint64_t bytes{0};

    [[nodiscard]] constexpr bool is_valid() const
    {
        return bytes > 0 && (from.value() | bytes) % page_size == 0 && from.value() >= user_start &&
               bytes <= user_end && from.value() <= user_end - bytes;
    }
    [[nodiscard]] constexpr std::uint64_t end() const { return from.value() + bytes; }
};

struct Mapping {
    VirtRange at{};
    PhysAddr to{};
    Access access{Access::read};
    // 2 MiB pages wherever both addresses allow it, which then can only be unmapped whole.
    bool large_pages{true};
};

// Pages for tables, linked through their first words; zeroed otherwise.
class TableStock {
public:
    constexpr explicit TableStock(DirectMap map) : map_{map} {}

    void put(PhysAddr page)
    {
        *map_.at<std::uint64_t>(page) = top_.value();
        top_ = page;
        ++count_;
    }
    // There must be one.
    [[nodiscard]] PhysAddr take()
    {
        HV_ASSERT(count_ > 0);
        PhysAddr const page{top_};
        top_ = PhysAddr{*map_.at<std::uint64_t>(page)};
        *map_.at<std::uint64_t>(page) = 0;
        --count_;
        return page;
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }

private:
    DirectMap map_;
    PhysAddr top_{};
    std::uint64_t count_{0};
};

class PageTree {
public:
    // `root`: a table whose lower half is zero.
    PageTree(PhysAddr root, DirectMap map) : root_{root}, map_{map} {}

    [[nodiscard]] PhysAddr root() const { return root_; }

    // How many tables map() will take. Errors: occupied.
    [[nodiscard]] Result<std::uint64_t, MapError> tables_needed(Mapping const& mapping) const;
    // Only after tables_needed() of the same mapping, with so many in stock.
    void map(Mapping const& mapping, TableStock& stock);

    // Whether all of it is mapped, with pages that end where it does. Errors: not_mapped, splits_page.
    [[nodiscard]] Status<MapError> check(VirtRange range) const;
    // Only after check(). What processors have to forget is added to `stale`.
    void protect(VirtRange range, Access access, Invalidation& stale);
    void retire(VirtRange range, Invalidation& stale);
    // Everything, where no processor has it loaded.
    void retire_all();
    // Calls page(PhysAddr, Order) and table(PhysAddr) for everything retired in the range, which need not be the range
    // of one retire(). A table is empty then, but not zero.
    template <typename Page, typename Table>
    void sweep(VirtRange range, Page const& page, Table const& table)
    {
        sweep_in(top(), paging::top_level, range.from.value(), range.end(), page, table);
    }

    [[nodiscard]] std::optional<Translation> find(VirtAddr address) const
    {
        if (address.value() >= user_end)
            return std::nullopt;
        return paging::find(base(), root_, address);
    }

private:
    // One of the bits that processors leave alone.
    static constexpr std::uint64_t retired = 1u << 9;
    static constexpr std::uint64_t retired_form(std::uint64_t entry) { return (entry & ~paging::present) | retired; }
    static constexpr bool is_retired(std::uint64_t entry) { return (entry & retired) != 0; }

    [[nodiscard]] std::uint64_t base() const { return reinterpret_cast<std::uint64_t>(map_.at<char>(PhysAddr{0})); }
    [[nodiscard]] std::uint64_t* top() const { return entries(root_); }
    [[nodiscard]] std::uint64_t* entries(PhysAddr table) const { return map_.at<std::uint64_t>(table); }

    // Calls step(index, from, to) for each entry that spans a part of [from, to), with that part, until one says false.
    template <typename Step>
    static bool for_each_entry(unsigned level, std::uint64_t from, std::uint64_t to, Step const& step)
    {
        for (std::uint64_t at = from, next = at; at < to; at = next) {
            std::uint64_t const end{round_down(at, paging::bytes_of(level)) + paging::bytes_of(level)};
            next = end < to ? end : to;
            if (!step(paging::index_of(at, level), at, next))
                return false;
        }
        return true;
    }

    [[nodiscard]] bool count_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to,
                                Mapping const& mapping, std::uint64_t& tables) const;
    void map_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to, Mapping const& mapping,
                TableStock& stock);
    [[nodiscard]] std::optional<MapError> check_in(std::uint64_t* table, unsigned level, std::uint64_t from,
                                                   std::uint64_t to) const;
    void protect_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to, Access access,
                    Invalidation& stale);
    [[nodiscard]] bool retire_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to,
                                 Invalidation& stale);

    void retire_all_in(std::uint64_t* table, unsigned level, unsigned count);

    template <typename Page, typename Table>
    void sweep_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to, Page const& page,
                  Table const& give_table)
    {
        for_each_entry(level, from, to, [&](unsigned index, std::uint64_t at, std::uint64_t next) {
            std::uint64_t const old{paging::load(table[index])};
            if (old == 0 || (paging::is_present(old) && paging::is_leaf(old, level)))
                return true;
            bool const is_page = paging::is_leaf(old, level);
            if (!is_page)
                sweep_in(entries(paging::table_of(old)), level - 1, at, next, page, give_table);
            if (!is_retired(old))
                return true;
            paging::store(table[index], 0);
            if (is_page)
                page(paging::page_of(old, level), level == 0 ? order_4k : order_2m);
            else
                give_table(paging::table_of(old));
            return true;
        });
    }

    PhysAddr root_;
    DirectMap map_;
};

} // namespace hv::mm
