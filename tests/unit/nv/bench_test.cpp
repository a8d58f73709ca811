// The reference table: its scenarios, its statistics and formulas, what a kernel tells of its work, and the bars that
// the table has to meet, on short runs.
#include "tools/nv/bench.hpp"

#include "tools/nv/bench_ablation.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace hv::nv {
namespace {

BenchColumn column(BenchConfig config) { return {config, "credit", "x"}; }

double mean(BenchRow row, unsigned vms, BenchConfig config, BenchSetup const& setup, unsigned seeds = 1)
{
    double sum{0};
    for (unsigned seed = 1; seed <= seeds; ++seed)
        sum += simulate_cell({row, vms, column(config)}, setup, seed).value(row);
    return sum / seeds;
}

std::string refusal(auto const& what)
{
    try {
        what();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ExitCode::bad_input);
        return error.what();
    }
    return "";
}

TEST(BenchCells, EachIsAScenarioOfItsOwnThatTheParserTakes)
{
    std::set<std::string> texts;
    for (BenchRow const row : bench_rows)
        for (unsigned const vms : bench_loads)
            for (auto const config : {BenchConfig::none, BenchConfig::pinning, BenchConfig::numa}) {
                BenchCell const cell{row, vms, column(config)};
                std::string const text{cell_scenario(cell, {}, 1)};
                Scenario const scenario{parse_scenario(text, "cell")};
                EXPECT_EQ(scenario.domains.size(), vms + 1);
                EXPECT_EQ(scenario.name, cell_name(cell));
                EXPECT_FALSE(pack(scenario).empty());
                texts.insert(text);
            }
    EXPECT_EQ(texts.size(), 36u);
}

TEST(BenchCells, ConfigurationsDifferInAffinityAndMemoryAlone)
{
    auto const scenario = [](BenchConfig config) {
        return parse_scenario(cell_scenario({BenchRow::jbb, 6, column(config)}, {}, 3), "cell");
    };
    Scenario const none{scenario(BenchConfig::none)}, pinning{scenario(BenchConfig::pinning)};
    Scenario const numa{scenario(BenchConfig::numa)};
    for (std::size_t vm = 1; vm <= 6; ++vm) {
        // dom0's odd mebibyte is on node 0, so placement begins with node 1.
        auto const home = static_cast<std::uint8_t>(vm % 2);
        EXPECT_EQ(none.domains[vm].memory_nodes, (NodeList{0, 1}));
        EXPECT_FALSE(none.domains[vm].hard_affinity || none.domains[vm].node_affinity);
        EXPECT_EQ(pinning.domains[vm].memory_nodes, (NodeList{home}));
        EXPECT_EQ(pinning.domains[vm].hard_affinity->front(), home * 8);
        EXPECT_EQ(pinning.domains[vm].hard_affinity->size(), 8u);
        EXPECT_EQ(numa.domains[vm].memory_nodes, (NodeList{home}));
        EXPECT_EQ(numa.domains[vm].node_affinity, (NodeList{home}));
        EXPECT_FALSE(numa.domains[vm].hard_affinity);
        for (std::size_t v = 0; v < 2; ++v)
            EXPECT_EQ(none.domains[vm].vcpus[v].initial_pcpu, numa.domains[vm].vcpus[v].initial_pcpu);
        EXPECT_EQ(none.domains[vm].start_ns, pinning.domains[vm].start_ns);
    }
}

TEST(BenchCells, ASeedDrawsWhereVcpusAreCreatedAndWhenVmsStart)
{
    BenchCell const cell{BenchRow::jbb, 10, column(BenchConfig::none)};
    EXPECT_EQ(cell_scenario(cell, {}, 1), cell_scenario(cell, {}, 1));
    Scenario const one{parse_scenario(cell_scenario(cell, {}, 1), "a")},
        two{parse_scenario(cell_scenario(cell, {}, 2), "b")};
    unsigned same{0};
    for (std::size_t vm = 1; vm <= 10; ++vm)
        same += one.domains[vm].start_ns == two.domains[vm].start_ns ? 1u : 0u;
    EXPECT_EQ(same, 0u);
}

TEST(BenchCells, PublishedFiguresGiveThePublishedPercentages)
{
    auto const against = [](BenchRow row, unsigned vms, BenchConfig other) {
        return by_the_report(*published(row, vms, BenchConfig::numa), *published(row, vms, other));
    };
    EXPECT_NEAR(against(BenchRow::jbb, 2, BenchConfig::none), 13.05, 0.006);
    EXPECT_NEAR(against(BenchRow::jbb, 10, BenchConfig::pinning), -8.82, 0.006);
    EXPECT_NEAR(against(BenchRow::memory, 6, BenchConfig::pinning), 5.72, 0.006);
    EXPECT_NEAR(against(BenchRow::fork, 6, BenchConfig::pinning), -19.61, 0.006);
    EXPECT_NEAR(against(BenchRow::fork, 2, BenchConfig::none), -5.07, 0.006); // the report prints -5.66
    EXPECT_FALSE(published(BenchRow::cpu, 2, BenchConfig::numa));
}

