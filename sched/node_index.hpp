// Which pCPUs are so and so, by node: who idles, who has somebody waiting. A word says which nodes have any, so that a
// search looks at one node's pCPUs, and at none where there are none, whatever the size of the machine.
//
// Like AtomicCpuMask, which it is made of: changed by several pCPUs at once, without a lock, good for hints; seq_cst,
// so that "queue, then look who idles" and "announce idle, then look who waits" cannot both miss. Floor: sched.
#pragma once

#include "arch/generic/mask.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace hv::sched {

class NodeIndex {
public:
    void set(NodeId node, CpuId cpu)
    {
        by_node_[node.value()].set(cpu);
        nodes_.fetch_or(bit_of(node));
    }
    void clear(NodeId node, CpuId cpu)
    {
        AtomicCpuMask& mask{by_node_[node.value()]};
        mask.clear(cpu);
        if (!mask.empty())
            return;
        nodes_.fetch_and(~bit_of(node));
        // A peer may have set a bit between our two steps, and its node's bit before our second.
        if (!mask.empty())
            nodes_.fetch_or(bit_of(node));
    }
    [[nodiscard]] bool test(NodeId node, CpuId cpu) const { return by_node_[node.value()].test(cpu); }
    // Whether any pCPU but `cpu`, of `node`, is.
    [[nodiscard]] bool has_others(NodeId node, CpuId cpu) const
    {
        return (nodes_.load() & ~bit_of(node)) != 0 || by_node_[node.value()].has_others(cpu);
    }
    // Nodes that have any.
    [[nodiscard]] NodeMask nodes() const { return NodeMask::from_bits(nodes_.load()); }
    [[nodiscard]] CpuMask of(NodeId node) const { return by_node_[node.value()].snapshot(); }

private:
    static constexpr std::uint64_t bit_of(NodeId node) { return std::uint64_t{1} << node.value(); }

    std::atomic<std::uint64_t> nodes_{0};
    std::array<AtomicCpuMask, NodeMask::capacity> by_node_{};
};

} // namespace hv::sched
