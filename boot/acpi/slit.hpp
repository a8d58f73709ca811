// SLIT: the distances between proximity domains. 10 is a domain's distance to itself, every other one is larger; 255
// means that there is no way. May be asymmetric. Indexed by PXM, not by node id. Pure, no locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/topology.hpp"
#include "boot/acpi/table.hpp"

#include <cstddef>
#include <cstdint>

namespace hv::boot::acpi {

struct Slit {
    std::uint32_t localities{0};
    Bytes cells; // localities x localities, row-major [from][to]

    // from and to < localities.
    [[nodiscard]] Distance distance(std::uint32_t from, std::uint32_t to) const
    {
        HV_ASSERT(from < localities && to < localities);
        return load<std::uint8_t>(cells, std::size_t{from} * localities + to);
    }
};

// The matrix, checked as a whole: one wrong distance makes all of them doubtful.
[[nodiscard]] inline Result<Slit, ParseError> parse_slit(Bytes table)
{
    constexpr std::size_t count_at = 36, cells_at = 44;
    if (table.size() < cells_at)
        return slit_kind.bad(table.size(), "the table is shorter than its fixed part");
    std::uint64_t const count{load<std::uint64_t>(table, count_at)};
    if (count == 0 || count > 255)
        return slit_kind.bad(count_at, "the number of localities is not between 1 and 255");
    std::size_t const cells{count * count};
    if (!fits(table, cells_at, cells))
        return slit_kind.bad(table.size(), "the table is too short for its number of localities");
    Slit const slit{static_cast<std::uint32_t>(count), part(table, cells_at, cells)};
    for (std::uint32_t from = 0; from < slit.localities; ++from)
        for (std::uint32_t to = 0; to < slit.localities; ++to) {
            std::uint64_t const place{cells_at + std::uint64_t{from} * count + to};
            if (from == to && slit.distance(from, to) != local_distance)
                return slit_kind.bad(place, "the distance of a locality to itself is not 10");
            if (from != to && slit.distance(from, to) <= local_distance)
                return slit_kind.bad(place, "the distance to another locality is not above 10");
        }
    return slit;
}

} // namespace hv::boot::acpi
