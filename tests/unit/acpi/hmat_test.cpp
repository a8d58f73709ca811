// HMAT: what QEMU's says, what a table may say otherwise, and that no damage leads out of it.
#include "boot/acpi/hmat.hpp"

#include "tests/unit/acpi/machines.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hv::boot::acpi {
namespace {

using test::ByteVector;
using test::Firmware;
using test::two_nodes;

class Hmat : public test::TableBuilder {
public:
    explicit Hmat(unsigned revision = 2) : TableBuilder{"HMAT", revision} { body().u32(0); }

    Hmat& figures(HmatData data, std::vector<std::uint32_t> const& initiators,
                  std::vector<std::uint32_t> const& targets, std::uint64_t unit, std::vector<unsigned> const& cells,
                  unsigned hierarchy = 0, int longer = 0)
    {
        auto const length = static_cast<int>(32 + 4 * (initiators.size() + targets.size()) + 2 * cells.size()) + longer;
        body().u16(1).u16(0).u32(static_cast<std::uint32_t>(length)).u8(hierarchy).u8(static_cast<unsigned>(data));
        body().u16(0).u32(initiators.size()).u32(targets.size()).u32(0).u64(unit);
        for (std::uint32_t const pxm : initiators)
            body().u32(pxm);
        for (std::uint32_t const pxm : targets)
            body().u32(pxm);
        for (unsigned const cell : cells)
            body().u16(cell);
        return *this;
    }
    Hmat& structure(unsigned type, unsigned length)
    {
        body().u16(type).u16(0).u32(length).zeros(length - 8);
        return *this;
    }
};

std::unique_ptr<MachineMap> map_with(ByteVector const& hmat)
{
    Firmware const firmware{two_nodes()};
    auto map = std::make_unique<MachineMap>();
    Tables const tables{.madt = Bytes{firmware.madt}, .srat = Bytes{firmware.srat}, .hmat = Bytes{hmat}};
    build_machine_map(tables, firmware.cpuid, firmware.flags, firmware.regions, *map);
    return map;
}

// "65000/20480 - / ...": latency and bandwidth, row by row.
std::string performance_text(MachineMap const& map)
{
    std::string text;
    for (std::uint8_t from = 0; from < map.node_count; ++from)
        for (std::uint8_t to = 0; to < map.node_count; ++to) {
            Performance const p{map.performance_of(NodeId{from}, NodeId{to})};
            text += (text.empty() ? "" : " ") + std::to_string(p.latency_ps) + "/" + std::to_string(p.bandwidth_mbps);
        }
    return text;
}

std::string reason(ByteVector const& hmat)
{
    auto const map = map_with(hmat);
    EXPECT_EQ(performance_text(*map), "0/0 0/0 0/0 0/0") << "an unusable table must leave nothing";
    EXPECT_FALSE(map->fallback_reason.is_set()) << "HMAT costs nobody the nodes";
    return test::text_of(map->hmat_reason);
}

TEST(Hmat, GivesTheFiguresThatQemuWasToldOf)
{
    auto const map = map_with(Hmat{}
                                  .structure(0, 40)
                                  .figures(HmatData::access_latency, {0, 1}, {0, 1}, 1000, {90, 170, 180, 95})
                                  .figures(HmatData::access_bandwidth, {0, 1}, {0, 1}, 4096, {10, 5, 5, 10})
                                  .structure(2, 32)
                                  .build());
    EXPECT_FALSE(map->hmat_reason.is_set());
    EXPECT_EQ(performance_text(*map), "90000/40960 170000/20480 180000/20480 95000/40960");
}

TEST(Hmat, WithoutItNothingIsKnownAndNothingIsWrong)
{
    auto const map = map_with({});
    EXPECT_FALSE(map->hmat_reason.is_set());
    EXPECT_EQ(performance_text(*map), "0/0 0/0 0/0 0/0");
}

TEST(Hmat, Revision1CountsLatenciesInNanoseconds)
{
    auto const map = map_with(Hmat{1}
                                  .figures(HmatData::access_latency, {0}, {1}, 10, {7})
                                  .figures(HmatData::access_bandwidth, {0}, {1}, 10, {7})
                                  .build());
    EXPECT_EQ(performance_text(*map), "0/0 70000/70 0/0 0/0");
}

TEST(Hmat, OfReadsAndWritesTheWorseCountsAndAccessesGoBeforeBoth)
{
    Hmat table;
    table.figures(HmatData::access_latency, {1}, {0}, 1, {50});
    table.figures(HmatData::read_latency, {0, 1}, {0}, 1, {100, 100})
        .figures(HmatData::write_latency, {0}, {0}, 1, {90});
    table.figures(HmatData::read_bandwidth, {0}, {0}, 1, {30}).figures(HmatData::write_bandwidth, {0}, {0}, 1, {20});
    EXPECT_EQ(performance_text(*map_with(table.build())), "100/20 0/0 50/0 0/0");
}

TEST(Hmat, NoInformationCachesAndForeignDomainsLeaveNoFigure)
{
    Hmat table;
    table.figures(HmatData::access_latency, {0, 1}, {0, 1}, 1, {0, 0xFFFF, 3, 4});
    table.figures(HmatData::access_bandwidth, {0}, {0}, 1, {9}, 1); // of a cache
    table.figures(HmatData::access_bandwidth, {77}, {0}, 1, {9}).figures(HmatData::access_bandwidth, {0}, {77}, 1, {9});
    auto const map = map_with(table.build());
    EXPECT_FALSE(map->hmat_reason.is_set());
    EXPECT_EQ(performance_text(*map), "0/0 0/0 3/0 4/0");
}

TEST(Hmat, FiguresThatDoNotFitSaturate)
{
    std::uint64_t const huge{~std::uint64_t{0}};
    auto const map = map_with(Hmat{1}.figures(HmatData::access_latency, {0}, {0, 1}, huge, {2, 0xFFFE}).build());
    EXPECT_EQ(performance_text(*map), "4294967295/0 4294967295/0 0/0 0/0");
    auto const scaled = map_with(Hmat{1}.figures(HmatData::access_latency, {0}, {0, 1}, 1000, {4294, 4295}).build());
    EXPECT_EQ(performance_text(*scaled), "4294000000/0 4294967295/0 0/0 0/0");
}

TEST(Hmat, MalformedStructuresAreErrorsThatNameTheirOffset)
{
    auto const latency = HmatData::access_latency;
    EXPECT_NE(reason(Hmat{}.structure(0, 40).figures(latency, {0}, {0}, 1, {1}, 0, -1).build())
                  .find("HMAT, offset 0x50: a structure of figures is too short"),
              std::string::npos);
    EXPECT_NE(reason(Hmat{}.figures(latency, {0}, {0}, 1, {1}, 0, 1).build()).find("runs past the end of the table"),
              std::string::npos);
    EXPECT_NE(reason(Hmat{}.structure(1, 31).build()).find("shorter than 32 bytes"), std::string::npos);
    EXPECT_NE(reason(Hmat{}.figures(HmatData{6}, {0}, {0}, 1, {1}).build()).find("unknown kind"), std::string::npos);
    Hmat zero_length;
    zero_length.body().u16(0).u16(0).u32(0);
    EXPECT_NE(reason(zero_length.build()).find("a structure is shorter than its header"), std::string::npos);
    Hmat huge_counts; // 2^31 x 2^31 x 2 bytes is 0 modulo 2^64
    huge_counts.body().u16(1).u16(0).u32(64).u32(0).u32(1u << 31).u32(1u << 31).u32(0).u64(1).zeros(32);
    EXPECT_NE(reason(huge_counts.build()).find("more than 4096 domains"), std::string::npos);
    // A good structure before a bad one does not count either.
    EXPECT_NE(reason(Hmat{}.figures(latency, {0}, {0}, 1, {1}).structure(1, 31).build()).find("offset 0x52"),
              std::string::npos);
}

TEST(Hmat, TruncationAtAnyByteGivesAPrefixOrAnError)
{
    ByteVector const whole{Hmat{}
                               .figures(HmatData::access_latency, {0, 1}, {0, 1}, 1000, {90, 170, 180, 95})
                               .figures(HmatData::access_bandwidth, {0, 1}, {0, 1}, 4096, {10, 5, 5, 10})
                               .build()};
    for (std::size_t length = 1; length < whole.size(); ++length) {
        ByteVector cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        cut.shrink_to_fit();
        bool const between_structures = length == 40 || length == 40 + 32 + 16 + 8;
        EXPECT_EQ(map_with(cut)->hmat_reason.is_set(), !between_structures) << length;
    }
}

TEST(Hmat, DamagedBytesAreReadInBounds)
{
    std::mt19937_64 random{20261123};
    ByteVector const whole{Hmat{}.figures(HmatData::access_latency, {0, 1}, {0, 1}, 1000, {90, 170, 180, 95}).build()};
    unsigned refused{0}, taken{0};
    for (int round = 0; round < 20'000; ++round) {
        ByteVector table{whole};
        for (unsigned n = 1 + static_cast<unsigned>(random() % 3); n > 0; --n)
            table[header_size + random() % (table.size() - header_size)] = static_cast<std::byte>(random());
        std::uint64_t figures{0};
        Status<ParseError> const walked{walk_hmat(Bytes{table}, [&](HmatFigure const&) { ++figures; })};
        walked ? ++taken : ++refused;
        EXPECT_LE(figures, table.size() / 2);
    }
    EXPECT_GT(refused, 1000u);
    EXPECT_GT(taken, 1000u);
}

} // namespace
} // namespace hv::boot::acpi
