#include "arch/x86_64/page_tables.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/layout.hpp"

namespace hv::arch {
namespace {

constexpr std::uint64_t bit_present = 1u << 0;
constexpr std::uint64_t bit_writable = 1u << 1;
constexpr std::uint64_t bit_write_through = 1u << 3;
constexpr std::uint64_t bit_uncached = 1u << 4;
constexpr std::uint64_t bit_large = 1u << 7;
constexpr std::uint64_t bit_no_execute = std::uint64_t{1} << 63;
constexpr std::uint64_t address_bits = 0x000f'ffff'ffff'f000;

constexpr unsigned top_level = 3;
constexpr unsigned shift_of(unsigned level) { return 12 + 9 * level; }
constexpr std::uint64_t bytes_of(unsigned level) { return std::uint64_t{1} << shift_of(level); }
constexpr unsigned index_of(std::uint64_t address, unsigned level) { return address >> shift_of(level) & 511; }

constexpr std::uint64_t leaf_bits(Protection p)
{
    return bit_present | (p.writable ? bit_writable : 0) | (p.executable ? 0 : bit_no_execute) |
           (p.uncached ? bit_uncached | bit_write_through : 0);
}

std::uint64_t* table_at(std::uint64_t entry) { return direct_map<std::uint64_t>(PhysAddr{entry & address_bits}); }

bool is_leaf(std::uint64_t entry, unsigned level) { return level == 0 || (entry & bit_large) != 0; }

} // namespace

std::uint64_t* PageTables::table_below(std::uint64_t& entry)
{
    if ((entry & bit_present) == 0) {
        std::optional<PhysAddr> const page{pages_.take(pages_.self)};
        if (!page)
            return nullptr;
        // Rights are decided by the leaf.
        entry = page->value() | bit_present | bit_writable;
    }
    return table_at(entry);
}

std::uint64_t PageTables::map_one(std::uint64_t from, std::uint64_t to, std::uint64_t bytes, Protection protection)
{
    std::uint64_t* table{direct_map<std::uint64_t>(root_)};
    unsigned const largest{has_1g_pages_ ? 2u : 1u};
    for (unsigned level = top_level;; --level) {
        std::uint64_t& entry{table[index_of(from, level)]};
        bool const present = (entry & bit_present) != 0;
        if (present && is_leaf(entry, level))
            return bytes_of(level) - from % bytes_of(level);
        bool const fits = level <= largest && bytes >= bytes_of(level) && (from | to) % bytes_of(level) == 0;
        if (!present && fits) {
            entry = to | leaf_bits(protection) | (level > 0 ? bit_large : 0);
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
    HV_ASSERT(!(protection.writable && protection.executable));
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
    if (table_below(direct_map<std::uint64_t>(root_)[index_of(address.value(), top_level)]) == nullptr)
        return fail(MapError::no_memory);
    return done;
}

std::optional<Translation> PageTables::find(VirtAddr address) const
{
    std::uint64_t const* table{direct_map<std::uint64_t>(root_)};
    for (unsigned level = top_level;; --level) {
        std::uint64_t const entry{table[index_of(address.value(), level)]};
        if ((entry & bit_present) == 0)
            return std::nullopt;
        if (is_leaf(entry, level)) {
            std::uint64_t const inside{address.value() % bytes_of(level)};
            return Translation{.physical = PhysAddr{(entry & address_bits & ~(bytes_of(level) - 1)) + inside},
                               .protection = {.writable = (entry & bit_writable) != 0,
                                              .executable = (entry & bit_no_execute) == 0,
                                              .uncached = (entry & bit_uncached) != 0},
                               .page_bytes = bytes_of(level)};
        }
        table = table_at(entry);
    }
}

} // namespace hv::arch
