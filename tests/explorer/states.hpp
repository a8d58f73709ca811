// Work conservation by exhaustion: four vCPUs on the machine's three pCPUs and two nodes, in all states that differ by
// more than the vCPUs' names. A state is, for each vCPU, the pCPUs that it may use, the node that it would rather be
// on, if any, and whether it sleeps, or waits or runs on which pCPU; a pCPU on which nobody runs is about to become
// idle. From each state pCPUs become idle, then whoever sleeps wakes, one after another, then each pCPU's runner falls
// asleep and wakes again; after each of these, whoever waits although a pCPU idles that it may use has to run within
// the policy's bound. Floor: tests.
#pragma once

#include "arch/generic/time.hpp"
#include "sched/policy.hpp"

#include <cstdint>
#include <string>

namespace hv::explorer {

struct StateTally {
    std::uint64_t states{0};
    Duration longest;    // that somebody waited while a pCPU idled
    std::string finding; // what did not hold first, and in which state; empty: all did
};

// One state in `stride`, beginning with number `first`. busy: on a machine whose pCPUs have all been busy lately.
[[nodiscard]] StateTally look_at_states(sched::PolicyOps const& policy, bool busy, std::uint64_t stride,
                                        std::uint64_t first);

} // namespace hv::explorer