TEST(BenchFigures, ReadsWhatAKernelTells)
{
    std::string const text{"alive at=1\nwork d1v0 work=10 run=20 wait=3 stall=4 refill=5 home=6 local=7 remote=8 "
                           "core_moves=9 node_moves=11 phases=4\nwork d1v1 work=1 run=2 wait=3 stall=4 refill=5 home=6 "
                           "local=7 remote=8 core_moves=9 node_moves=11 phases=12\nwork d2v0 work=1\n"};
    RunFigures const figures{figures_of_channel(text, 100, "f")};
    ASSERT_EQ(figures.vcpus.size(), 2u); // the last line lacks most of it
    EXPECT_EQ(figures.total().work, 11u);
    EXPECT_EQ(figures.total().node_moves, 22u);
    EXPECT_DOUBLE_EQ(figures.value(BenchRow::jbb), 0.11);
    EXPECT_DOUBLE_EQ(figures.value(BenchRow::fork), 0.05); // 100 ns, two cycles
    EXPECT_THROW(static_cast<void>(figures_of_channel("alive at=1\n", 100, "f")), Error);
}

TEST(BenchFigures, TheSpreadIsThatOfASample)
{
    EXPECT_DOUBLE_EQ(Spread::of({1, 2, 3, 4}).mean, 2.5);
    EXPECT_NEAR(Spread::of({1, 2, 3, 4}).sd, std::sqrt(5.0 / 3), 1e-12);
    EXPECT_EQ(Spread::of({7}).sd, 0);
}

