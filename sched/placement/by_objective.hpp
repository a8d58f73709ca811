// The search of Rule::numavisor: the best set of nodes by objective.hpp without trying all of them.
//
// From each node, or from every few where sets are large, some sets grow side by side, always by the nodes that make
// the best score; then single nodes of the best set are exchanged while that helps. The work is bounded: about 40 000
// looks at a node, each O(1), with more sets side by side where there are fewer nodes. Pure, no locks. Floor: sched.
// Private to sched/placement.
#pragma once

#include "sched/placement/workspace.hpp"

namespace hv::sched::placement {

// problem.obstacle() is nothing.
[[nodiscard]] NodeMask best_by_objective(Problem const& problem, Workspace& workspace);

} // namespace hv::sched::placement
