#include "sched/placement/placement.hpp"

#include "sched/placement/by_objective.hpp"
#include "sched/placement/by_trial.hpp"
#include "sched/placement/problem.hpp"

namespace hv::sched::placement {

namespace {

constexpr std::array<std::string_view, last_rule + 1> rule_names{"none",   "4.3",    "numavisor",
                                                                 "greedy", "packed", "spread"};

std::uint64_t mib_up(std::uint64_t kib) { return (kib + 1023) / 1024; }

} // namespace

std::string_view name_of(Rule rule) { return rule_names[static_cast<std::size_t>(rule)]; }

std::optional<Rule> rule_named(std::string_view name)
{
    for (std::size_t i = 0; i < rule_names.size(); ++i)
        if (rule_names[i] == name)
            return static_cast<Rule>(i);
    return std::nullopt;
}

void describe(NotPlaced const& why, Sink& sink)
{
    switch (why.reason) {
    case Reason::one_node:
        sink.write("the machine has one node");
        break;
    case Reason::too_many_nodes:
        print(sink, "the machine has {} nodes, this rule tries at most {}; name nodes, or use placement numavisor",
              why.there, why.wanted);
        break;
    case Reason::no_pcpus:
        sink.write("none of the nodes that it may use has a pCPU; widen its hard affinity");
        break;
    case Reason::too_few_pcpus:
        print(sink, "it has {} vCPUs, the nodes that it may use have {} pCPUs; give it fewer vCPUs", why.wanted,
              why.there);
        break;
    case Reason::too_little_memory:
        print(sink, "it needs {} MiB, the nodes that it may use have {} MiB free; give it less memory, or them more",
              mib_up(why.wanted), why.there / 1024);
        break;
    }
}

Result<NodeMask, NotPlaced> place(Rule rule, Snapshot const& snapshot, Request const& request, Workspace& workspace)
{
    HV_ASSERT(rule != Rule::none && snapshot.nodes.size() <= NodeMask::capacity && request.vcpus > 0);
    HV_ASSERT(snapshot.distances.size() == snapshot.nodes.size() * snapshot.nodes.size());
    if (snapshot.nodes.size() <= 1)
        return fail(NotPlaced{Reason::one_node, 2, snapshot.nodes.size()});
    if (rule != Rule::numavisor && snapshot.nodes.size() > max_nodes_to_try)
        return fail(NotPlaced{Reason::too_many_nodes, max_nodes_to_try, snapshot.nodes.size()});
    Problem const problem{snapshot, request, rule == Rule::numavisor ? request.smt : Smt::threads};
    if (auto const obstacle = problem.obstacle())
        return fail(*obstacle);
    return rule == Rule::numavisor ? best_by_objective(problem, workspace) : best_by_trial(rule, problem);
}

} // namespace hv::sched::placement
