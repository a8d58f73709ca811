// Homes of a scenario's domains: who is placed, what that leaves for the next, and what becomes of those without a
// place.
#include "boot/scenario/homes.hpp"

#include "boot/scenario/populate.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/simulation.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace hv::scenario {
namespace {

using sched::placement::Reason;

// Two nodes of 8 pCPUs, two to a core, and what the caller says.
std::string machine(unsigned first_mib, unsigned second_mib)
{
    std::string cpus;
    for (int cpu = 0; cpu < 16; ++cpu)
        cpus += fmt::format("{}{{\"cpu\":{},\"node\":{},\"socket\":{},\"core\":{}}}", cpu == 0 ? "" : ",", cpu, cpu / 8,
                            cpu / 8, cpu / 2);
    return fmt::format("{{\"nodes\":[{{\"memory_mib\":{}}},{{\"memory_mib\":{}}}],\"cpus\":[{}]}}", first_mib,
                       second_mib, cpus);
}

// `more` begins with a comma, or is empty.
std::string domain(unsigned id, unsigned vcpus, unsigned mib, std::string_view more = "", std::string_view vcpu = "")
{
    std::string list;
    for (unsigned i = 0; i < vcpus; ++i)
        list += fmt::format("{}{{\"initial_cpu\":{},\"workload\":{{\"kind\":\"hog\"}}{}}}", i == 0 ? "" : ",", i % 16,
                            vcpu);
    std::string const memory{mib == 0 ? "" : fmt::format(",\"memory\":{{\"mib\":{}}}", mib)};
    return fmt::format("{{\"id\":{},\"name\":\"vm{}\",\"vcpus\":[{}]{}{}}}", id, id, list, memory, more);
}

nv::Scenario parse(std::string const& machine_text, std::vector<std::string> const& domains,
                   std::string_view placement = "\"4.3\"")
{
    std::string list;
    for (std::string const& text : domains)
        list += (list.empty() ? "" : ",") + text;
    return nv::parse_scenario(fmt::format("{{\"schema\":\"credit-scenario/2\",\"name\":\"t\",\"seed\":1,"
                                          "\"duration_ns\":1000000,\"placement\":{},\"machine\":{},\"domains\":[{}]}}",
                                          placement, machine_text, list),
                              "t.json");
}

std::vector<Home> homes_of(nv::Scenario const& scenario)
{
    std::vector<std::byte> const image{nv::pack(scenario)};
    ScenarioView const view{*validate(image)};
    auto const planner = std::make_unique<HomePlanner>();
    std::vector<Home> homes(view.domains().size());
    EXPECT_TRUE(plan_homes(view, *planner, homes).ok());
    return homes;
}

std::string text(std::vector<Home> const& homes)
{
    std::string out;
    for (Home const& home : homes) {
        out += out.empty() ? "" : " ";
        out += home.origin == Home::Origin::placed ? "" : home.origin == Home::Origin::named ? "=" : "?";
        for (NodeId const node : home.nodes)
            out += std::to_string(node.value());
    }
    return out;
}

std::vector<std::string> vms(unsigned count, unsigned mib = 960)
{
    std::vector<std::string> list;
    for (unsigned id = 1; id <= count; ++id)
        list.push_back(domain(id, 2, mib));
    return list;
}

// P27: E11's ten VMs, one after the other, and an eleventh.
TEST(Homes, P27TakesEachVmsMemoryOffBeforeThereIsANext)
{
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4900), vms(11)))), "0 1 0 1 0 1 0 1 0 1 ?01");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4900), vms(10), "\"numavisor\""))), "0 1 0 1 0 1 0 1 0 1");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4900), vms(3), "\"greedy\""))), "0 0 0");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4900), vms(3), "\"packed\""))), "1 1 1");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4900), vms(3), "\"spread\""))), "0 1 0");
}

TEST(Homes, WithoutPlacementLiesWhereTheScenarioSaysElseWhereTheFirstVcpuStarts)
{
    EXPECT_EQ(
        text(homes_of(parse(machine(5000, 4900),
                            {domain(1, 2, 960), domain(2, 2, 960, ",\"preferred_nodes\":[1]"),
                             domain(3, 2, 960, ",\"node_affinity\":[1],\"preferred_nodes\":[0]"), domain(4, 9, 0)},
                            "\"none\""))),
        "=0 =1 =1 =0");
}

TEST(Homes, PlacesOnlyDomainsThatSayNothingOfNodes)
{
    std::string const own_hard{",\"hard_affinity\":[0,1]"}, own_soft{",\"soft_affinity\":[0,1]"};
    EXPECT_EQ(text(homes_of(parse(machine(5000, 9000),
                                  {domain(1, 2, 960), domain(2, 2, 960, ",\"node_affinity\":[0]"),
                                   domain(3, 2, 960, ",\"preferred_nodes\":[0]"), domain(4, 2, 960, "", own_hard),
                                   domain(5, 2, 960, "", own_soft), domain(6, 2, 960, ",\"hard_affinity\":[0,1,2]"),
                                   domain(7, 2, 0, ",\"memory\":{\"mib\":10,\"nodes\":[0]}")}))),
              "1 =0 =0 =0 =0 0 =0");
}

