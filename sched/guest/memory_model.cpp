#include "sched/guest/memory_model.hpp"

#include <algorithm>

namespace hv::sched::guest {

namespace {

// Two sockets of four cores with two threads, DDR3-1066, one QPI link. 65 ns of local latency and 106 to 107 ns of
// remote were measured; what a controller and a link sustain is 70 to 77 % of their peak.
constexpr ModelParams westmere(ClassParams const& jbb, ClassParams const& memory)
{
    return {.remote_permille = 1650,
            .node_mbps = 18'000,
            .link_mbps = 9'000,
            .queueing_permille = 350,
            .classes = {jbb, memory,
                        ClassParams{.stall_permille = 200,
                                    .sibling_speed_permille = 620,
                                    .sibling_stall_permille = 1'300,
                                    .traffic_mbps = 1'500,
                                    .refill_core_ns = 10'000,
                                    .refill_node_ns = 100'000},
                        ClassParams{.stall_permille = 0,
                                    .sibling_speed_permille = 650,
                                    .sibling_stall_permille = 1'000,
                                    .traffic_mbps = 0,
                                    .refill_core_ns = 0,
                                    .refill_node_ns = 0}}};
}

// Set B is fitted to the published figures divided by their CPU control, set A to the raw ones.
constexpr std::array models{
    NamedModel{"westmere-e5620",
               westmere({300, 620, 2'300, 900, 30'000, 500'000}, {260, 620, 830, 700, 10'000, 100'000})},
    NamedModel{"westmere-e5620-a",
               westmere({440, 620, 2'000, 900, 30'000, 500'000}, {400, 620, 1'100, 700, 10'000, 100'000})},
};

} // namespace

std::span<NamedModel const> named_models() { return models; }

NamedModel const* find_model(std::string_view name)
{
    for (NamedModel const& model : models)
        if (model.name == name)
            return &model;
    return nullptr;
}

// --- shares

MemoryShares MemoryShares::of_pages(std::span<std::uint64_t const> pages)
{
    HV_ASSERT(pages.size() <= NodeMask::capacity);
    std::uint64_t total{0};
    for (std::uint64_t const count : pages)
        total += count;
    HV_ASSERT(total > 0);
    MemoryShares result;
    result.by_node_ = {};
    result.nodes_ = {};
    std::uint32_t left{share_one};
    std::size_t largest{0};
    for (std::size_t node = 0; node < pages.size(); ++node) {
        // At most 64 * 2^40 pages in all: 2^40 * 2^16 fits.
        result.by_node_[node] = static_cast<std::uint32_t>((pages[node] << share_bits) / total);
        left -= result.by_node_[node];
        largest = pages[node] > pages[largest] ? node : largest;
    }
    result.by_node_[largest] += left; // What rounding left over, so that the sum is exact.
    for (std::size_t node = 0; node < pages.size(); ++node)
        if (result.by_node_[node] != 0)
            result.nodes_.set(NodeId{static_cast<NodeId::Rep>(node)});
    return result;
}

MemoryShares MemoryShares::striped(NodeMask nodes)
{
    std::array<std::uint64_t, NodeMask::capacity> pages{};
    for (NodeId const node : nodes)
        pages[node.value()] = 1;
    return of_pages(pages);
}

// --- the machine

std::uint32_t queueing(std::uint64_t demand_mbps, std::uint32_t bandwidth_mbps, std::uint32_t queueing_permille)
{
    constexpr std::uint64_t most = std::uint64_t{share_one} * 95 / 100;
    std::uint64_t const u{std::min(most, (demand_mbps << share_bits) / bandwidth_mbps)};
    return static_cast<std::uint32_t>(share_one + queueing_permille * (u * u / (share_one - u)) / 1'000);
}

ModelState::ModelState(Topology const& topology, ModelParams const& params, std::span<std::uint64_t> storage)
    : topology_{topology}, params_{params}, storage_{storage}, nodes_{topology.node_count()}
{
    HV_ASSERT(storage.size() == words_for(nodes_));
    sample();
}

std::uint32_t ModelState::latency_permille(NodeId from, NodeId to) const
{
    std::uint32_t const beyond = topology_.distance(from, to) - local_distance;
    return 1'000 + (params_.remote_permille - 1'000) * beyond / (default_remote_distance - local_distance);
}

void ModelState::begins(ClassParams const& task, MemoryShares const& memory, NodeId node)
{
    for (NodeId const at : memory.nodes()) {
        std::uint64_t const traffic{std::uint64_t{task.traffic_mbps} * memory.on(at)};
        demand()[at.value()] += traffic;
        if (at != node)
            demand()[link(node, at)] += traffic;
    }
}

void ModelState::ends(ClassParams const& task, MemoryShares const& memory, NodeId node)
{
    for (NodeId const at : memory.nodes()) {
        std::uint64_t const traffic{std::uint64_t{task.traffic_mbps} * memory.on(at)};
        HV_ASSERT(demand()[at.value()] >= traffic);
        demand()[at.value()] -= traffic;
        if (at != node)
            demand()[link(node, at)] -= traffic;
    }
}

void ModelState::sample()
{
    for (std::size_t i = 0; i < demand().size(); ++i)
        factor()[i] = demand()[i] == 0
                          ? share_one
                          : queueing(demand()[i] >> share_bits, i < nodes_ ? params_.node_mbps : params_.link_mbps,
                                     params_.queueing_permille);
}

Pace ModelState::pace(ClassParams const& task, MemoryShares const& memory, NodeId node, bool sibling_busy) const
{
    std::uint64_t const speed{sibling_busy ? task.sibling_speed_permille : 1'000};
    std::uint64_t const compute{((std::uint64_t{1'000 - task.stall_permille} << pace_bits) + speed / 2) / speed};
    if (task.stall_permille == 0)
        return {.total = compute, .memory = 0};
    // Shares add up to 2^16; with remote_permille <= 5000 and queueing_permille <= 2000 latencies stay below 2^17 and
    // each factor below 2^22, so no product reaches 2^62.
    std::uint64_t latency{0}; // permille * share_one
    for (NodeId const at : memory.nodes()) {
        std::uint64_t term{std::uint64_t{memory.on(at)} * latency_permille(node, at)};
        term = term * factor()[at.value()] >> share_bits;
        if (at != node)
            term = (term >> 4) * factor()[link(node, at)] >> (share_bits - 4);
        latency += term;
    }
    // memory = x * H * latency, from permille^3 * 2^16 to 2^20.
    std::uint64_t const weight{std::uint64_t{task.stall_permille} *
                               (sibling_busy ? task.sibling_stall_permille : 1'000)};
    std::uint64_t const stall{((latency >> 8) * weight / 1'000 * (pace_one >> (share_bits - 8)) + 500'000) / 1'000'000};
    return {.total = compute + stall, .memory = stall};
}

} // namespace hv::sched::guest
