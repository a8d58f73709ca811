// For each node, all nodes by increasing distance, nearest first, equally far ones by id: the order in which memory is
// looked for. A node comes first in its own order whatever the table says; unreachable nodes (255) come last.
//
// Computed once, from SLIT's matrix; read-only afterwards, hence no locks. 8 KiB: not for the stack. Floor: mm.
#pragma once

#include "arch/generic/mask.hpp"
#include "arch/generic/topology.hpp"

#include <array>
#include <span>

namespace hv::mm {

class DistanceOrder {
public:
    constexpr DistanceOrder() = default;
    // `distances` is row-major, nodes x nodes; empty means default_remote_distance between any two. 1 <= nodes <= 64.
    void compute(unsigned nodes, std::span<Distance const> distances);

    [[nodiscard]] unsigned nodes() const { return nodes_; }
    [[nodiscard]] NodeId nth(NodeId from, unsigned n) const { return order_[from.value()][n]; }
    // Those of `candidates` that are nearest to `from`, all equally far; empty if there are no candidates.
    [[nodiscard]] NodeMask nearest(NodeId from, NodeMask candidates) const;

private:
    [[nodiscard]] unsigned rank(NodeId from, NodeId to) const
    {
        return from == to ? 0 : 1u + distances_[from.value()][to.value()];
    }

    unsigned nodes_{0};
    std::array<std::array<NodeId, NodeMask::capacity>, NodeMask::capacity> order_{};
    std::array<std::array<Distance, NodeMask::capacity>, NodeMask::capacity> distances_{};
};

} // namespace hv::mm
