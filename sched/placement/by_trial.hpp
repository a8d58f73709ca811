// The rules that try every set of nodes: Xen 4.3's and the three that came before it. Smaller sets first, sets of one
// size in lexicographic order; among the fitting sets of the first size that has one, the rule's best, ties to the
// earlier. At most 2^16 sets. Pure, no locks. Floor: sched. Private to sched/placement.
#pragma once

#include "sched/placement/problem.hpp"

namespace hv::sched::placement {

// problem.obstacle() is nothing; at most max_nodes_to_try nodes; the rule is not numavisor.
[[nodiscard]] NodeMask best_by_trial(Rule rule, Problem const& problem);

} // namespace hv::sched::placement
