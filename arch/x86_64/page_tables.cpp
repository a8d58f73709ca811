#include "arch/x86_64/page_tables.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/layout.hpp"

namespace hv::arch {
namespace {

using namespace paging;

std::uint64_t* entries_at(PhysAddr table) { return paging::entries_at(direct_map_base, table); }

} // namespace

std::uint64_t* PageTables::table_below(std::uint64_t& entry)
{
    if (!is_present(entry)) {
        std::optional<PhysAddr> const page{pages_.take(pages_.self)};
        if (!page)
            return nullptr;
        entry = paging::table(*page, false);
    }
    return entries_at(table_of(entry));
}

std::uint64_t PageTables::map_one(std::uint64_t from, std::uint64_t to, std::uint64_t bytes, Protection protection)
{
    std::uint64_t* table{entries_at(root_)};
    unsigned const largest{has_1g_pages_ ? 2u : 1u};
    for (unsigned level = top_level;; --level) {
        std::uint64_t& entry{table[index_of(from, level)]};
        if (is_present(entry) && is_leaf(entry, level))
            return bytes_of(level) - from % bytes_of(level);
        bool const fits = level <= largest && bytes >= bytes_of(level) && (from | to) % bytes_of(level) == 0;
        if (!is_present(entry) && fits) {
            entry = leaf(PhysAddr{to}, protection, level);
            return bytes_of(level);
        }
        table = table_below(entry);
        if (table == nullptr)
            return 0;
    }
}

Status<MapError> PageTables::map(VirtAddr from, PhysAddr to, std::uint64_t bytes, Protection protection)
{
    HV_ASSERT((from.value() | to.value() | bytes) % page_size == 0);
    for (std::uint64_t at = 0; at < bytes;) {
        std::uint64_t const step{map_one(from.value() + at, to.value() + at, bytes - at, protection)};
        if (step == 0)
            return fail(MapError::no_memory);
        at += step;
    }
    return done;
}

Status<MapError> PageTables::reserve_top_level(VirtAddr address)
{
    if (table_below(entries_at(root_)[index_of(address.value(), top_level)]) == nullptr)
        return fail(MapError::no_memory);
    return done;
}

std::optional<Translation> PageTables::find(VirtAddr address) const
{
    return paging::find(direct_map_base, root_, address);
}

} // namespace hv::arch
