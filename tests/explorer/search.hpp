// Which runs of a scenario are made: all of them up to a number of preemptions, some at random, or one again. Floor:
// tests.
#pragma once

#include "tests/explorer/machine.hpp"
#include "tests/explorer/runtime/run.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hv::explorer {

struct Finding {
    std::string text;
    std::vector<Decision> schedule;
    void const* pc{nullptr}; // of a race: where, and where the access before it was
    void const* other_pc{nullptr};
};

struct Tally {
    std::uint64_t runs{0}, equal{0}; // equal: given up, because another run does the same
    std::optional<Finding> finding;  // the first
};

class Search {
public:
    Search(Scenario const& scenario, sched::PolicyOps const& policy);

    // Every run with at most so many preemptions and delayed stores, and so many of the latter.
    [[nodiscard]] Tally all(unsigned preemptions, unsigned delays);
    // `runs` of them, each decision to go on elsewhere taken with a chance of one in 2 to 64.
    [[nodiscard]] Tally random(std::uint64_t runs, std::uint64_t seed);
    // Once more, recorded: see run().steps().
    [[nodiscard]] Tally again(std::vector<Decision> const& schedule);

private:
    [[nodiscard]] End once(Chooser& chooser, Bounds bounds, Tally& tally);
    [[nodiscard]] Tally within(unsigned preemptions, unsigned delays);

    Sharing sharing_;
    std::optional<Finding> at_once_;
};

// SCENARIO/POLICY:STEP>PCPU,STEP~,... A '~' is a store that is seen later.
[[nodiscard]] std::string schedule_text(std::string const& name, std::vector<Decision> const& schedule);
[[nodiscard]] std::optional<std::vector<Decision>> parse_schedule(std::string const& text);

} // namespace hv::explorer
