// What Rule::numavisor seeks, and the only place that says so. Of two sets that both have enough free memory and room
// for the vCPUs, the better one is, in this order, the one with
//
//   1. fewer nodes,
//   2. the smaller longest distance between two of its nodes,
//   3. the smaller mean distance,
//   4. the smaller predicted load: demand for pCPU time there, the new VM's included, by what the cores can give; the
//      second thread of a core gives 0.3 of a core more,
//   5. the smaller contention: demand for memory accesses on its busiest node,
//   6. more free memory,
//   7. the lowest ids.
//
// Pure, integers only, no locks. Floor: sched. Private to sched/placement and its tests.
#pragma once

#include "sched/placement/problem.hpp"

#include <algorithm>
#include <tuple>

namespace hv::sched::placement {

// Thousandths of a core. A core whose threads are both busy does 1.30 times the work of one with a single busy thread.
[[nodiscard]] constexpr std::uint64_t power_of(NodeState const& node)
{
    std::uint32_t const second_threads{node.pcpus > node.cores ? node.pcpus - node.cores : 0};
    return node.cores * 1000ull + second_threads * 300ull;
}

// What a score is made of, of a set of nodes.
struct Totals {
    unsigned nodes{0};
    unsigned longest{0};        // distance between two of them, 0 for one node
    std::uint64_t distances{0}; // the sum over all ordered pairs; sets of one size have equally many
    std::uint64_t power{0}, cpu_demand{0};
    std::uint64_t busiest{0};
    Offer offer;
    NodeMask set;
};

// `node` joins; `longest` and `distances` are those between it and the members, both ways. O(1).
[[nodiscard]] inline Totals with_node(Totals totals, Problem const& problem, NodeId node, unsigned longest,
                                      std::uint64_t distances)
{
    NodeState const& state{problem.snapshot().of(node)};
    ++totals.nodes;
    totals.longest = std::max(totals.longest, longest);
    totals.distances += distances;
    totals.power += power_of(state);
    totals.cpu_demand += state.cpu_demand;
    totals.busiest = std::max(totals.busiest, state.memory_demand);
    totals.offer = totals.offer + problem.offer(node);
    totals.set.set(node);
    return totals;
}

// Pressure on the cores in thousandths, with `vcpus` more that always want to run. A set of nodes has cores.
[[nodiscard]] constexpr std::uint64_t load_of(Totals const& totals, std::uint32_t vcpus)
{
    return (totals.cpu_demand + vcpus * 1000ull) * 1000 / totals.power;
}

// Lower ids first; of two different sets.
[[nodiscard]] constexpr bool has_lower_ids(NodeMask a, NodeMask b)
{
    std::uint64_t const different{a.bits() ^ b.bits()};
    return (a.bits() & different & (0 - different)) != 0;
}

[[nodiscard]] inline bool is_better(Totals const& a, Totals const& b, std::uint32_t vcpus)
{
    auto const shape = [](Totals const& t) { return std::tuple{t.nodes, t.longest, t.distances}; };
    if (shape(a) != shape(b))
        return shape(a) < shape(b);
    auto const state = [vcpus](Totals const& t) { return std::tuple{load_of(t, vcpus), t.busiest, ~t.offer.free_kib}; };
    if (state(a) != state(b))
        return state(a) < state(b);
    return a.set != b.set && has_lower_ids(a.set, b.set);
}

} // namespace hv::sched::placement
