// Automatic placement: on which nodes a new VM gets its memory and would rather run.
//
// place() is a pure function of a snapshot (nodes with their pCPUs, free memory and load; distances) and a request; it
// takes no locks and no memory but the caller's Workspace. Whoever calls it makes sure that the snapshot is one instant
// and claims the memory before anybody else does. The same inputs give the same nodes, always; ties go to the lowest
// ids. The rules, and what each is good for, are in docs/placement.md. Floor: sched.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/result.hpp"
#include "arch/generic/topology.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace hv::sched::placement {

// Values are those of scenario images.
enum class Rule : std::uint8_t {
    none = 0,      // no placement
    xen_4_3 = 1,   // fewest nodes, then fewest vCPUs there, then most free memory
    numavisor = 2, // fewest nodes, then nearest, least loaded, most free: objective.hpp
    greedy = 3,    // fewest nodes, then the first that fit
    packed = 4,    // fewest nodes, then least free memory
    spread = 5,    // fewest nodes, then most free memory
};
inline constexpr std::uint8_t last_rule = 5;

// What a vCPU of a new VM is counted against; only Rule::numavisor asks.
enum class Smt : std::uint8_t { threads = 0, cores = 1 };

// Rules that try every set of nodes have 65535 of them to try here, and give up on larger machines.
inline constexpr unsigned max_nodes_to_try = 16;

[[nodiscard]] std::string_view name_of(Rule rule); // as scenarios call it
[[nodiscard]] std::optional<Rule> rule_named(std::string_view name);

// One node. Demand is in thousandths: of a pCPU that is wanted all the time, of a vCPU that accesses memory all the
// time.
struct NodeState {
    std::uint32_t pcpus{0};         // of the pool
    std::uint32_t cores{0};         // that have such a pCPU
    std::uint64_t free_kib{0};      // of the whole node, after claims
    std::uint32_t vcpus{0};         // that may run here; one that may run on several nodes counts on each
    std::uint64_t cpu_demand{0};    // of vCPUs that are likely to run here
    std::uint64_t memory_demand{0}; // of accesses to memory here
};

struct Snapshot {
    std::span<NodeState const> nodes;    // by NodeId; at most 64
    std::span<Distance const> distances; // row-major [from][to]
    [[nodiscard]] NodeState const& of(NodeId node) const { return nodes[node.value()]; }
    [[nodiscard]] Distance distance(NodeId from, NodeId to) const
    {
        return distances[from.value() * nodes.size() + to.value()];
    }
};

struct Request {
    std::uint32_t vcpus{1}; // as many as it may ever have; at least 1
    std::uint64_t need_kib{0};
    NodeMask allowed{NodeMask::all()}; // where its hard affinity leaves it a pCPU
    Smt smt{Smt::threads};
};

// What a VM of so much memory takes: 1 MiB more for what belongs to it, in whole blocks of 2 MiB.
[[nodiscard]] constexpr std::uint64_t need_of_vm_kib(std::uint64_t memory_mib)
{
    return (memory_mib * 1024 + 1024 + 2047) / 2048 * 2048;
}

enum class Reason : std::uint8_t {
    one_node,          // there is nothing to choose
    too_many_nodes,    // for a rule that tries every set
    no_pcpus,          // none of the allowed nodes has one
    too_few_pcpus,     // all allowed nodes together
    too_little_memory, // all allowed nodes together
};

// Why no nodes were chosen, with the two numbers that did not match.
struct NotPlaced {
    Reason reason;
    std::uint64_t wanted; // pCPUs, KiB; too_many_nodes: the most there may be
    std::uint64_t there;
};

// A VM that could not be placed is built without a preference. Whether that deserves a line.
enum class Warning : std::uint8_t { none, say_why };
[[nodiscard]] constexpr Warning warning_of(Reason reason)
{
    return reason == Reason::one_node ? Warning::none : Warning::say_why;
}

// "it needs 2402 MiB, the nodes that it may use have 290 MiB free; ..." without a line end.
void describe(NotPlaced const& why, Sink& sink);

struct Workspace; // workspace.hpp; 60 KiB

// `rule` is not Rule::none. request.need_kib and the free memory of all nodes together stay below 2^53 KiB.
[[nodiscard]] Result<NodeMask, NotPlaced> place(Rule rule, Snapshot const& snapshot, Request const& request,
                                                Workspace& workspace);

} // namespace hv::sched::placement
