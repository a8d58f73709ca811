#include "mm/distance_order.hpp"

namespace hv::mm {

void DistanceOrder::compute(unsigned nodes, std::span<Distance const> distances)
{
    HV_ASSERT(nodes >= 1 && nodes <= NodeMask::capacity);
    HV_ASSERT(distances.empty() || distances.size() == std::size_t{nodes} * nodes);
    nodes_ = nodes;
    for (NodeId const from : NodeMask::first_n(nodes)) {
        unsigned count{0};
        for (NodeId const to : NodeMask::first_n(nodes)) {
            distances_[from.value()][to.value()] =
                distances.empty() ? default_remote_distance : distances[std::size_t{from.value()} * nodes + to.value()];
            // Insertion keeps equally far nodes in the order of their ids, in which they come.
            unsigned at{count++};
            for (; at > 0 && rank(from, order_[from.value()][at - 1]) > rank(from, to); --at)
                order_[from.value()][at] = order_[from.value()][at - 1];
            order_[from.value()][at] = to;
        }
    }
}

NodeMask DistanceOrder::nearest(NodeId from, NodeMask candidates) const
{
    NodeMask group;
    for (unsigned n = 0; n < nodes_; ++n) {
        NodeId const node{nth(from, n)};
        if (!candidates.test(node))
            continue;
        std::optional<NodeId> const member = group.first();
        if (member && rank(from, node) != rank(from, *member))
            break;
        group.set(node);
    }
    return group;
}

} // namespace hv::mm
