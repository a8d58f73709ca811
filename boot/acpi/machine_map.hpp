// The shape of the machine, made of what the firmware says: pCPUs with their nodes, memory with its nodes, distances.
//
// Node ids follow ascending PXM, so they do not depend on the order of entries, and where PXMs are 0 to n-1 already, as
// under QEMU, node id and PXM are the same number. Every PXM that an enabled SRAT entry names gets a node, even if it
// has neither memory nor present pCPUs yet: ids stay what they are when something is plugged in.
//
// All or nothing: if SRAT contradicts itself or the memory map, it is not believed at all, everything is in node 0 and
// `fallback_reason` says why. The rules are those of Xen's master of 2026. A node's memory is the usable
// memory between its lowest and its highest byte in SRAT; these spans must not overlap. Hot-pluggable ranges are no
// memory yet, and usable memory in one is a contradiction. A pCPU that the MADT has as not present can be plugged in if
// SRAT knows its node: it has its number from the start, above all that are present. An unusable SLIT costs the
// distances only, an unusable HMAT the figures; an unusable MADT leaves the boot pCPU alone.
//
// Pure: out of bytes, no state, no locks. All of MachineMap's zeroes are defaults, so a static one lies in .bss.
// Floor: boot/acpi.
#pragma once

#include "arch/generic/topology.hpp"
#include "arch/generic/types.hpp"
#include "boot/acpi/rsdp.hpp"
#include "boot/acpi/srat.hpp"
#include "boot/acpi/usable_memory.hpp"
#include "boot/info/fixed_vector.hpp"
#include "boot/info/multiboot.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hv::boot::acpi {

inline constexpr std::size_t max_pcpus = 256;
inline constexpr std::size_t max_nodes = 64;
inline constexpr std::size_t max_srat_blocks = 2 * max_nodes;

// What CPUID leaf 0xB says: how far to shift an APIC id to the right to get the number of a core and of a package.
struct CpuidTopology {
    std::uint8_t smt_shift{0};
    std::uint8_t package_shift{0};
    std::uint32_t boot_apic_id{0};
};

struct MapFlags {
    bool numa{true};              // false: one node, whatever SRAT says
    std::uint16_t max_pcpus{255}; // at least 1
};

struct MapPcpu {
    std::uint32_t apic_id{0};
    NodeId node{};
    std::uint16_t socket{0}; // dense from 0
    std::uint16_t core{0};   // dense from 0 over the whole machine
    std::uint32_t thread{0}; // within its core, as the APIC id numbers it
};

// Something that was put right and should be logged: "text: value".
struct MapNote {
    std::string_view text;
    std::uint64_t value{0};
};

// What HMAT says of accesses from one node to the memory of another; 0: nothing.
struct Performance {
    std::uint32_t latency_ps{0};
    std::uint32_t bandwidth_mbps{0};
};

struct MachineMap {
    FixedVector<MapPcpu, max_pcpus> pcpus; // by CpuId, in the order of the MADT; first those that are present
    std::uint32_t present_pcpus{0};        // at least 1
    CpuId boot_pcpu;
    PhysAddr local_apic;
    MemoryRanges memory;                                          // sorted by base, disjoint, whole pages
    std::uint32_t node_count{0};                                  // 1 to max_nodes
    FixedVector<std::uint32_t, max_nodes> pxm;                    // by NodeId, ascending; {0} if there is no SRAT
    std::array<Distance, max_nodes * max_nodes> distances{};      // row-major [from][to], node_count to a row
    std::array<Performance, max_nodes * max_nodes> performance{}; // like distances
    FixedVector<SratMemory, max_srat_blocks> srat_memory; // as SRAT has it, hot-pluggable ranges too; empty on fallback

    ParseError fallback_reason; // set: SRAT is not used, all is in node 0
    ParseError slit_reason;     // set: SLIT is not used, distances are 10 and 20
    ParseError hmat_reason;     // set: HMAT is not used
    ParseError madt_reason;     // set: MADT is not used, the boot pCPU is the only one
    FixedVector<MapNote, 8> notes;

    [[nodiscard]] Distance distance(NodeId from, NodeId to) const
    {
        HV_ASSERT(from.value() < node_count && to.value() < node_count);
        return distances[from.value() * node_count + to.value()];
    }
    [[nodiscard]] Performance performance_of(NodeId from, NodeId to) const
    {
        HV_ASSERT(from.value() < node_count && to.value() < node_count);
        return performance[from.value() * node_count + to.value()];
    }
    // What hv::Topology wants: node_count x node_count.
    [[nodiscard]] std::span<Distance const> distance_table() const
    {
        return {distances.data(), node_count * node_count};
    }
};

// Cannot fail: the worst tables give the boot pCPU and one node. `regions` is the whole memory map, not only the usable
// part; where usable and other regions overlap, the memory is not used. `out` is overwritten; a parameter because a
// MachineMap is larger than a stack frame of the kernel may be.
void build_machine_map(Tables const& tables, CpuidTopology const& cpuid, MapFlags const& flags,
                       std::span<MemoryRegion const> regions, MachineMap& out);

// The part that is about HMAT, after everything else.
void map_performance(Tables const& tables, MachineMap& map);

} // namespace hv::boot::acpi
