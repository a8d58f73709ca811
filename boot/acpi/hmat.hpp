// HMAT: how long memory takes to answer and how much it delivers, between each initiator (a proximity domain with
// pCPUs) and each target (one with memory).
//
// Only figures of memory itself are visited, not those of caches in front of it. An entry of 0 is no information and is
// not visited; 0xFFFF says that there is no way, which SLIT is for, and is not visited either. Structures of types that
// we do not know are skipped by their length; a length that does not fit its type makes the whole table unusable. Pure,
// no locks. Floor: boot/acpi.
#pragma once

#include "boot/acpi/table.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace hv::boot::acpi {

inline constexpr TableKind hmat_kind{"HMAT", "HMAT, physical address", "HMAT, offset"};

// The numbers are the table's.
enum class HmatData : std::uint8_t {
    access_latency = 0,
    read_latency = 1,
    write_latency = 2,
    access_bandwidth = 3,
    read_bandwidth = 4,
    write_bandwidth = 5,
};

[[nodiscard]] constexpr bool is_latency(HmatData data) { return data <= HmatData::write_latency; }

struct HmatFigure {
    HmatData data{};
    std::uint32_t initiator{0}; // PXM
    std::uint32_t target{0};    // PXM
    std::uint32_t value{0};     // latency in ps, bandwidth in MB/s; 2^32 - 1: at least so much
};

namespace detail {

inline constexpr std::size_t hmat_fixed = 40;
inline constexpr std::size_t hmat_structure_header = 8;
inline constexpr std::size_t hmat_figures_fixed = 32;
inline constexpr std::uint64_t hmat_most_domains = 4096; // far more than any table of 1 MiB can have pairs of
enum class HmatType : std::uint16_t { domain = 0, figures = 1, cache = 2 };

// Up to 2^32 - 1, whatever the factors are.
[[nodiscard]] constexpr std::uint32_t hmat_value(std::uint64_t entry, std::uint64_t unit, std::uint64_t scale)
{
    constexpr std::uint64_t most{std::numeric_limits<std::uint32_t>::max()};
    if (unit > most || entry * unit > most || entry * unit * scale > most) // 16, 32 and 10 bits: no product overflows
        return static_cast<std::uint32_t>(most);
    return static_cast<std::uint32_t>(entry * unit * scale);
}

template <typename OnFigure>
[[nodiscard]] Status<ParseError> walk_hmat_figures(Bytes s, std::size_t offset, std::uint8_t revision, OnFigure visit)
{
    if (s.size() < hmat_figures_fixed)
        return hmat_kind.bad(offset, "a structure of figures is shorter than 32 bytes");
    std::uint64_t const initiators{load<std::uint32_t>(s, 12)}, targets{load<std::uint32_t>(s, 16)};
    if (initiators > hmat_most_domains || targets > hmat_most_domains)
        return hmat_kind.bad(offset, "a structure of figures has more than 4096 domains");
    std::size_t const targets_at{hmat_figures_fixed + 4 * initiators}, cells_at{targets_at + 4 * targets};
    if (!fits(s, cells_at, 2 * initiators * targets))
        return hmat_kind.bad(offset, "a structure of figures is too short for its numbers of domains");
    HmatData const data{load<std::uint8_t>(s, 9)};
    if (data > HmatData::write_bandwidth)
        return hmat_kind.bad(offset, "a structure of figures has an unknown kind of data");
    if ((load<std::uint8_t>(s, 8) & 0xF) != 0) // of a cache
        return done;
    // Revision 1 counts latencies in ns.
    std::uint64_t const unit{load<std::uint64_t>(s, 24)}, scale{is_latency(data) && revision < 2 ? 1000u : 1u};
    for (std::size_t from = 0; from < initiators; ++from)
        for (std::size_t to = 0; to < targets; ++to) {
            std::uint16_t const entry{load<std::uint16_t>(s, cells_at + 2 * (from * targets + to))};
            if (entry != 0 && entry != 0xFFFF)
                visit(HmatFigure{.data = data,
                                 .initiator = load<std::uint32_t>(s, hmat_figures_fixed + 4 * from),
                                 .target = load<std::uint32_t>(s, targets_at + 4 * to),
                                 .value = hmat_value(entry, unit, scale)});
        }
    return done;
}

} // namespace detail

// Calls visit(HmatFigure) for each figure in the order of the table. What was visited before an error is to be
// forgotten.
template <typename OnFigure>
[[nodiscard]] Status<ParseError> walk_hmat(Bytes hmat, OnFigure visit)
{
    using namespace detail;
    if (hmat.size() < hmat_fixed)
        return hmat_kind.bad(hmat.size(), "the table is shorter than its fixed part");
    for (std::size_t offset = hmat_fixed; offset < hmat.size();) {
        if (!fits(hmat, offset, hmat_structure_header))
            return hmat_kind.bad(offset, "the table ends in the middle of a structure's header");
        std::size_t const length{load<std::uint32_t>(hmat, offset + 4)};
        if (length < hmat_structure_header)
            return hmat_kind.bad(offset, "a structure is shorter than its header");
        if (!fits(hmat, offset, length))
            return hmat_kind.bad(offset, "a structure runs past the end of the table");
        if (HmatType{load<std::uint16_t>(hmat, offset)} == HmatType::figures)
            if (Status<ParseError> const walked{walk_hmat_figures(part(hmat, offset, length), offset,
                                                                  load<std::uint8_t>(hmat, header_revision), visit)};
                !walked)
                return walked;
        offset += length;
    }
    return done;
}

} // namespace hv::boot::acpi
