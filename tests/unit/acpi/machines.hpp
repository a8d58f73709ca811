// Machines as QEMU makes them, for the tests of the machine map.
#pragma once

#include "tests/unit/acpi/table_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace hv::test {

// The low memory of every PC that QEMU makes: 0 to 640 KiB, of which the last KiB is the EBDA, and from 1 MiB to `end`.
inline Firmware& low_ram(Firmware& firmware, std::uint64_t end)
{
    return firmware.ram(0, 0x9fc00).reserved(0x9fc00, 0x400).reserved(0xf0000, 0x10000).ram(MiB, end - MiB);
}

inline Srat& low_node(Srat& srat, std::uint64_t end, std::uint32_t pxm)
{
    return srat.memory(0, 0xa0000, pxm).memory(MiB, end - MiB, pxm);
}

// Two nodes of 512 MiB with two pCPUs each, as `-numa node,nodeid=0,cpus=0-1 -numa node,nodeid=1,cpus=2-3` makes them.
[[nodiscard]] inline Srat two_node_srat()
{
    Srat srat;
    srat.cpu(0, 0).cpu(1, 0).cpu(2, 1).cpu(3, 1);
    low_node(srat, 512 * MiB, 0).memory(512 * MiB, 512 * MiB, 1).memory(0, 0, 0, 0).memory(0, 0, 0, 0);
    return srat;
}

[[nodiscard]] inline Firmware two_nodes()
{
    Firmware firmware;
    firmware.madt = Madt{}.cpus(4).build();
    firmware.srat = two_node_srat().build();
    firmware.cpuid = {.smt_shift = 0, .package_shift = 1, .boot_apic_id = 0};
    return low_ram(firmware, GiB);
}

// Four pCPUs and RAM from 0 to `ram_end` (no hole), with the SRAT under test.
[[nodiscard]] inline Firmware with_srat(test::ByteVector srat, std::uint64_t ram_end = GiB)
{
    Firmware firmware;
    firmware.madt = Madt{}.cpus(4).build();
    firmware.srat = std::move(srat);
    return firmware.ram(0, ram_end);
}

// The whole memory is in node 0, the pCPUs too, and the reason contains `reason`.
inline void expect_one_node(Firmware const& firmware, std::string_view reason)
{
    auto const map = firmware.map();
    EXPECT_NE(text_of(map->fallback_reason).find(reason), std::string::npos) << text_of(map->fallback_reason);
    EXPECT_EQ(map->node_count, 1u);
    EXPECT_EQ(distance_text(*map), "10");
    EXPECT_TRUE(map->srat_memory.empty());
    EXPECT_EQ(map->pxm.size(), 1u);
    EXPECT_FALSE(map->memory.empty());
    std::uint64_t total{0};
    for (boot::acpi::MemoryRange const& range : map->memory) {
        EXPECT_EQ(range.node, NodeId{0});
        total += range.length;
    }
    boot::acpi::MemoryRanges usable;
    EXPECT_EQ(boot::acpi::collect_usable_memory(firmware.regions, usable), 0u);
    std::uint64_t expected{0};
    for (boot::acpi::MemoryRange const& range : usable)
        expected += range.length;
    EXPECT_EQ(total, expected);
    for (boot::acpi::MapPcpu const& pcpu : map->pcpus)
        EXPECT_EQ(pcpu.node, NodeId{0});
}

// believed

} // namespace hv::test
