// What everybody who uses a map of the machine relies on, whatever the firmware said. Floor: tests.
#pragma once

#include "boot/acpi/machine_map.hpp"

namespace hv::fuzz {

inline void expect_sound(boot::acpi::MachineMap const& map)
{
    HV_ASSERT(map.node_count >= 1 && map.node_count <= boot::acpi::max_nodes);
    HV_ASSERT(map.pxm.size() == map.node_count);
    HV_ASSERT(!map.pcpus.empty() && map.boot_pcpu.value() < map.pcpus.size());
    for (boot::acpi::MapPcpu const& pcpu : map.pcpus)
        HV_ASSERT(pcpu.node.value() < map.node_count);
    std::uint64_t end{0};
    for (boot::acpi::MemoryRange const& range : map.memory) {
        HV_ASSERT(range.node.value() < map.node_count);
        HV_ASSERT(range.base.value() >= end && range.length > 0 && range.end() > range.base.value());
        HV_ASSERT((range.base.value() | range.length) % boot::acpi::page_bytes == 0);
        for (boot::acpi::SratMemory const& block : map.srat_memory)
            HV_ASSERT(!block.hot_pluggable || range.end() <= block.base.value() ||
                      range.base.value() >= block.base.value() + block.length);
        end = range.end();
    }
    for (std::size_t i = 0; i < map.distance_table().size(); ++i)
        HV_ASSERT((map.distance_table()[i] == local_distance) == (i / map.node_count == i % map.node_count));
}

} // namespace hv::fuzz
