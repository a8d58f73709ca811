// Firmware that contradicts itself: when SRAT is not believed, and what is put right instead.
#include "boot/acpi/machine_map.hpp"

#include "tests/unit/acpi/machines.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace hv::boot::acpi {
namespace {

using test::distance_text;
using test::expect_one_node;
using test::Firmware;
using test::GiB;
using test::memory_text;
using test::MiB;
using test::note_value;
using test::Srat;
using test::text_of;
using test::two_node_srat;
using test::two_nodes;
using test::with_srat;

TEST(MachineMap, NumaOffIsObeyedAndSaid)
{
    Firmware firmware{two_nodes()};
    firmware.flags.numa = false;
    firmware.slit = test::slit(2, {10, 21, 21, 10});
    expect_one_node(firmware, "numa=off is on the command line");
}

TEST(MachineMap, ADamagedTableIsReportedAsItIs)
{
    Firmware const firmware{two_nodes()};
    MachineMap map;
    ParseError const error{
        .thing = "SRAT, physical address", .place = 0x7000, .what = "the table's checksum is wrong", .fix = "x"};
    build_machine_map({Bytes{firmware.madt}, fail(error), Bytes{}}, firmware.cpuid, firmware.flags, firmware.regions,
                      map);
    EXPECT_EQ(map.fallback_reason, error);
    EXPECT_EQ(map.node_count, 1u);
}

TEST(MachineMap, WithoutAnEnabledCpuEntrySratIsUnusable)
{
    expect_one_node(with_srat(Srat{}.memory(0, GiB, 0).build()), "there is no enabled CPU entry");
    expect_one_node(with_srat(Srat{}.cpu(0, 0, 0).memory(0, GiB, 0).build()), "there is no enabled CPU entry");
    expect_one_node(with_srat(Srat{}.build()), "there is no enabled CPU entry");
}

TEST(MachineMap, WithoutMemoryEntriesSratIsUnusable)
{
    expect_one_node(with_srat(Srat{}.cpu(0, 0).build()), "0x0: usable memory belongs to no proximity domain");
    expect_one_node(with_srat(Srat{}.cpu(0, 0).memory(0, GiB, 0, 0).build()), "belongs to no proximity domain");
}

TEST(MachineMap, MalformedEntriesMakeSratUnusable)
{
    Srat srat{two_node_srat()};
    std::size_t const offset{srat.body().bytes.size()};
    srat.unknown(0, 15);
    expect_one_node(with_srat(srat.build()), "a CPU entry has not 16 bytes");
    EXPECT_EQ(with_srat(srat.build()).map()->fallback_reason.place, offset);
    expect_one_node(with_srat(two_node_srat().unknown(1, 32).build()), "a memory entry has not 40 bytes");
    expect_one_node(with_srat(two_node_srat().unknown(2, 16).build()), "an x2APIC entry is shorter than 24 bytes");
    expect_one_node(with_srat(two_node_srat().memory(~0ull - 4095, 8192, 0).build()), "runs past the end");
}

TEST(MachineMap, OverlapBetweenNodesMakesSratUnusable)
{
    Srat srat;
    srat.cpu(0, 0).cpu(1, 1).memory(0, 513 * MiB, 0).memory(512 * MiB, 512 * MiB, 1);
    expect_one_node(with_srat(srat.build()),
                    "SRAT, physical address 0x20000000: two proximity domains claim the same memory");
    Srat hot;
    hot.cpu(0, 0).memory(0, GiB, 0).memory(GiB - MiB, GiB, 1, 3);
    expect_one_node(with_srat(hot.build()), "two proximity domains claim the same memory");
}

TEST(MachineMap, OverlapWithinANodeIsOnlyNoted)
{
    Srat srat;
    srat.cpu(0, 0).cpu(1, 1).memory(0, 300 * MiB, 0).memory(200 * MiB, 312 * MiB, 0).memory(512 * MiB, 512 * MiB, 1);
    auto const map = with_srat(srat.build()).map();
    EXPECT_FALSE(map->fallback_reason.is_set());
    EXPECT_EQ(memory_text(*map), "0:0K+512M 1:512M+512M");
    EXPECT_EQ(note_value(*map, "overlaps of SRAT memory entries of one domain"), 1u);
}

TEST(MachineMap, RamThatIsHotPluggableTooMakesSratUnusable)
{
    Srat srat;
    srat.cpu(0, 0).memory(0, GiB, 0).memory(GiB - MiB, GiB, 0, 3);
    expect_one_node(with_srat(srat.build()), "0x3ff00000: memory is present and hot-pluggable at once");
}

TEST(MachineMap, InterleavedNodesMakeSratUnusable)
{
    Srat srat;
    srat.cpu(0, 0).cpu(1, 1);
    srat.memory(0, 256 * MiB, 0).memory(256 * MiB, 256 * MiB, 1).memory(512 * MiB, 512 * MiB, 0);
    expect_one_node(with_srat(srat.build()), "0x10000000: the memory of two proximity domains is interleaved");
}

TEST(MachineMap, AHotPluggableRangeDoesNotWidenANodesSpan)
{
    Srat srat;
    srat.cpu(0, 0).cpu(1, 1);
    srat.memory(0, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1).memory(8 * GiB, GiB, 0, 3);
    EXPECT_FALSE(with_srat(srat.build()).map()->fallback_reason.is_set());
}

TEST(MachineMap, RamThatSratDoesNotCoverMakesItUnusable)
{
    Srat srat;
    srat.cpu(0, 0).memory(0, GiB - 64 * MiB, 0);
    expect_one_node(with_srat(srat.build()),
                    "SRAT, physical address 0x3c000000: usable memory belongs to no proximity domain");
    Srat gap;
    gap.cpu(0, 0).memory(0, 256 * MiB, 0).memory(512 * MiB, 512 * MiB, 1);
    expect_one_node(with_srat(gap.build()), "0x10000000: usable memory belongs to no proximity domain");
}

TEST(MachineMap, RamBetweenTheBlocksOfANodeIsItsOwn)
{
    Srat srat;
    srat.cpu(0, 0).memory(0, 256 * MiB, 0).memory(512 * MiB, 512 * MiB, 0);
    EXPECT_EQ(memory_text(*with_srat(srat.build()).map()), "0:0K+1G");
}

TEST(MachineMap, SratMayDescribeMoreThanThereIs)
{
    Srat srat;
    srat.cpu(0, 0).cpu(77, 5).memory(0, 4 * GiB, 0).memory(64 * GiB, GiB, 3);
    auto const map = with_srat(srat.build()).map();
    EXPECT_EQ(memory_text(*map), "0:0K+1G");
    EXPECT_EQ(map->node_count, 3u);
    EXPECT_EQ(note_value(*map, "SRAT CPU entries without a pCPU in use, ignored"), 1u);
}

TEST(MachineMap, EmptyBlocksConflictWithNothingAndMakeNoNode)
{
    Srat srat;
    srat.cpu(0, 0).memory(0, GiB, 0).memory(MiB, 0, 9);
    auto const map = with_srat(srat.build()).map();
    EXPECT_FALSE(map->fallback_reason.is_set());
    EXPECT_EQ(map->node_count, 1u);
}

TEST(MachineMap, MemoryEntriesBeyondThe128thAreIgnoredAndNoted)
{
    Srat srat;
    srat.cpu(0, 0);
    for (unsigned i = 0; i < 129; ++i)
        srat.memory(i * 8 * MiB, 8 * MiB, i < 64 ? 0 : 1);
    auto const map = with_srat(srat.build(), 128 * 8 * MiB).map();
    EXPECT_FALSE(map->fallback_reason.is_set());
    EXPECT_EQ(note_value(*map, "SRAT memory entries beyond the 128th, ignored"), 1u);
    EXPECT_EQ(memory_text(*map), "0:0K+512M 1:512M+512M");
    expect_one_node(with_srat(srat.build(), 129 * 8 * MiB), "0x40000000: usable memory belongs to no proximity domain");
}

TEST(MachineMap, APageThatTwoNodesShareBelongsToNeither)
{
    Srat srat;
    srat.cpu(0, 0).cpu(1, 1).memory(0, MiB + 100, 0).memory(MiB + 100, MiB - 100, 1);
    EXPECT_EQ(memory_text(*with_srat(srat.build(), 2 * MiB).map()), "0:0K+1M 1:1028K+1020K");
}

} // namespace
} // namespace hv::boot::acpi
