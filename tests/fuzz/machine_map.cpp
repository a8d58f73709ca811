// MADT, SRAT, SLIT, HMAT and a memory map, all at once: whatever they say, the machine has a sound shape, and what was
// not believed is named in one line.
//
// The input: four lengths of 16 bits, the four tables, then regions of 17 bytes: base, length, kind.
#include "tests/fuzz/memory_image.hpp"
#include "tests/fuzz/sound_map.hpp"

#include <array>
#include <memory>

namespace {

using namespace hv;

constexpr std::size_t region_bytes = 17;

struct Pieces {
    std::array<std::vector<std::byte>, 4> tables; // of exactly their sizes, for AddressSanitizer
    std::vector<boot::MemoryRegion> regions;
};

Pieces cut(boot::Bytes input)
{
    Pieces pieces;
    std::size_t at{8};
    for (std::size_t i = 0; i < pieces.tables.size() && boot::fits(input, 0, 8); ++i) {
        std::size_t const wanted{boot::load<std::uint16_t>(input, 2 * i)};
        std::size_t const length{std::min(wanted, input.size() - at)};
        boot::Bytes const table{boot::part(input, at, length)};
        pieces.tables[i].assign(table.begin(), table.end());
        at += length;
    }
    for (; boot::fits(input, at, region_bytes) && pieces.regions.size() < boot::max_memory_regions;
         at += region_bytes) {
        std::uint64_t const base{boot::load<std::uint64_t>(input, at)},
            length{boot::load<std::uint64_t>(input, at + 8)};
        if (length != 0 && base + length >= base) // as parse_multiboot guarantees
            pieces.regions.push_back(
                {PhysAddr{base}, length, boot::MemoryKind{boot::load<std::uint8_t>(input, at + 16)}});
    }
    return pieces;
}

void expect_reason(boot::ParseError const& reason)
{
    if (reason.is_set())
        fuzz::expect_one_line(reason);
}

} // namespace

HV_FUZZ_TARGET(machine_map)
{
    Pieces const pieces{cut(fuzz::bytes_of(input))};
    boot::acpi::Tables const tables{.madt = boot::Bytes{pieces.tables[0]},
                                    .srat = boot::Bytes{pieces.tables[1]},
                                    .slit = boot::Bytes{pieces.tables[2]},
                                    .hmat = boot::Bytes{pieces.tables[3]}};
    auto const map = std::make_unique<boot::acpi::MachineMap>();
    boot::acpi::build_machine_map(tables, {.smt_shift = 1, .package_shift = 3, .boot_apic_id = 0}, {}, pieces.regions,
                                  *map);
    fuzz::expect_sound(*map);
    for (boot::ParseError const* const reason :
         {&map->madt_reason, &map->fallback_reason, &map->slit_reason, &map->hmat_reason})
        expect_reason(*reason);
}
