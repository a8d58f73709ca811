// The shrinker with faults that are ones by definition: what is left fails, and fails no more if any single thing is
// taken away; what the fault needs is left, and nothing else. And the files that come out.
#include "tests/unit/nv/sample_scenario.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/reproducer.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/scenario_edit.hpp"
#include "tools/nv/shrink_cuts.hpp"
#include "tools/nv/shrink_fault.hpp"
#include "tools/nv/shrink_search.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace hv::nv::test {

namespace {

using Fails = ShrinkSearch::Fails;

// A machine of 2 x 2 pCPUs, six VMs with everything that a scenario may have.
Json rich_scenario()
{
    Json tree{parse_json(full_scenario, "full")};
    set_vms(tree, 6);
    for (Json& domain : list_of(tree, "domains")->items)
        if (number_of(domain, "id") % 2 == 0)
            domain.member("weight") = Json::integer(77);
    Json& steps{list_of(list_of(tree, "domains")->items[1], "vcpus")->items[0]};
    steps.member("workload") = parse_json(
        R"({"kind": "recorded", "steps": ["r1234", "s777777", "n7.2", "r99", "w", "r5", "s888888", "n3.1"]})", "steps");
    list_of(list_of(tree, "domains")->items[1], "vcpus")->items[1].member("workload") =
        parse_json(R"({"kind": "recorded", "steps": ["w", "r50", "w"]})", "steps");
    list_of(list_of(tree, "domains")->items[0], "vcpus")->items[2].member("workload") =
        parse_json(R"({"kind": "recorded", "steps": ["w", "r7"]})", "steps");
    tree.member("changes") = parse_json(R"([
        {"at_ns": 100, "do": "pause", "domain": 7}, {"at_ns": 200, "do": "unpause", "domain": 7},
        {"at_ns": 300, "do": "pcpu_offline", "cpu": 3}, {"at_ns": 400, "do": "pcpu_online", "cpu": 3},
        {"at_ns": 500, "do": "destroy", "domain": 3}])",
                                        "changes");
    return tree;
}

Scenario parsed(Json const& tree) { return parse_scenario(json_line(tree), "candidate"); }

bool is_sound(Json const& tree)
{
    try {
        static_cast<void>(parsed(tree));
        return true;
    } catch (Error const&) {
        return false;
    }
}

struct NamedFault {
    char const* name;
    bool (*fails)(Scenario const&);
    // What is left of it: VMs, vCPUs, pCPUs, nodes, changes, steps.
    std::array<std::size_t, 6> left;
};

std::size_t all_steps(Scenario const& scenario)
{
    std::size_t count{0};
    for (Domain const& domain : scenario.domains)
        for (Vcpu const& vcpu : domain.vcpus)
            count += vcpu.workload.steps.size();
    return count;
}

std::size_t all_vcpus(Scenario const& scenario)
{
    std::size_t count{0};
    for (Domain const& domain : scenario.domains)
        count += domain.vcpus.size();
    return count;
}

bool has_kind(Scenario const& scenario, scenario::WorkloadKind kind)
{
    return std::ranges::any_of(scenario.domains, [&](Domain const& domain) {
        return std::ranges::any_of(domain.vcpus, [&](Vcpu const& vcpu) { return vcpu.workload.kind == kind; });
    });
}

std::size_t pcpus_on(Scenario const& scenario, unsigned node)
{
    return static_cast<std::size_t>(
        std::ranges::count_if(scenario.machine.pcpus, [&](Pcpu const& pcpu) { return pcpu.node == node; }));
}

std::size_t changes_of(Scenario const& scenario, scenario::ChangeKind kind)
{
    return static_cast<std::size_t>(
        std::ranges::count_if(scenario.changes, [&](scenario::ChangeRecord const& c) { return c.kind == kind; }));
}

