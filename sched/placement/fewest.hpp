// How few nodes can be enough. Choosing the nodes with most memory answers that for memory, those with most pCPUs for
// vCPUs; where the two disagree, a table over sizes keeps the best trade-offs between both. Pure, no locks. Floor:
// sched. Private to sched/placement.
#pragma once

#include "sched/placement/workspace.hpp"

namespace hv::sched::placement {

// A set that suffices with as few nodes as any does; the search for a better one of that size can begin with it. The
// size is exact as long as trade-offs number at most max_front a size (8 on machines with more than 16 nodes), so
// always where nodes have one or two sizes; beyond, it may be one too large. problem.obstacle() is nothing.
[[nodiscard]] NodeMask fewest_nodes(Problem const& problem, Workspace& workspace);

} // namespace hv::sched::placement
