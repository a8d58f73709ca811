// What the scheduler and the allocators know of the machine's shape: pCPUs, cores, sockets, nodes and the distances
// between nodes. Plain data that whoever brings the machine up fills in and then leaves alone; `online` and
// `generation` are all that changes later, when a pCPU comes or goes, and only under the machine's own serialisation.
//
// Storage belongs to the builder: a kernel takes it from boot memory, the host from vectors. No locks. Floor:
// arch/generic.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/types.hpp"

#include <cstdint>
#include <span>

namespace hv {

// SLIT's scale: 10 is a node's distance to itself, 255 means that there is no way.
using Distance = std::uint8_t;
inline constexpr Distance local_distance = 10;
inline constexpr Distance default_remote_distance = 20;
inline constexpr Distance unreachable_distance = 255;

struct PcpuTopology {
    NodeId node;
    std::uint16_t socket{0}; // dense from 0
    std::uint16_t core{0};   // dense from 0 over the whole machine
};

struct Topology {
    std::span<PcpuTopology const> pcpus; // by CpuId, for every pCPU that may ever come up
    std::span<CpuMask const> by_node, by_socket, by_core;
    std::span<Distance const> distances; // row-major [from][to], nodes x nodes
    CpuMask online;                      // pCPUs that are up now
    std::uint32_t generation{0};         // changes with every change of `online` or of a node's memory

    [[nodiscard]] unsigned node_count() const { return static_cast<unsigned>(by_node.size()); }
    [[nodiscard]] NodeMask nodes() const { return NodeMask::first_n(node_count()); }
    [[nodiscard]] NodeId node_of(CpuId cpu) const { return pcpus[cpu.value()].node; }
    [[nodiscard]] CpuMask const& pcpus_of(NodeId node) const { return by_node[node.value()]; }
    [[nodiscard]] CpuMask const& siblings_of(CpuId cpu) const { return by_core[pcpus[cpu.value()].core]; }
    [[nodiscard]] CpuMask const& socket_of(CpuId cpu) const { return by_socket[pcpus[cpu.value()].socket]; }
    [[nodiscard]] bool same_socket(CpuId a, CpuId b) const
    {
        return pcpus[a.value()].socket == pcpus[b.value()].socket;
    }
    [[nodiscard]] Distance distance(NodeId from, NodeId to) const
    {
        HV_ASSERT(from.value() < node_count() && to.value() < node_count());
        return distances[from.value() * node_count() + to.value()];
    }
};

} // namespace hv
