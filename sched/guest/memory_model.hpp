// The memory cost model: how fast a vCPU makes progress on a NUMA machine that has none of its own (QEMU, the
// simulator). A number that comes from it is always printed with the model's name.
//
// A class of tasks has a share of time x that it stalls on memory when it runs alone and at home. On a pCPU of node n,
// with the share f[m] of its memory on node m, a unit of work takes
//
//     T = (1 - x) / S + x * H * sum over m of f[m] * Lambda(n, m) * Q(m) * Qlink(n, m)
//
// S and H are 1 unless the SMT sibling is busy; Lambda is the latency by distance, local = 1; Q is the queueing at the
// memory controller of m, Qlink that on the way there: 1 + q u^2 / (1 - u), u = demand / bandwidth, at most 0.95.
// Demand is that of the tasks that run; the factors are those of the last sample(). Parameters:
// docs/reference-table.md.
//
// All integers: shares in parts of `share_one`, factors and paces in parts of `pace_one`, parameters in permille. No
// locks: whoever owns a ModelState serialises (pacer.hpp). Floor: sched.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/topology.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace hv::sched::guest {

inline constexpr unsigned share_bits = 16;
inline constexpr unsigned pace_bits = 20;
inline constexpr std::uint32_t share_one = 1u << share_bits;
inline constexpr std::uint32_t pace_one = 1u << pace_bits;

// The classes that the model knows. Any other workload makes progress as time passes.
enum class TaskClass : std::uint8_t { jbb, memory, fork, cpu };
inline constexpr std::size_t task_class_count = 4;

struct ClassParams {
    std::uint32_t stall_permille;         // x; 0 to 1000
    std::uint32_t sibling_speed_permille; // S with a busy sibling; 1 to 1000
    std::uint32_t sibling_stall_permille; // H with a busy sibling; 1 to 10000
    std::uint32_t traffic_mbps;           // 10^6 bytes/s to memory, running alone at home
    std::uint32_t refill_core_ns;         // no progress for so long after a move to another core of the node...
    std::uint32_t refill_node_ns;         // ...to another node

    friend constexpr bool operator==(ClassParams const&, ClassParams const&) = default;
};

struct ModelParams {
    std::uint32_t remote_permille;   // latency at SLIT distance 20; linear in the distance, 1000 at 10
    std::uint32_t node_mbps;         // what a memory controller sustains
    std::uint32_t link_mbps;         // what goes one way between two nodes
    std::uint32_t queueing_permille; // q; 0: no contention
    std::array<ClassParams, task_class_count> classes;

    [[nodiscard]] constexpr ClassParams const& of(TaskClass c) const { return classes[static_cast<std::size_t>(c)]; }

    friend constexpr bool operator==(ModelParams const&, ModelParams const&) = default;
};

struct NamedModel {
    std::string_view name;
    ModelParams params;
};

// The sets of parameters that have a name; the first is the default.
[[nodiscard]] std::span<NamedModel const> named_models();
[[nodiscard]] NamedModel const* find_model(std::string_view name);

// Which part of a task's memory is on which node; adds up to share_one.
class MemoryShares {
public:
    MemoryShares() = default; // all on node 0

    // In proportion to `pages` by node, of which one is above 0 and none above 2^40.
    [[nodiscard]] static MemoryShares of_pages(std::span<std::uint64_t const> pages);
    // The same on each of the nodes. Not empty.
    [[nodiscard]] static MemoryShares striped(NodeMask nodes);

    [[nodiscard]] std::uint32_t on(NodeId node) const { return by_node_[node.value()]; }
    [[nodiscard]] NodeMask nodes() const { return nodes_; }

private:
    std::array<std::uint32_t, NodeMask::capacity> by_node_{share_one};
    NodeMask nodes_{NodeMask::of(NodeId{0})};
};

// Time for a unit of work, and the part of it that is spent waiting for memory; in parts of pace_one.
struct Pace {
    std::uint64_t total{pace_one};
    std::uint64_t memory{0};

    friend constexpr bool operator==(Pace const&, Pace const&) = default;
};

// 1 + q u^2 / (1 - u), in parts of share_one; u = demand / bandwidth, cut at 0.95. bandwidth > 0.
[[nodiscard]] std::uint32_t queueing(std::uint64_t demand_mbps, std::uint32_t bandwidth_mbps,
                                     std::uint32_t queueing_permille);

// Parameters with the machine's state: what its tasks ask of controllers and links, and how these queue.
class ModelState {
public:
    // 64-bit words of storage for a machine of `nodes` nodes.
    [[nodiscard]] static constexpr std::size_t words_for(std::size_t nodes) { return 2 * (nodes + nodes * nodes); }

    // `storage`: words_for(nodes) zeroed words that live as long as this.
    ModelState(Topology const& topology, ModelParams const& params, std::span<std::uint64_t> storage);

    [[nodiscard]] ModelParams const& params() const { return params_; }
    // Latency from a pCPU of `from` to memory of `to`, permille of local.
    [[nodiscard]] std::uint32_t latency_permille(NodeId from, NodeId to) const;

    // A task begins or ends to run on `node`.
    void begins(ClassParams const& task, MemoryShares const& memory, NodeId node);
    void ends(ClassParams const& task, MemoryShares const& memory, NodeId node);
    // From here on paces are those of the present demand.
    void sample();

    [[nodiscard]] Pace pace(ClassParams const& task, MemoryShares const& memory, NodeId node, bool sibling_busy) const;

private:
    [[nodiscard]] std::size_t link(NodeId from, NodeId to) const { return nodes_ + from.value() * nodes_ + to.value(); }
    // Demands in mbps * share_one: first by node, then by link [from][to].
    [[nodiscard]] std::span<std::uint64_t> demand() const { return storage_.first(storage_.size() / 2); }
    // Queueing factors in parts of share_one, in the same order.
    [[nodiscard]] std::span<std::uint64_t> factor() const { return storage_.last(storage_.size() / 2); }

    Topology const& topology_;
    ModelParams params_;
    std::span<std::uint64_t> storage_;
    std::size_t nodes_;
};

} // namespace hv::sched::guest
