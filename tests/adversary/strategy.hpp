// One vCPU that tries to get more than its share: a strategy is what it does over and over again, a contest is the
// machine, the hogs it is up against, and its weight and cap. Both follow from a number, so that what was found can be
// played again. Single-threaded. Floor: tests.
#pragma once

#include "sched/policy.hpp"
#include "tests/support/sim_fixture.hpp"

#include <string>
#include <vector>

namespace hv::test {

// Runs for `run`, or with a grid until `guard` before one of its points; then sleeps for `sleep`, or with a grid until
// `guard` after that point. Ticks and accounting are on grids of 10 and 30 ms, which is how one sleeps across them.
struct Phase {
    Duration run{}, sleep{};
    Duration grid{}, guard{};
    Duration yield_every{}; // zero: never
};

struct Contest {
    unsigned pcpus{1};
    unsigned hogs{1}; // of weight 256, at least as many as pCPUs
    sched::DomainParams thief{};
    std::vector<Phase> phases;

    // Of a pCPU, at most: by weight, and by cap.
    [[nodiscard]] double fair_share() const;
    [[nodiscard]] std::string text() const;
};

[[nodiscard]] Contest contest_of(std::uint64_t seed, std::uint64_t number);

// What the thief gets, as a multiple of its fair share, over a time in which a slice is less than 1 % of that.
[[nodiscard]] double play(Contest const& contest, sched::PolicyOps const& policy);

} // namespace hv::test
