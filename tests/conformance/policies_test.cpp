// Every registered policy, on small random machines, a million events of each: what the core promises holds after every
// one. A policy that is added anywhere is tested here without another line. What breaks it is left behind as a scenario
// file, as small as it gets; NV_SHRINK=0 leaves that out.
#include "tests/conformance/invariants.hpp"
#include "tests/conformance/random_scenario.hpp"
#include "tests/conformance/shrink.hpp"

#include "tools/nv/pack.hpp"
#include "tools/nv/simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace hv::test {
namespace {

constexpr std::uint64_t wanted_events = 1'000'000;

std::vector<std::string> policy_names()
{
    std::vector<std::string> names;
    for (sched::PolicyOps const* ops : sched::policies())
        names.emplace_back(ops->name);
    std::ranges::sort(names); // The registry's own order is the linker's.
    return names;
}

struct Outcome {
    std::string broken;
    std::uint64_t events, switches;
    std::uint64_t fingerprint;
};

Outcome run(nv::Scenario const& scenario)
{
    std::vector<std::byte> const image{nv::pack(scenario)};
    auto const view = scenario::validate(image);
    EXPECT_TRUE(view.ok()) << "the generator made what the kernel refuses";
    Invariants invariants{scenario.machine.ipi_ns == 0};
    nv::Simulation simulation{
        *view,
        {.trace_mask = sched::trace::mask_all,
         .listener = invariants.listener(),
         .after_event = [&](sched::System& system, Instant now) { invariants.check(system, now); }}};
    Instant const end{Instant::at_ns(static_cast<std::int64_t>(scenario.duration_ns))};
    simulation.run_until(end);
    invariants.check(simulation.system(), end);
    return {.broken = invariants.broken(),
            .events = simulation.machine().events_handled(),
            .switches = invariants.switches(),
            .fingerprint = invariants.fingerprint()};
}

class EveryPolicy : public testing::TestWithParam<std::string> {
protected:
    static nv::Scenario scenario_of(std::uint64_t seed)
    {
        nv::Scenario scenario{random_scenario(seed)};
        scenario.policy = GetParam();
        return scenario;
    }
};

TEST_P(EveryPolicy, KeepsTheInvariantsOnRandomMachines)
{
    std::uint64_t events{0}, switches{0};
    for (std::uint64_t seed = 1; events < wanted_events; ++seed) {
        nv::Scenario const scenario{scenario_of(seed)};
        Outcome const outcome{run(scenario)};
        events += outcome.events;
        switches += outcome.switches;
        if (outcome.broken.empty())
            continue;
        if (char const* const wanted = std::getenv("NV_SHRINK"); wanted != nullptr && std::string{wanted} == "0") {
            ADD_FAILURE() << "seed " << seed << ": " << outcome.broken;
            return;
        }
        nv::Scenario const smallest{shrink(scenario, [](nv::Scenario const& s) { return !run(s).broken.empty(); })};
        std::string const file{testing::TempDir() + GetParam() + "-" + scenario.name + ".json"};
        std::ofstream{file} << to_json(smallest);
        ADD_FAILURE() << "seed " << seed << ": " << outcome.broken << "\nto see it again: nv sim " << file;
        return;
    }
    EXPECT_GT(switches, events / 10) << "machines on which hardly anything happens test nothing";
}

// The shrinker, on a fault that is one by definition: two domains of different weights.
TEST(Shrink, LeavesNothingThatTheFaultDoesNotNeed)
{
    auto const fails = [](nv::Scenario const& s) {
        return std::ranges::any_of(s.domains, [&](nv::Domain const& d) { return d.weight != s.domains[0].weight; });
    };
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        nv::Scenario const scenario{random_scenario(seed)};
        if (!fails(scenario))
            continue;
        nv::Scenario const smallest{shrink(scenario, fails)};
        EXPECT_TRUE(fails(smallest));
        EXPECT_EQ(smallest.domains.size(), 2u);
        EXPECT_LE(smallest.duration_ns, 2'000'000u);
    }
}

TEST_P(EveryPolicy, DecidesTheSameInEveryRun)
{
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        EXPECT_EQ(run(scenario_of(seed)).fingerprint, run(scenario_of(seed)).fingerprint) << "seed " << seed;
    }
}

INSTANTIATE_TEST_SUITE_P(Conformance, EveryPolicy, testing::ValuesIn(policy_names()), [](auto const& instance) {
    std::string name{instance.param};
    std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
});

// What a failure leaves behind must be the scenario that failed.
TEST(RandomScenario, SurvivesTheWayThroughAFile)
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        nv::Scenario const made{random_scenario(seed)};
        EXPECT_EQ(nv::pack(nv::parse_scenario(to_json(made), "random.json")), nv::pack(made)) << to_json(made);
    }
}

} // namespace
} // namespace hv::test