constexpr std::array faults{
    NamedFault{"always", [](Scenario const&) { return true; }, {0, 0, 1, 1, 0, 0}},
    NamedFault{"three VMs", [](Scenario const& s) { return s.domains.size() >= 3; }, {3, 3, 1, 1, 0, 0}},
    NamedFault{"five vCPUs", [](Scenario const& s) { return all_vcpus(s) >= 5; }, {0, 5, 1, 1, 0, 0}},
    NamedFault{"two pCPUs on a node", [](Scenario const& s) { return pcpus_on(s, 0) >= 2; }, {0, 0, 2, 1, 0, 0}},
    NamedFault{"two nodes with pCPUs",
               [](Scenario const& s) { return pcpus_on(s, 0) > 0 && pcpus_on(s, 1) > 0; },
               {0, 0, 2, 2, 0, 0}},
    NamedFault{"weights that differ",
               [](Scenario const& s) {
                   return std::ranges::any_of(s.domains,
                                              [&](Domain const& d) { return d.weight != s.domains[0].weight; });
               },
               {2, 2, 1, 1, 0, 0}},
    NamedFault{
        "a cap",
        [](Scenario const& s) { return std::ranges::any_of(s.domains, [](Domain const& d) { return d.cap != 0; }); },
        {1, 1, 1, 1, 0, 0}},
    NamedFault{"ping-pong",
               [](Scenario const& s) { return has_kind(s, scenario::WorkloadKind::pingpong); },
               {1, 2, 1, 1, 0, 0}},
    NamedFault{
        "a burst", [](Scenario const& s) { return has_kind(s, scenario::WorkloadKind::burst); }, {1, 1, 1, 1, 0, 0}},
    NamedFault{"three steps", [](Scenario const& s) { return all_steps(s) >= 3; }, {1, 1, 1, 1, 0, 3}},
    NamedFault{"an unpause",
               [](Scenario const& s) { return changes_of(s, scenario::ChangeKind::unpause) > 0; },
               {1, 1, 1, 1, 2, 0}},
    NamedFault{"a pCPU that leaves",
               [](Scenario const& s) { return changes_of(s, scenario::ChangeKind::offline) > 0; },
               {0, 0, 2, 1, 1, 0}},
    NamedFault{
        "a long run", [](Scenario const& s) { return s.duration_ns + s.warmup_ns >= 1'500'000; }, {0, 0, 1, 1, 0, 0}},
    NamedFault{"a soft mask that is not all",
               [](Scenario const& s) {
                   return std::ranges::any_of(s.domains, [&](Domain const& d) {
                       return std::ranges::any_of(d.vcpus, [&](Vcpu const& v) {
                           return v.soft_affinity && v.soft_affinity->size() < s.machine.pcpus.size();
                       });
                   });
               },
               {1, 1, 2, 1, 0, 0}},
    NamedFault{"a parameter", [](Scenario const& s) { return !s.policy_params.empty(); }, {0, 0, 1, 1, 0, 0}},
};

