// How the VMs that exist already weigh on the nodes of a snapshot. Whoever keeps a snapshot adds each VM once, when it
// is built. Pure, no locks. Floor: sched.
#pragma once

#include "sched/placement/placement.hpp"

namespace hv::sched::placement {

// The nodes of some pCPUs; node_of(CpuId) gives a pCPU's. What a vCPU counts on is
// nodes_of(hard affinity & pool of the new VM & pool of its own VM) & node affinity of its VM.
template <typename NodeOf>
[[nodiscard]] NodeMask nodes_of(CpuMask const& pcpus, NodeOf node_of)
{
    NodeMask nodes;
    for (CpuId const cpu : pcpus)
        nodes.set(node_of(cpu));
    return nodes;
}

// `count` vCPUs that may run on `may_run` and are likely to on `likely`, there as the pCPUs are spread. Each uses
// `demand` thousandths of a pCPU; one that nothing is known of is taken to run all the time. (Xen 4.3 knows may_run
// only, and counts a vCPU once on each of these nodes.)
inline void add_vcpus(std::span<NodeState> nodes, std::uint32_t count, NodeMask may_run, NodeMask likely,
                      std::uint32_t demand = 1000)
{
    for (NodeId const node : may_run)
        nodes[node.value()].vcpus += count;
    std::uint64_t pcpus{0};
    for (NodeId const node : likely)
        pcpus += nodes[node.value()].pcpus;
    if (pcpus == 0)
        return;
    for (NodeId const node : likely)
        nodes[node.value()].cpu_demand += std::uint64_t{count} * demand * nodes[node.value()].pcpus / pcpus;
}

// `count` vCPUs whose VM has so much memory on each node, and uses all of it equally.
inline void add_accesses(std::span<NodeState> nodes, std::uint32_t count, std::span<std::uint64_t const> mib_on)
{
    std::uint64_t total{0};
    for (std::uint64_t const mib : mib_on)
        total += mib;
    if (total == 0)
        return;
    for (std::size_t node = 0; node < mib_on.size(); ++node)
        nodes[node].memory_demand += std::uint64_t{count} * 1000 * mib_on[node] / total;
}

} // namespace hv::sched::placement
