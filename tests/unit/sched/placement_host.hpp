// A machine for placement tests, in the notation of the worked examples: nodes with pCPUs and free MiB, VMs that exist,
// and a VM to place. Floor: tests.
#pragma once

#include "sched/placement/residents.hpp"
#include "sched/placement/workspace.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace hv::sched::placement::test {

struct NodeSpec {
    std::uint32_t pcpus;
    std::uint64_t free_mib;
    unsigned threads{1}; // per core
};

inline NodeMask nodes(std::initializer_list<unsigned> ids)
{
    NodeMask mask;
    for (unsigned const id : ids)
        mask.set(NodeId{static_cast<NodeId::Rep>(id)});
    return mask;
}

class Host {
public:
    explicit Host(std::vector<NodeSpec> const& specs, Distance remote = default_remote_distance)
    {
        for (std::size_t i = 0; i < specs.size(); ++i) {
            NodeSpec const& spec{specs[i]};
            state.push_back(
                {.pcpus = spec.pcpus, .cores = spec.pcpus / spec.threads, .free_kib = spec.free_mib * 1024});
            for (std::uint32_t n = 0; n < spec.pcpus; ++n)
                node_of_pcpu.push_back(NodeId{static_cast<NodeId::Rep>(i)});
        }
        for (std::size_t i = 0; i < specs.size() * specs.size(); ++i)
            distances.push_back(i % (specs.size() + 1) == 0 ? local_distance : remote);
        pool = CpuMask::first_n(static_cast<unsigned>(node_of_pcpu.size()));
    }

    // Only these pCPUs may take the new VM.
    void restrict_to(CpuMask const& members)
    {
        pool = members;
        for (NodeState& node : state)
            node.pcpus = node.cores = 0;
        for (CpuId const cpu : members) {
            ++state[node_of_pcpu[cpu.value()].value()].pcpus;
            ++state[node_of_pcpu[cpu.value()].value()].cores;
        }
    }

    void add(std::uint32_t vcpus, NodeMask node_affinity) { add(vcpus, node_affinity, pool, pool); }
    void add(std::uint32_t vcpus, NodeMask node_affinity, CpuMask const& hard, CpuMask const& own_pool)
    {
        NodeMask const reach{nodes_of(hard & pool & own_pool, [&](CpuId cpu) { return node_of_pcpu[cpu.value()]; }) &
                             node_affinity};
        add_vcpus(state, vcpus, reach, reach);
    }
    void add_everywhere(std::uint32_t vcpus) { add(vcpus, NodeMask::all()); }

    void set_distance(unsigned a, unsigned b, Distance distance)
    {
        distances[a * state.size() + b] = distances[b * state.size() + a] = distance;
    }

    [[nodiscard]] Snapshot snapshot() const { return {.nodes = state, .distances = distances}; }
    [[nodiscard]] Result<NodeMask, NotPlaced> place(Rule rule, Request const& request) const
    {
        return placement::place(rule, snapshot(), request, *workspace);
    }
    [[nodiscard]] Result<NodeMask, NotPlaced> place(Rule rule, std::uint32_t vcpus, std::uint64_t memory_mib) const
    {
        return place(rule, {.vcpus = vcpus, .need_kib = need_of_vm_kib(memory_mib)});
    }

    std::vector<NodeState> state;
    std::vector<Distance> distances;
    std::vector<NodeId> node_of_pcpu;
    CpuMask pool;
    std::shared_ptr<Workspace> workspace{std::make_shared<Workspace>()};
};

// "0,2" or why not.
inline std::string text(Result<NodeMask, NotPlaced> const& result)
{
    std::string out;
    if (!result) {
        std::array<char, 256> buffer{};
        BufferSink sink{buffer};
        describe(result.error(), sink);
        EXPECT_FALSE(sink.truncated());
        return std::string{sink.text()};
    }
    for (NodeId const node : *result)
        out += (out.empty() ? "" : ",") + std::to_string(node.value());
    return out;
}

inline CpuMask pcpus(unsigned first, unsigned last)
{
    CpuMask mask;
    for (unsigned cpu = first; cpu <= last; ++cpu)
        mask.set(CpuId{static_cast<CpuId::Rep>(cpu)});
    return mask;
}

} // namespace hv::sched::placement::test
