// The home of each domain of a scenario: the nodes that its memory comes from, and whether placement chose them. Kernel
// and simulator both take homes from here, so a scenario has the same ones in both.
//
// A plan is made from the scenario alone, in the order of the domains, with the memory that its nodes have by the file;
// each domain's memory is taken off before the next is placed. What the kernel itself needs is not known here: where
// that makes the difference, a VM spills, and the kernel says so. Pure, no locks. Floor: boot (shared with the host;
// includes sched/placement).
#pragma once

#include "boot/scenario/image.hpp"
#include "sched/placement/workspace.hpp"

namespace hv::scenario {

struct Home {
    enum class Origin : std::uint8_t {
        named,   // by the scenario, or by where the first vCPU starts
        placed,  // by placement: it is also the domain's node affinity
        nowhere, // placement found no nodes: all that have memory, in turn, without preference
    };
    NodeMask nodes; // never empty
    Origin origin{Origin::named};
    sched::placement::NotPlaced why{}; // nowhere: the reason
};

// One line that placement is owed, without a line end: why a domain was not placed.
struct HomeNotice {
    std::string_view domain;
    sched::placement::Rule rule;
    bool refused; // else built without a preference
    sched::placement::NotPlaced why;
};
void describe(HomeNotice const& notice, Sink& sink);

// 80 KiB to work in; zeroed is as good as new.
struct HomePlanner {
    sched::placement::Workspace workspace;
    std::array<sched::placement::NodeState, NodeMask::capacity> nodes;
    std::array<std::uint64_t, NodeMask::capacity> taken_mib; // of the domain at hand, by node
};

// One home a domain, in the scenario's order; `homes` has room for as many as there are domains. An error:
// `placement_strict` was asked for and a domain fits nowhere.
[[nodiscard]] Status<HomeNotice> plan_homes(ScenarioView scenario, HomePlanner& planner, std::span<Home> homes);

// The line that `home`, of `record`, is owed; nothing: none.
[[nodiscard]] std::optional<HomeNotice> notice_of(ScenarioView scenario, DomainRecord const& record, Home const& home);

} // namespace hv::scenario
