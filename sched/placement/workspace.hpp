// Memory that the search of Rule::numavisor works in: too much for a kernel stack, so whoever places VMs owns one and
// hands it over. Contents mean nothing between two calls, and a zeroed one is as good as a new one. One call at a time.
// Floor: sched.
#pragma once

#include "sched/placement/objective.hpp"

namespace hv::sched::placement {

// The distances between each two nodes, both ways.
struct Links {
    std::array<std::array<Distance, NodeMask::capacity>, NodeMask::capacity> longest;
    std::array<std::array<std::uint16_t, NodeMask::capacity>, NodeMask::capacity> sum;

    void fill(Problem const& problem)
    {
        for (NodeId const a : problem.candidates())
            for (NodeId const b : problem.candidates()) {
                Distance const there{problem.snapshot().distance(a, b)}, back{problem.snapshot().distance(b, a)};
                longest[a.value()][b.value()] = std::max(there, back);
                sum[a.value()][b.value()] = static_cast<std::uint16_t>(there + back);
            }
    }
};

// A set of nodes that grows node by node and knows what each other node would add, so that a look at one costs O(1) and
// taking it costs one step a node.
struct GrowingSet {
    Totals totals;
    std::array<Distance, NodeMask::capacity> longest;        // from each node to the farthest member, both ways
    std::array<std::uint32_t, NodeMask::capacity> distances; // sums of both ways to all members

    void clear()
    {
        totals = {};
        longest = {};
        distances = {};
    }
    void add(Problem const& problem, Links const& links, NodeId node)
    {
        totals = with(problem, node);
        for (std::size_t other = 0; other < problem.snapshot().nodes.size(); ++other) {
            longest[other] = std::max(longest[other], links.longest[node.value()][other]);
            distances[other] += links.sum[node.value()][other];
        }
    }
    // The totals with `node`, which is not in it.
    [[nodiscard]] Totals with(Problem const& problem, NodeId node) const
    {
        return with_node(totals, problem, node, longest[node.value()], distances[node.value()]);
    }
    // Whether the nodes of `other` are nearer than ours with `node`.
    [[nodiscard]] bool is_wider_with(NodeId node, Totals const& other) const
    {
        unsigned const reach{std::max<unsigned>(totals.longest, longest[node.value()])};
        if (reach != other.longest)
            return reach > other.longest;
        return totals.distances + distances[node.value()] > other.distances;
    }
};

inline constexpr unsigned max_beam = 16;
inline constexpr unsigned max_front = 32;

// What sets of one size can offer, as far as no other set offers more of both.
struct Front {
    struct Point {
        Offer offer;
        NodeMask set;
    };
    std::array<Point, max_front> points;
    unsigned count;
};

// A set of the beam and the node that would join it.
struct Step {
    Totals totals; // with the node
    unsigned parent;
    NodeId node;
};

struct Workspace {
    Links links;
    std::array<Front, NodeMask::capacity + 1> fronts; // by size
    std::array<std::array<GrowingSet, max_beam>, 2> beams;
    std::array<Step, max_beam> steps;
    GrowingSet trial;
};

} // namespace hv::sched::placement