TEST(BenchFigures, EqualSeedsGiveEqualFiguresAndOthersDiffer)
{
    BenchSetup const setup{.seconds = 1};
    auto const run = [&](std::uint64_t seed) {
        return simulate_cell({BenchRow::jbb, 10, column(BenchConfig::numa)}, setup, seed).total().work;
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

TEST(BenchReport, ATableOfFiguresThatMissABarSaysSo)
{
    BenchReport report{.model = "m",
                       .home = "h",
                       .columns = {column(BenchConfig::none), column(BenchConfig::pinning), column(BenchConfig::numa)},
                       .cells = {}};
    auto const add = [&](BenchConfig config, std::uint64_t work) {
        RunFigures run{.vcpus = {{.domain = 1, .vcpu = 0, .work = work, .run = 100}, {.domain = 1, .vcpu = 1}},
                       .duration = 1000};
        report.cells.push_back({{BenchRow::jbb, 10, column(config)}, {run}, {}});
    };
    add(BenchConfig::none, 100);
    add(BenchConfig::pinning, 105);
    add(BenchConfig::numa, 107);
    auto const hard_missed = [&] {
        return std::ranges::count_if(report.bars(), [](Bar const& bar) { return bar.hard && !bar.met; });
    };
    EXPECT_EQ(hard_missed(), 1); // in overload pinning is ahead
    report.cells[1].runs[0].vcpus[0].work = 120;
    EXPECT_EQ(hard_missed(), 0);
    report.cells[2].runs[0].vcpus[0].work = 99;
    EXPECT_EQ(hard_missed(), 1);
}

TEST(BenchReport, DifferencesFromTheSimulatorAreTheWorstOfAll)
{
    CellResult cell{{BenchRow::jbb, 2, column(BenchConfig::none)}, {}, {}};
    EXPECT_FALSE(cell.figure_difference());
    RunFigures run{
        .vcpus = {{.domain = 1, .vcpu = 0, .work = 100, .run = 50}, {.domain = 2, .vcpu = 0, .work = 100, .run = 50}},
        .duration = 1000};
    cell.simulated = {run, run};
    run.vcpus[0].work = 96;
    cell.runs = {cell.simulated[0], run};
    EXPECT_NEAR(*cell.figure_difference(), -2, 1e-9);
    EXPECT_NEAR(*cell.share_difference(), 0, 1e-9);
    cell.runs[1].vcpus[0].run = 60;
    EXPECT_NEAR(std::abs(*cell.share_difference()), 100 * (60.0 / 110 / 0.5 - 1), 1e-9); // one has more, the other less
}

TEST(BenchReport, ThePageIsSelfContainedAndHasAPlotARow)
{
    BenchReport report{.model = "<m>", .home = "simulator", .columns = {column(BenchConfig::none)}, .cells = {}};
    RunFigures const run{.vcpus = {{.work = 100, .run = 50}, {.vcpu = 1, .work = 100, .run = 50}}, .duration = 1000};
    report.cells.push_back({{BenchRow::jbb, 2, column(BenchConfig::none)}, {run}, {}});
    std::string const page{bench_html(report)};
    EXPECT_NE(page.find("<svg"), page.npos);
    EXPECT_NE(page.find("&lt;m&gt;"), page.npos);
    for (std::string_view const outside : {"http", "src=", "<link", "<m>"})
        EXPECT_EQ(page.find(outside), page.npos) << outside;
}

TEST(BenchOptions, ASweepIsReadOrRefusedWithWhatIsAllowed)
{
    BenchSweep const sweep{parse_sweep("remote=1.2..2.5/4")};
    EXPECT_EQ(sweep.parameter, "remote");
    EXPECT_DOUBLE_EQ(sweep.low, 1.2);
    EXPECT_DOUBLE_EQ(sweep.high, 2.5);
    EXPECT_EQ(sweep.steps, 4u);
    EXPECT_EQ(model_member("remote", 1.25), "\"remote_permille\": 1250");
    for (auto const& [text, what] :
         std::vector<std::pair<std::string, std::string>>{{"remote", "PARAMETER=LOW..HIGH"},
                                                          {"remote=1.2", "PARAMETER=LOW..HIGH"},
                                                          {"remote=a..2", "\"a\" is not a number"},
                                                          {"remote=2..1", "is empty"},
                                                          {"speed=1..2", "remote, node_mbps, link_mbps, queueing"},
                                                          {"remote=1..2/0", "1 to 100 steps"}})
        EXPECT_NE(refusal([&] { static_cast<void>(parse_sweep(text)); }).find(what), std::string::npos) << text;
}

// --- the table itself, on runs of two seconds

TEST(ReferenceTable, WithoutOverloadAffinityAndPinningAreAheadOfNone)
{
    BenchSetup const setup{.seconds = 2};
    for (BenchRow const row : {BenchRow::jbb, BenchRow::memory}) {
        double const none{mean(row, 6, BenchConfig::none, setup)};
        double const pinning{mean(row, 6, BenchConfig::pinning, setup)}, numa{mean(row, 6, BenchConfig::numa, setup)};
        EXPECT_GT(pinning, none * 1.05);
        EXPECT_GE(numa, pinning * 0.99);
    }
}

TEST(ReferenceTable, InOverloadJbbIsBestPinnedAndWorstWithoutAffinity)
{
    BenchSetup const setup{.seconds = 2};
    double const none{mean(BenchRow::jbb, 10, BenchConfig::none, setup)};
    double const pinning{mean(BenchRow::jbb, 10, BenchConfig::pinning, setup)};
    double const numa{mean(BenchRow::jbb, 10, BenchConfig::numa, setup)};
    EXPECT_GT(pinning, numa * 1.02);
    EXPECT_GT(numa, none * 1.02);
}

TEST(ReferenceTable, TheCpuControlIsIndifferentToPlacement)
{
    BenchSetup const setup{.seconds = 2};
    for (unsigned const vms : bench_loads) {
        double const none{mean(BenchRow::cpu, vms, BenchConfig::none, setup)};
        EXPECT_NEAR(mean(BenchRow::cpu, vms, BenchConfig::pinning, setup) / none, 1, 0.02);
        EXPECT_NEAR(mean(BenchRow::cpu, vms, BenchConfig::numa, setup) / none, 1, 0.02);
    }
}

// What explains the loss of NUMA in overload: without stealing it is gone, and with it the difference from pinning.
TEST(ReferenceTable, WithoutStealingAffinityIsAsGoodAsPinning)
{
    BenchSetup setup{.seconds = 2};
    auto const drop = [&] {
        return mean(BenchRow::jbb, 10, BenchConfig::pinning, setup) /
                   mean(BenchRow::jbb, 10, BenchConfig::numa, setup) -
               1;
    };
    double const usual{drop()};
    setup.policy_members = {"\"migration_delay_us\": 100000"};
    EXPECT_GT(usual, 0.05);
    EXPECT_NEAR(drop(), 0, 0.02);
}

// Longer bursts are away from home as much, stolen by priority instead of by idle pCPUs, but they move less often, and
// a move costs the same.
TEST(ReferenceTable, LongerBurstsMoveLessOftenAndLoseLess)
{
    auto const run = [&](BenchConfig config, std::vector<std::string> members) {
        return simulate_cell({BenchRow::jbb, 10, column(config)},
                             {.seconds = 2, .workload_members = std::move(members)}, 1);
    };
    std::vector<std::string> const longer{"\"run_ns\": [10000000, 30000000]"};
    auto const drop = [&](std::vector<std::string> const& members) {
        return 1 - run(BenchConfig::numa, members).value(BenchRow::jbb) /
                       run(BenchConfig::pinning, members).value(BenchRow::jbb);
    };
    EXPECT_LT(run(BenchConfig::numa, longer).total().node_moves * 3, run(BenchConfig::numa, {}).total().node_moves);
    EXPECT_LT(drop(longer), drop({}));
    EXPECT_GT(drop(longer), 0.01);
}

TEST(ReferenceTable, WithoutRemoteLatencyNothingIsLeftOfTheGainWithoutOverload)
{
    BenchSetup setup{.seconds = 2};
    setup = ablations(setup)[1].setup;
    double const none{mean(BenchRow::memory, 2, BenchConfig::none, setup)};
    EXPECT_NEAR(mean(BenchRow::memory, 2, BenchConfig::pinning, setup) / none, 1, 0.01);
}

} // namespace
} // namespace hv::nv