// A pinned VM counts where it is pinned, one with a node affinity there, and one placed where it was placed.
TEST(Homes, CountsTheVcpusOfEarlierDomainsWhereTheyMayRun)
{
    EXPECT_EQ(
        text(homes_of(parse(machine(5000, 4000), {domain(1, 1, 10, ",\"hard_affinity\":[0]"), domain(2, 1, 10)}))),
        "0 1");
    EXPECT_EQ(
        text(homes_of(parse(machine(5000, 4000), {domain(1, 1, 10, ",\"node_affinity\":[0]"), domain(2, 1, 10)}))),
        "=0 1");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4000), {domain(1, 1, 10), domain(2, 1, 10)}))), "0 1");
    EXPECT_EQ(
        text(homes_of(parse(machine(5000, 4000), {domain(1, 8, 10, ",\"preferred_nodes\":[0]"), domain(2, 1, 10)}))),
        "=0 0"); // Where it is at home by the figures' word alone, it may run anywhere.
}

TEST(Homes, NumavisorLooksAtSoftAffinityAndAtMemoryInUse)
{
    std::string const soft{",\"soft_affinity\":[0,1,2,3]"};
    EXPECT_EQ(
        text(homes_of(parse(machine(5000, 4000), {domain(1, 2, 10, "", soft), domain(2, 1, 10)}, "\"numavisor\""))),
        "=0 1");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4000), {domain(1, 2, 10, "", soft), domain(2, 1, 10)}))), "=0 0");
    std::string const memory{",\"memory\":{\"mib\":10,\"nodes\":[0]}"};
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4000), {domain(1, 16, 0, memory), domain(2, 1, 10)}, "\"numavisor\""))),
              "=0 1");
}

TEST(Homes, CountsCoresIfAsked)
{
    std::vector<std::string> const wide{domain(1, 8, 10)};
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4000), wide, "\"numavisor\""))), "0");
    EXPECT_EQ(text(homes_of(parse(machine(5000, 4000), wide, "\"numavisor\",\"placement_smt\":\"cores\""))), "01");
}

TEST(Homes, SaysInOneLineWhyADomainIsBuiltWithoutAPreference)
{
    nv::Scenario const scenario{parse(machine(5000, 4900), {domain(1, 17, 10), domain(2, 2, 9000), domain(3, 2, 960)})};
    EXPECT_EQ(text(homes_of(scenario)), "?01 01 ?01");
    EXPECT_EQ(
        scenario.placement.warnings,
        (std::vector<std::string>{
            "VM \"vm1\": placement 4.3 found no nodes for it, so it has no preference and memory from all: it has "
            "17 vCPUs, the nodes that it may use have 16 pCPUs; give it fewer vCPUs",
            "VM \"vm3\": placement 4.3 found no nodes for it, so it has no preference and memory from all: it "
            "needs 962 MiB, the nodes that it may use have 888 MiB free; give it less memory, or them more"}));
    EXPECT_EQ(scenario.domains[0].home(), std::nullopt);
    EXPECT_EQ(scenario.domains[1].home(), (nv::NodeList{0, 1}));
}

TEST(Homes, RefusesWhatStrictPlacementHasNoPlaceFor)
{
    try {
        static_cast<void>(
            parse(machine(500, 400), {domain(1, 2, 100), domain(2, 2, 800)}, "\"4.3\",\"placement_strict\":true"));
        FAIL() << "accepted";
    } catch (nv::Error const& error) {
        EXPECT_EQ(error.code(), nv::ExitCode::bad_input);
        EXPECT_STREQ(error.what(),
                     "t.json: VM \"vm2\": placement 4.3 is strict and found no nodes for it: it needs 802 "
                     "MiB, the nodes that it may use have 799 MiB free; give it less memory, or them "
                     "more");
    }
}

TEST(Homes, SaysNothingOnAMachineWithOneNodeNotEvenIfStrict)
{
    std::string const one{"{\"cpus\":[{\"cpu\":0,\"node\":0,\"socket\":0,\"core\":0}]}"};
    nv::Scenario const scenario{parse(one,
                                      {"{\"id\":1,\"vcpus\":[{\"initial_cpu\":0,\"workload\":{\"kind\":\"hog\"}}]}"},
                                      "\"4.3\",\"placement_strict\":true")};
    EXPECT_EQ(text(homes_of(scenario)), "?0");
    EXPECT_TRUE(scenario.placement.warnings.empty());
}

// The memory of a VM that spills is off its neighbours too.
TEST(Homes, LetsMemoryThatDoesNotFitSpillToTheNearestNode)
{
    EXPECT_EQ(text(homes_of(parse(machine(1000, 1000), {domain(1, 2, 1500, ",\"preferred_nodes\":[0]"),
                                                        domain(2, 2, 497), domain(3, 2, 1)}))),
              "=0 1 ?01"); // 1501 MiB leave 499, of which the second takes 498.
}

TEST(Homes, BecomeNodeAffinityInTheScheduler)
{
    nv::Scenario const scenario{parse(machine(5000, 4900), {domain(1, 2, 960), domain(2, 2, 960), domain(3, 17, 10)})};
    std::vector<std::byte> const image{nv::pack(scenario)};
    nv::Simulation simulation{*validate(image), {}};
    std::string affinities;
    for (sched::Domain const& built : simulation.system().core().domains())
        affinities += fmt::format("{}:{} ", built.node_affinity.bits(), built.auto_node_affinity ? "auto" : "explicit");
    EXPECT_EQ(affinities, "1:explicit 2:explicit 3:auto ");
}

} // namespace
} // namespace hv::scenario
