// What all ACPI tables have in common: a 36-byte header, and for some a list of {type u8, length u8, ...} entries
// behind it.
//
// A table here is a span over the whole table, header included; parsers trust the span's size and nothing that is
// written in the table, so a truncated table is safe to parse. Places in errors are offsets in the table. Pure, no
// locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/result.hpp"
#include "boot/info/bytes.hpp"
#include "boot/info/parse_error.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hv::boot::acpi {

inline constexpr std::size_t header_size = 36;
inline constexpr std::size_t header_length = 4; // offset of the table's length, u32
inline constexpr std::size_t header_revision = 8;

inline constexpr std::string_view blame_firmware{
    "update the firmware, or correct the table if it was given with -acpitable"};

// A kind of table, and how errors name places in it.
struct TableKind {
    std::string_view signature; // 4 characters
    std::string_view at_address;
    std::string_view at_offset;

    [[nodiscard]] constexpr Failure<ParseError> bad(std::uint64_t offset, std::string_view what) const
    {
        return fail(ParseError{.thing = at_offset, .place = offset, .what = what, .fix = blame_firmware});
    }
};

inline constexpr TableKind rsdt_kind{"RSDT", "RSDT, physical address", "RSDT, offset"};
inline constexpr TableKind xsdt_kind{"XSDT", "XSDT, physical address", "XSDT, offset"};
inline constexpr TableKind madt_kind{"APIC", "MADT, physical address", "MADT, offset"};
inline constexpr TableKind srat_kind{"SRAT", "SRAT, physical address", "SRAT, offset"};
inline constexpr TableKind slit_kind{"SLIT", "SLIT, physical address", "SLIT, offset"};
inline constexpr TableKind hpet_kind{"HPET", "HPET table, physical address", "HPET table, offset"};

// Calls visit(type, entry, offset of the entry) for each entry from offset `first` on and stops at the first that
// fails. The entry has at least its two header bytes; it is up to `visit` to check its length before it reads more.
template <typename Visit>
[[nodiscard]] Status<ParseError> for_each_entry(Bytes table, std::size_t first, TableKind const& kind, Visit visit)
{
    if (table.size() < first)
        return kind.bad(table.size(), "the table is shorter than its fixed part");
    for (std::size_t offset = first; offset < table.size();) {
        if (!fits(table, offset, 2))
            return kind.bad(offset, "the table ends in the middle of an entry's header");
        std::uint8_t const type{load<std::uint8_t>(table, offset)};
        std::size_t const length{load<std::uint8_t>(table, offset + 1)};
        if (length < 2)
            return kind.bad(offset, "an entry is shorter than its header");
        if (!fits(table, offset, length))
            return kind.bad(offset, "an entry runs past the end of the table");
        if (Status<ParseError> const visited{visit(type, part(table, offset, length), offset)}; !visited)
            return visited;
        offset += length;
    }
    return done;
}

} // namespace hv::boot::acpi
