#include "boot/acpi/machine_map.hpp"

#include "tests/unit/acpi/machines.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hv::boot::acpi {
namespace {

using test::distance_text;
using test::expect_one_node;
using test::Firmware;
using test::GiB;
using test::low_node;
using test::low_ram;
using test::Madt;
using test::memory_text;
using test::MiB;
using test::node_text;
using test::note_value;
using test::Srat;
using test::text_of;
using test::two_node_srat;
using test::two_nodes;
using test::with_srat;

TEST(MachineMap, FlatMachineIsOneNodeAndSaysWhy)
{
    Firmware firmware{two_nodes()};
    firmware.srat.clear();
    expect_one_node(firmware, "the firmware has no SRAT; all is in node 0; QEMU makes one if it gets -numa options");
    EXPECT_EQ(memory_text(*firmware.map()), "0:0K+636K 0:1M+1023M");
    EXPECT_FALSE(firmware.map()->slit_reason.is_set());
}

TEST(MachineMap, TwoNodesWithoutSlitAre10And20Apart)
{
    auto const map = two_nodes().map();
    EXPECT_FALSE(map->fallback_reason.is_set());
    EXPECT_EQ(node_text(*map), "0 0 1 1");
    EXPECT_EQ(memory_text(*map), "0:0K+636K 0:1M+511M 1:512M+512M");
    EXPECT_EQ(distance_text(*map), "10 20 / 20 10");
    EXPECT_EQ(map->local_apic, PhysAddr{0xfee00000});
    EXPECT_TRUE(map->notes.empty());
    EXPECT_EQ(map->srat_memory.size(), 3u); // The fillers are not kept.
}

TEST(MachineMap, SlitGivesTheDistancesEvenIfAsymmetricOrUnreachable)
{
    Firmware firmware{two_nodes()};
    firmware.slit = test::slit(2, {10, 21, 31, 10});
    EXPECT_EQ(distance_text(*firmware.map()), "10 21 / 31 10");
    EXPECT_EQ(firmware.map()->distance(NodeId{1}, NodeId{0}), 31);
    firmware.slit = test::slit(2, {10, 255, 255, 10});
    EXPECT_EQ(distance_text(*firmware.map()), "10 255 / 255 10");
    EXPECT_FALSE(firmware.map()->slit_reason.is_set());
}

TEST(MachineMap, TheBoxOfThePostsHasNode0OnBothSidesOfTheHole)
{
    Firmware firmware;
    firmware.madt = Madt{}.cpus(16).build();
    Srat srat;
    for (unsigned i = 0; i < 16; ++i)
        srat.cpu(i, i / 8);
    low_node(srat, 2 * GiB, 0).memory(4 * GiB, 4 * GiB, 0).memory(8 * GiB, 6 * GiB, 1);
    firmware.srat = srat.build();
    firmware.cpuid = {.smt_shift = 1, .package_shift = 3, .boot_apic_id = 0};
    low_ram(firmware, 2 * GiB).ram(4 * GiB, 10 * GiB).reserved(0xb0000000, 0x10000000);
    auto const map = firmware.map();
    EXPECT_FALSE(map->fallback_reason.is_set());
    EXPECT_EQ(memory_text(*map), "0:0K+636K 0:1M+2047M 0:4G+4G 1:8G+6G");
    EXPECT_EQ(map->pcpus[9].socket, 1u);
    EXPECT_EQ(map->pcpus[9].core, 4u);
    EXPECT_EQ(map->pcpus[9].thread, 1u);
    EXPECT_EQ(map->pcpus[9].node, NodeId{1});
}

TEST(MachineMap, MemorylessNodesCountEvenNode0)
{
    Firmware firmware{two_nodes()};
    Srat srat;
    srat.cpu(0, 0).cpu(1, 0).cpu(2, 1).cpu(3, 1);
    firmware.srat = low_node(srat, GiB, 0).build();
    EXPECT_EQ(memory_text(*firmware.map()), "0:0K+636K 0:1M+1023M");
    EXPECT_EQ(firmware.map()->node_count, 2u);
    Srat other;
    other.cpu(0, 0).cpu(1, 0).cpu(2, 1).cpu(3, 1);
    firmware.srat = low_node(other, GiB, 1).build();
    EXPECT_EQ(memory_text(*firmware.map()), "1:0K+636K 1:1M+1023M");
    EXPECT_EQ(node_text(*firmware.map()), "0 0 1 1");
}

TEST(MachineMap, CpulessNodesCount)
{
    Firmware firmware{two_nodes()};
    Srat srat;
    srat.cpu(0, 0).cpu(1, 0).cpu(2, 0).cpu(3, 0);
    firmware.srat = low_node(srat, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1).build();
    auto const map = firmware.map();
    EXPECT_EQ(node_text(*map), "0 0 0 0");
    EXPECT_EQ(map->node_count, 2u);
    EXPECT_EQ(memory_text(*map), "0:0K+636K 0:1M+511M 1:512M+512M");
}

TEST(MachineMap, HotPluggableRangesAreNotThereYetAndAbsentPcpusHaveTheirNumbersAlready)
{
    Firmware firmware{two_nodes()};
    Madt madt; // absent ones in the midst of the others
    madt.cpu(0).cpu(4, 0).cpu(1).cpu(9, 0).cpu(2).cpu(3).cpu(5, 0).cpu(300 % 256, 0);
    Srat srat{two_node_srat()};
    srat.cpu(4, 1).cpu(5, 1).cpu(6, 0);
    firmware.madt = madt.build();
    firmware.srat = srat.memory(4 * GiB, 3 * GiB, 1, 3).build();
    auto map = firmware.map();
    EXPECT_EQ(node_text(*map), "0 0 1 1 1 1");
    EXPECT_EQ(map->present_pcpus, 4u);
    EXPECT_EQ(map->pcpus[4].apic_id, 4u);
    EXPECT_EQ(map->pcpus[5].apic_id, 5u) << "SRAT does not know 9 and 44: they stand for nothing";
    EXPECT_EQ(memory_text(*map), "0:0K+636K 0:1M+511M 1:512M+512M");
    EXPECT_EQ(note_value(*map, "SRAT CPU entries without a pCPU in use, ignored"), 1u);
    EXPECT_TRUE(map->srat_memory[3].hot_pluggable);

    firmware.flags.max_pcpus = 5;
    EXPECT_EQ(firmware.map()->pcpus.size(), 5u) << "the limit holds for all";
    firmware.flags.max_pcpus = 3;
    EXPECT_EQ(firmware.map()->present_pcpus, 3u);
    EXPECT_EQ(firmware.map()->pcpus.size(), 3u);
    firmware.flags = {.numa = false};
    map = firmware.map();
    EXPECT_EQ(map->pcpus.size(), 4u) << "nobody says where the others would be";
    EXPECT_EQ(map->present_pcpus, 4u);
}

TEST(MachineMap, AHotPluggableRangeDoesNotCoverRam)
{
    Srat srat;
    srat.cpu(0, 0).memory(0, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 0, 3);
    expect_one_node(with_srat(srat.build()), "0x20000000: usable memory lies in a hot-pluggable range");
}

TEST(MachineMap, RamInAHotPluggableRangeInsideASpanIsAContradiction)
{
    for (std::uint32_t const pxm : {0u, 1u}) {
        Srat srat;
        srat.cpu(0, 0).cpu(1, 1).memory(0, 256 * MiB, 0).memory(768 * MiB, 256 * MiB, 0).memory(GiB, GiB, 1);
        srat.memory(512 * MiB, 128 * MiB, pxm, 3);
        expect_one_node(with_srat(srat.build(), 2 * GiB), "0x20000000: usable memory lies in a hot-pluggable range");
    }
}

TEST(MachineMap, SparseApicIdsAreNumberedDensely)
{
    Firmware firmware;
    Madt madt;
    Srat srat;
    for (unsigned const id : {0u, 1u, 2u, 4u, 5u, 6u}) {
        madt.cpu(id);
        srat.cpu(id, id / 4);
    }
    firmware.madt = madt.build();
    firmware.srat = low_node(srat, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1).build();
    firmware.cpuid = {.smt_shift = 0, .package_shift = 2, .boot_apic_id = 0};
    auto const map = low_ram(firmware, GiB).map();
    EXPECT_EQ(node_text(*map), "0 0 0 1 1 1");
    std::string shape;
    for (MapPcpu const& pcpu : map->pcpus)
        shape +=
            std::to_string(pcpu.apic_id) + ":" + std::to_string(pcpu.socket) + "." + std::to_string(pcpu.core) + " ";
    EXPECT_EQ(shape, "0:0.0 1:0.1 2:0.2 4:1.3 5:1.4 6:1.5 ");
}

TEST(MachineMap, InterleavedPcpuNumbersKeepTheirNodes)
{
    Firmware firmware{two_nodes()};
    Srat srat;
    srat.cpu(0, 0).cpu(2, 0).cpu(1, 1).cpu(3, 1);
    firmware.srat = low_node(srat, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1).build();
    EXPECT_EQ(node_text(*firmware.map()), "0 1 0 1");
}

TEST(MachineMap, BootPcpuMayBeOnNode1)
{
    Firmware firmware{two_nodes()};
    Srat srat;
    srat.cpu(0, 1).cpu(1, 1).cpu(2, 0).cpu(3, 0);
    firmware.srat = low_node(srat, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1).build();
    EXPECT_EQ(node_text(*firmware.map()), "1 1 0 0");
    EXPECT_EQ(firmware.map()->boot_pcpu, CpuId{0});
}

// --- node ids

TEST(MachineMap, NodeIdsAscendWithThePxmWhateverTheOrderOfEntries)
{
    Srat srat{3};
    srat.cpu(0, 300).cpu(1, 7).memory(0, 512 * MiB, 0x01000000).memory(512 * MiB, 512 * MiB, 7);
    auto const map = with_srat(srat.build()).map();
    EXPECT_FALSE(map->fallback_reason.is_set());
    EXPECT_EQ(std::vector<std::uint32_t>(map->pxm.begin(), map->pxm.end()),
              (std::vector<std::uint32_t>{7, 300, 0x01000000}));
    EXPECT_EQ(memory_text(*map), "2:0K+512M 0:512M+512M");
    EXPECT_EQ(node_text(*map), "1 0 0 0");
    EXPECT_EQ(distance_text(*map), "10 20 20 / 20 10 20 / 20 20 10");
}

TEST(MachineMap, DensePxmsAreTheNodeIdsEvenIfANodeIsFirstSeenLate)
{
    Srat srat;
    srat.cpu(0, 2).cpu(1, 0).memory(0, 512 * MiB, 1).memory(512 * MiB, 512 * MiB, 2);
    auto const map = with_srat(srat.build()).map();
    EXPECT_EQ(map->node_count, 3u);
    EXPECT_EQ(memory_text(*map), "1:0K+512M 2:512M+512M");
    EXPECT_EQ(node_text(*map), "2 0 0 0");
}

TEST(MachineMap, Revision1PxmsHave8Bits)
{
    Srat srat{1};
    srat.cpu(0, 0x100).cpu(1, 0x101).memory(0, 512 * MiB, 0xffffff00).memory(512 * MiB, 512 * MiB, 1);
    auto const map = with_srat(srat.build()).map();
    EXPECT_EQ(map->node_count, 2u);
    EXPECT_EQ(node_text(*map), "0 1 0 0");
}

TEST(MachineMap, SixtyFourNodesAreAcceptedAndSixtyFiveAreNot)
{
    for (unsigned const count : {64u, 65u}) {
        Firmware firmware;
        Madt madt;
        Srat srat;
        for (unsigned i = 0; i < count; ++i) {
            madt.cpu(i);
            srat.cpu(i, i).memory(i * 8 * MiB, 8 * MiB, i);
        }
        firmware.madt = madt.build();
        firmware.srat = srat.build();
        firmware.ram(0, count * 8 * MiB);
        if (count == 65) {
            expect_one_node(firmware, "there are more than 64 proximity domains");
            continue;
        }
        auto const map = firmware.map();
        EXPECT_FALSE(map->fallback_reason.is_set());
        EXPECT_EQ(map->node_count, 64u);
        EXPECT_EQ(map->memory.size(), 64u);
        EXPECT_EQ(map->distance(NodeId{63}, NodeId{63}), 10);
        EXPECT_EQ(map->distance(NodeId{63}, NodeId{0}), 20);
    }
}

// --- pCPUs of SRAT and MADT

TEST(MachineMap, PcpusThatSratDoesNotKnowGoToNode0)
{
    Srat srat;
    srat.cpu(1, 1).memory(0, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1);
    auto const map = with_srat(srat.build()).map();
    EXPECT_EQ(node_text(*map), "0 1 0 0");
    EXPECT_EQ(note_value(*map, "pCPUs that SRAT does not know, put into node 0"), 3u);
}

TEST(MachineMap, OfTwoEntriesForOneApicIdTheFirstCounts)
{
    Srat srat;
    srat.cpu(0, 1).cpu(0, 0).cpu(1, 1).cpu(1, 1).memory(0, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1);
    auto const map = with_srat(srat.build()).map();
    EXPECT_EQ(node_text(*map), "1 1 0 0");
    EXPECT_EQ(note_value(*map, "SRAT CPU entries that contradict an earlier one, ignored"), 1u);
}

TEST(MachineMap, X2apicEntriesServeLikeTheOthers)
{
    Firmware firmware;
    firmware.madt = Madt{}.cpu(0).x2apic(1000).x2apic(0).build();
    Srat srat{3};
    srat.x2apic(0, 0).x2apic(1000, 1).memory(0, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1);
    firmware.srat = srat.build();
    auto const map = firmware.ram(0, GiB).map();
    EXPECT_EQ(node_text(*map), "0 1"); // pCPU 0 stands in the MADT twice.
    EXPECT_EQ(map->pcpus[1].apic_id, 1000u);
}

TEST(MachineMap, AnUnusableMadtLeavesTheBootPcpuAlone)
{
    Firmware firmware{two_nodes()};
    firmware.cpuid.boot_apic_id = 2;
    auto const only_boot = [&](std::string_view reason) {
        auto const map = firmware.map();
        EXPECT_NE(text_of(map->madt_reason).find(reason), std::string::npos) << text_of(map->madt_reason);
        ASSERT_EQ(map->pcpus.size(), 1u);
        EXPECT_EQ(map->pcpus[0].apic_id, 2u);
        EXPECT_EQ(map->boot_pcpu, CpuId{0});
        EXPECT_EQ(map->pcpus[0].node, NodeId{1}); // SRAT still serves.
        EXPECT_EQ(map->local_apic, PhysAddr{0xfee00000});
    };
    firmware.madt.clear();
    only_boot("the firmware has no MADT");
    firmware.madt = Madt{}.cpu(0).cpu(1).build();
    only_boot("the pCPU that boots is not among the enabled entries");
    firmware.madt = Madt{}.cpus(4).build();
    firmware.madt.pop_back();
    only_boot("an entry runs past the end of the table");
}

TEST(MachineMap, MaxcpusKeepsTheFirstPcpusAndAlwaysTheBootPcpu)
{
    Firmware firmware{two_nodes()};
    firmware.flags.max_pcpus = 3;
    EXPECT_EQ(node_text(*firmware.map()), "0 0 1");
    EXPECT_EQ(note_value(*firmware.map(), "pCPUs beyond the limit, left out"), 1u);
    firmware.cpuid.boot_apic_id = 3;
    firmware.flags.max_pcpus = 1;
    auto const map = firmware.map();
    ASSERT_EQ(map->pcpus.size(), 1u);
    EXPECT_EQ(map->pcpus[0].apic_id, 3u);
    EXPECT_EQ(map->pcpus[0].node, NodeId{1});
    EXPECT_FALSE(map->madt_reason.is_set());
}

TEST(MachineMap, MorePcpusThanThereIsRoomForAreCounted)
{
    Firmware firmware;
    Madt madt;
    for (unsigned i = 0; i < 300; ++i)
        madt.x2apic(2 * i);
    firmware.madt = madt.build();
    firmware.flags.max_pcpus = 1000;
    auto const map = firmware.ram(0, GiB).map();
    EXPECT_EQ(map->pcpus.size(), max_pcpus);
    EXPECT_EQ(note_value(*map, "pCPUs beyond the limit, left out"), 44u);
}

TEST(MachineMap, AbsurdShiftsGiveOneSocketAndWellDefinedCores)
{
    for (std::uint8_t const shift : {std::uint8_t{32}, std::uint8_t{64}, std::uint8_t{255}}) {
        Firmware firmware{two_nodes()};
        firmware.cpuid = {.smt_shift = shift, .package_shift = shift, .boot_apic_id = 0};
        auto const map = firmware.map();
        for (MapPcpu const& pcpu : map->pcpus) {
            EXPECT_EQ(pcpu.socket, 0u);
            EXPECT_EQ(pcpu.core, 0u);
            EXPECT_EQ(pcpu.thread, pcpu.apic_id);
        }
    }
    Firmware firmware{two_nodes()};
    firmware.cpuid = {.smt_shift = 5, .package_shift = 1, .boot_apic_id = 0}; // A core is no larger than its package.
    EXPECT_EQ(firmware.map()->pcpus[3].core, 1u);
}

// --- SLIT

TEST(MachineMap, AnUnusableSlitCostsOnlyTheDistances)
{
    Firmware firmware{two_nodes()};
    auto const defaults = [&](std::string_view reason) {
        auto const map = firmware.map();
        EXPECT_FALSE(map->fallback_reason.is_set());
        EXPECT_NE(text_of(map->slit_reason).find(reason), std::string::npos) << text_of(map->slit_reason);
        EXPECT_EQ(distance_text(*map), "10 20 / 20 10");
        EXPECT_EQ(node_text(*map), "0 0 1 1");
    };
    firmware.slit = test::slit(2, {10, 10, 10, 10});
    defaults("the distance to another locality is not above 10");
    firmware.slit = test::slit(2, {10, 21, 21, 20});
    defaults("the distance of a locality to itself is not 10");
    firmware.slit = test::slit(2, {10, 21, 9, 10});
    defaults("the distance to another locality is not above 10");
    firmware.slit = test::slit(2, {10, 21, 21});
    defaults("too short for its number of localities");
}

TEST(MachineMap, SlitIsIndexedByPxmAndNodesBeyondItAre20Away)
{
    Srat srat;
    srat.cpu(0, 1).cpu(1, 3).memory(0, 512 * MiB, 1).memory(512 * MiB, 512 * MiB, 3);
    Firmware firmware{with_srat(srat.build())};
    firmware.slit = test::slit(4, {10, 11, 12, 13, 14, 10, 16, 17, 18, 19, 10, 21, 22, 23, 24, 10});
    EXPECT_EQ(distance_text(*firmware.map()), "10 17 / 23 10");
    firmware.slit = test::slit(2, {10, 30, 31, 10});
    EXPECT_EQ(distance_text(*firmware.map()), "10 20 / 20 10");
    EXPECT_EQ(note_value(*firmware.map(), "nodes that SLIT does not know, at distance 20 from all others"), 1u);
    EXPECT_FALSE(firmware.map()->slit_reason.is_set());
}

TEST(MachineMap, FourNodeRingKeepsItsDistances)
{
    Firmware firmware;
    Srat srat;
    for (unsigned i = 0; i < 4; ++i)
        srat.cpu(i, i).memory(i * 256 * MiB, 256 * MiB, i);
    firmware = with_srat(srat.build());
    firmware.slit = test::slit(4, {10, 20, 30, 20, 20, 10, 20, 30, 30, 20, 10, 20, 20, 30, 20, 10});
    EXPECT_EQ(distance_text(*firmware.map()), "10 20 30 20 / 20 10 20 30 / 30 20 10 20 / 20 30 20 10");
}

} // namespace
} // namespace hv::boot::acpi