class EveryFault : public testing::TestWithParam<std::size_t> {
protected:
    [[nodiscard]] static NamedFault const& fault() { return faults[GetParam()]; }
    [[nodiscard]] static Fails fails()
    {
        return [](Json const& tree) { return fault().fails(parsed(tree)); };
    }
    // Searched for once.
    [[nodiscard]] static Json const& least()
    {
        static std::map<std::size_t, Json> found;
        if (!found.contains(GetParam()))
            found[GetParam()] = ShrinkSearch{fails(), 100'000}.run(rich_scenario());
        return found[GetParam()];
    }
};

TEST_P(EveryFault, LeavesWhatItNeedsAndNothingElse)
{
    ASSERT_TRUE(fault().fails(parsed(rich_scenario()))) << fault().name;
    EXPECT_TRUE(fails()(least()));
    std::array<std::size_t, 6> left{};
    for (std::size_t i = 0; auto const& name : {"VMs", "vCPUs", "pCPUs", "nodes", "changes", "steps"})
        for (ShrinkParts const& parts : shrink_parts())
            if (parts.name == name)
                left[i++] = parts.count(least());
    std::array<std::size_t, 6> wanted{fault().left};
    wanted[0] = wanted[0] == 0 ? left[0] : wanted[0]; // 0 VMs: it does not matter where its vCPUs are.
    EXPECT_EQ(left, wanted) << fault().name << "\n" << json_text(least());
}

// Every single part and simplification, tried anew: the search must have left none that could go.
TEST_P(EveryFault, FailsNoMoreWithoutAnySingleThing)
{
    auto const still_fails = [&](Json const& candidate) {
        return json_line(candidate) != json_line(least()) && is_sound(candidate) && fails()(candidate);
    };
    for (ShrinkParts const& parts : shrink_parts())
        for (std::size_t part = 0; part < parts.count(least()); ++part) {
            Json candidate{least()};
            parts.drop(candidate, part);
            EXPECT_FALSE(still_fails(candidate)) << fault().name << ": without one of " << parts.name << "\n"
                                                 << json_text(candidate);
        }
    for (Simplification const& simpler : simplifications(least())) {
        Json candidate{least()};
        simpler.apply(candidate);
        EXPECT_FALSE(still_fails(candidate)) << fault().name << ": " << simpler.what << "\n" << json_text(candidate);
    }
}

TEST_P(EveryFault, IsAskedOnlyAboutSoundScenariosAndAboutNoneTwice)
{
    std::map<std::string, int> asked;
    Fails const fails_as_well{[&](Json const& tree) {
        ++asked[json_line(tree)];
        EXPECT_TRUE(is_sound(tree));
        return fails()(tree);
    }};
    ShrinkSearch search{fails_as_well, 100'000};
    EXPECT_EQ(json_line(search.run(rich_scenario())), json_line(least())) << "each time the same";
    EXPECT_EQ(search.asked(), asked.size());
    for (auto const& [text, times] : asked)
        EXPECT_EQ(times, 1) << text;
}

INSTANTIATE_TEST_SUITE_P(Shrink, EveryFault, testing::Range(std::size_t{0}, faults.size()), [](auto const& instance) {
    std::string name{faults[instance.param].name};
    std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
});

TEST(ShrinkSearch, KeepsWhatFailsWhenItsBudgetIsUsedUp)
{
    Fails const three_vms{[](Json const& tree) { return parsed(tree).domains.size() >= 3; }};
    for (std::size_t const budget : {0u, 1u, 2u, 5u, 20u}) {
        ShrinkSearch search{three_vms, budget};
        Json const least{search.run(rich_scenario())};
        EXPECT_TRUE(three_vms(least));
        EXPECT_EQ(search.asked(), budget);
        EXPECT_TRUE(search.is_exhausted());
    }
}

TEST(ShrinkBars, AreReadAndHeldToTheirFigures)
{
    ShrinkBar const bar{ShrinkBar::parse("guests.max_wait_ms<=12.5")};
    EXPECT_EQ(bar.text(), "guests.max_wait_ms<=12.5");
    EXPECT_TRUE(bar.holds(12.5));
    EXPECT_FALSE(bar.holds(12.6));
    Json const run{parse_json(R"({"guests": {"max_wait_ms": 3.5}, "domains": [{"cpu_pct": 7}]})", "run")};
    EXPECT_EQ(*bar.figure_of(run), 3.5);
    EXPECT_EQ(*ShrinkBar::parse("domains[0].cpu_pct>1").figure_of(run), 7);
    EXPECT_FALSE(ShrinkBar::parse("guests.colour>1").figure_of(run));
    EXPECT_TRUE(ShrinkBar::parse("a==2").holds(2));
    EXPECT_FALSE(ShrinkBar::parse("a>=2").holds(1));
    for (char const* const bad : {"", "a", "a<", "<3", "a<x", "a=3", "a<3x"})
        EXPECT_THROW(static_cast<void>(ShrinkBar::parse(bad)), Error) << bad;
}

TEST(Reproducers, AreWhatTheyWereAndSayWhatDoesNotHold)
{
    Reproducer made{.found = "by hand", .bar = "guests.cpu_seconds<1", .scenario = parse_json(small_scenario, "small")};
    EXPECT_EQ(Reproducer::parse(made.text(), "r").text(), made.text());
    EXPECT_EQ(complaint_about(made, "r"), "");
    made.bar = "guests.cpu_seconds>1";
    EXPECT_EQ(complaint_about(made, "r"), "guests.cpu_seconds is 1e-06, not >1");
    made.bar.clear();
    EXPECT_EQ(complaint_about(made, "r"), "") << "it completes";
    made.decisions = std::vector<std::string>{"0 0 idle 1.0", "5 0 1.0 idle"};
    EXPECT_EQ(Reproducer::parse(made.text(), "r").text(), made.text());
    EXPECT_EQ(complaint_about(made, "r"), "decision 2 is \"\", not \"5 0 1.0 idle\"");
    for (char const* const bad :
         {R"("completes": false)", R"("bar": "x")", R"("bar": "a<1", "completes": true)", R"("colour": 1)"})
        EXPECT_THROW(
            static_cast<void>(Reproducer::parse(
                fmt::format(R"({{"schema": "numavisor-reproducer/1", "found": "", "expect": {{{}}}, "scenario": {}}})",
                            bad, small_scenario),
                "r")),
            Error)
            << bad;
}

} // namespace

} // namespace hv::nv::test
