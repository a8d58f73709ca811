#include "mm/page_tree.hpp"

#include "arch/generic/assert.hpp"

namespace hv::mm {
namespace {

using paging::bytes_of;
using paging::is_leaf;
using paging::is_present;
using paging::load;
using paging::store;

constexpr unsigned large_level = 1;

std::uint64_t target_of(Mapping const& mapping, std::uint64_t at)
{
    return mapping.to.value() + (at - mapping.at.from.value());
}

// Whether [from, to), which is an entry's or a part of it, becomes one page.
bool becomes_page(Mapping const& mapping, unsigned level, std::uint64_t from, std::uint64_t to)
{
    if (level != large_level)
        return level == 0;
    return mapping.large_pages && to - from == bytes_of(level) && target_of(mapping, from) % bytes_of(level) == 0;
}

bool is_vacant(std::uint64_t* table)
{
    for (unsigned i = 0; i < paging::entries_per_table; ++i)
        if (is_present(load(table[i])))
            return false;
    return true;
}

} // namespace

// Without a table: where there is none yet.
bool PageTree::count_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to,
                        Mapping const& mapping, std::uint64_t& tables) const
{
    return for_each_entry(level, from, to, [&](unsigned index, std::uint64_t at, std::uint64_t next) {
        std::uint64_t const old{table != nullptr ? load(table[index]) : 0};
        HV_ASSERT(!is_retired(old));
        if (is_present(old))
            return !is_leaf(old, level) &&
                   count_in(entries(paging::table_of(old)), level - 1, at, next, mapping, tables);
        if (becomes_page(mapping, level, at, next))
            return true;
        ++tables;
        return count_in(nullptr, level - 1, at, next, mapping, tables);
    });
}

Result<std::uint64_t, MapError> PageTree::tables_needed(Mapping const& mapping) const
{
    std::uint64_t tables{0};
    if (!count_in(top(), paging::top_level, mapping.at.from.value(), mapping.at.end(), mapping, tables))
        return fail(MapError::occupied);
    return tables;
}

// A new table is complete before the tree has it: who walks along sees all of the mapping's part or nothing.
void PageTree::map_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to,
                      Mapping const& mapping, TableStock& stock)
{
    for_each_entry(level, from, to, [&](unsigned index, std::uint64_t at, std::uint64_t next) {
        std::uint64_t const old{load(table[index])};
        if (is_present(old)) {
            map_in(entries(paging::table_of(old)), level - 1, at, next, mapping, stock);
        } else if (becomes_page(mapping, level, at, next)) {
            Protection const protection{.access = mapping.access, .user = true};
            store(table[index], paging::leaf(PhysAddr{target_of(mapping, at)}, protection, level));
        } else {
            PhysAddr const below{stock.take()};
            map_in(entries(below), level - 1, at, next, mapping, stock);
            store(table[index], paging::table(below, true));
        }
        return true;
    });
}

void PageTree::map(Mapping const& mapping, TableStock& stock)
{
    map_in(top(), paging::top_level, mapping.at.from.value(), mapping.at.end(), mapping, stock);
}

std::optional<MapError> PageTree::check_in(std::uint64_t* table, unsigned level, std::uint64_t from,
                                           std::uint64_t to) const
{
    std::optional<MapError> error;
    for_each_entry(level, from, to, [&](unsigned index, std::uint64_t at, std::uint64_t next) {
        std::uint64_t const old{load(table[index])};
        if (!is_present(old))
            error = MapError::not_mapped;
        else if (!is_leaf(old, level))
            error = check_in(entries(paging::table_of(old)), level - 1, at, next);
        else if (next - at != bytes_of(level))
            error = MapError::splits_page;
        return !error.has_value();
    });
    return error;
}

Status<MapError> PageTree::check(VirtRange range) const
{
    if (std::optional<MapError> const error{check_in(top(), paging::top_level, range.from.value(), range.end())})
        return fail(*error);
    return done;
}

void PageTree::protect_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to, Access access,
                          Invalidation& stale)
{
    for_each_entry(level, from, to, [&](unsigned index, std::uint64_t at, std::uint64_t next) {
        std::uint64_t const old{load(table[index])};
        if (is_leaf(old, level)) {
            store(table[index], paging::leaf(paging::page_of(old, level), {.access = access, .user = true}, level));
            stale.add(VirtAddr{at});
        } else {
            protect_in(entries(paging::table_of(old)), level - 1, at, next, access, stale);
        }
        return true;
    });
}

void PageTree::protect(VirtRange range, Access access, Invalidation& stale)
{
    protect_in(top(), paging::top_level, range.from.value(), range.end(), access, stale);
}

// Whether the table has nothing left.
bool PageTree::retire_in(std::uint64_t* table, unsigned level, std::uint64_t from, std::uint64_t to,
                         Invalidation& stale)
{
    for_each_entry(level, from, to, [&](unsigned index, std::uint64_t at, std::uint64_t next) {
        std::uint64_t const old{load(table[index])};
        bool const is_page = is_leaf(old, level);
        if (is_page || retire_in(entries(paging::table_of(old)), level - 1, at, next, stale))
            store(table[index], retired_form(old));
        if (is_page)
            stale.add(VirtAddr{at});
        return true;
    });
    return is_vacant(table);
}

void PageTree::retire(VirtRange range, Invalidation& stale)
{
    static_cast<void>(retire_in(top(), paging::top_level, range.from.value(), range.end(), stale));
}

void PageTree::retire_all_in(std::uint64_t* table, unsigned level, unsigned count)
{
    for (unsigned i = 0; i < count; ++i) {
        std::uint64_t const old{load(table[i])};
        if (!is_present(old))
            continue;
        if (!is_leaf(old, level))
            retire_all_in(entries(paging::table_of(old)), level - 1, paging::entries_per_table);
        store(table[i], retired_form(old));
    }
}

void PageTree::retire_all() { retire_all_in(top(), paging::top_level, paging::entries_per_table / 2); }

} // namespace hv::mm
