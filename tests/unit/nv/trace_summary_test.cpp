#include "tools/nv/trace_summary.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tests/unit/nv/trace_unpack.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/json.hpp"
#include "tools/nv/sim.hpp"
#include "tools/nv/trace_report.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <unistd.h>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::idle;
using sample::make;
using sample::Sample;
using sample::State;

TraceFigures figures(Bytes const& file, TraceFacts const& facts = {})
{
    TraceStream stream{file};
    std::vector<std::uint32_t> const pcpus{stream.pcpus()};
    Summariser summariser{facts, facts.clock_hz.value_or(1'000'000'000), pcpus};
    while (std::optional<Record> const record = stream.next())
        summariser.record(*record);
    EXPECT_EQ(stream.damage_count(), 0u);
    return summariser.finish(stream.windows());
}

double number_of(Json const& value)
{
    if (value.kind == Json::Kind::real)
        return value.real;
    return static_cast<double>(value.magnitude) * (value.negative ? -1 : 1);
}

// Counts exactly, measures within 0.1 %.
void expect_same(Json const& ours, Json const& theirs, std::string const& path)
{
    bool const is_number = theirs.kind == Json::Kind::real || theirs.kind == Json::Kind::integer;
    if (!is_number) {
        ASSERT_EQ(ours.kind, theirs.kind) << path;
    } else {
        double const wanted = number_of(theirs);
        bool const is_count = theirs.kind == Json::Kind::integer && path != "$.guest_run_us";
        EXPECT_NEAR(number_of(ours), wanted, is_count ? 0 : 0.001 * std::abs(wanted)) << path;
    }
    std::size_t const more = path == "$" ? 1 : 0; // Ours has "detail" on top.
    ASSERT_EQ(ours.members.size(), theirs.members.size() + more) << path;
    for (auto const& [key, value] : theirs.members) {
        Json const* const found = ours.find(key);
        ASSERT_NE(found, nullptr) << path << "." << key;
        expect_same(*found, value, path + "." + key);
    }
}

class RealTrace : public testing::TestWithParam<char const*> {};

TEST_P(RealTrace, GivesTheFiguresThatWereComputedIndependently)
{
    std::string const base = std::string{"tests/traces/"} + GetParam();
    Bytes const file = unpacked(base + ".xentrace.xz");
    TraceFigures const found = figures(file, load_trace_facts(base + ".facts.json"));
    Json const ours = parse_json(trace_json(found, file.size()), "ours");
    expect_same(ours, parse_json(read_text(base + ".metrics.json"), "theirs"), "$");
}

INSTANTIATE_TEST_SUITE_P(Xen, RealTrace, testing::Values("light-soft", "over-soft", "skew-soft", "pp-soft"),
                         [](auto const& one) { return std::string{one.param}.substr(0, 2); });

// d1v0 is woken at 1000 beside an idle pCPU 1, runs on pCPU 0 from 1500 to 4000, is preempted, and goes on at 5000 on
// pCPU 1.
Sample two_runs()
{
    Sample sample;
    sample.change(1, 900, idle, 1, State::runnable, State::running);
    sample.change(0, 1000, 1, 0, State::blocked, State::runnable);
    sample.change(0, 1500, 1, 0, State::runnable, State::running);
    sample.change(0, 4000, 1, 0, State::running, State::runnable);
    sample.change(0, 4001, 2, 0, State::runnable, State::running);
    sample.change(1, 4999, idle, 1, State::running, State::runnable);
    sample.change(1, 5000, 1, 0, State::runnable, State::running);
    sample.change(1, 6900, 1, 0, State::running, State::blocked);
    return sample;
}

TraceFacts two_nodes()
{
    TraceFacts facts;
    facts.node_of = {0, 1};
    facts.domains[1].home = {{0}};
    return facts;
}

TEST(TraceSummary, TellsWakeUpsFromPreemptionsAndHomeFromAway)
{
    TraceFigures const found = figures(two_runs().file(), two_nodes());
    ASSERT_EQ(found.vcpus.size(), 2u);
    VcpuFigures const& vcpu = found.vcpus[0];
    EXPECT_EQ(vcpu.in_state, (std::array<std::uint64_t, 4>{2500 + 1900, 500 + 1000, 0, 0}));
    EXPECT_EQ(vcpu.home, 2500u);
    EXPECT_TRUE(std::ranges::equal(vcpu.wakes.exact(), std::array{500}));
    EXPECT_TRUE(std::ranges::equal(vcpu.preempts.exact(), std::array{1000}));
    EXPECT_EQ(vcpu.migrations, 1u);
    EXPECT_EQ(vcpu.cross_node, 1u);
    EXPECT_EQ(found.duration(), 6000u);
    EXPECT_EQ(found.records, 8u + 2u);
    EXPECT_EQ(found.switches, 4u);
    EXPECT_EQ(found.wakeups, 1u);
    EXPECT_EQ(found.pcpus[0].busy, 2500u + 2899u);
    EXPECT_EQ(found.pcpus[1].idle, 4999u - 900u);
}

TEST(TraceSummary, CountsAWaitBesideAnIdlePcpuOnlyWhereTheVcpuMayRun)
{
    EXPECT_EQ(figures(two_runs().file(), two_nodes()).gaps, 2u);
    EXPECT_EQ(figures(two_runs().file(), two_nodes()).longest_gap, 1000u);
    TraceFacts bound{two_nodes()};
    bound.domains[1].hard = {{0}};
    EXPECT_EQ(figures(two_runs().file(), bound).gaps, 0u);
}

TEST(TraceSummary, LeavesOutAWaitThatTheTraceDoesNotEnd)
{
    Sample sample{two_runs()};
    sample.change(1, 6901, idle, 1, State::runnable, State::running);
    sample.change(0, 7000, 2, 0, State::running, State::runnable);
    sample.change(0, 9000, 3, 0, State::runnable, State::running);
    EXPECT_EQ(figures(sample.file(), two_nodes()).gaps, 2u);
}

TEST(TraceSummary, TakesAVcpuThatNeverSwitchesFromItsContinuations)
{
    Sample sample;
    sample.resume(0, 1000, 1, 0).resume(0, 2000, 1, 0).resume(0, 5000, 1, 0);
    TraceFigures const found = figures(sample.file());
    ASSERT_EQ(found.vcpus.size(), 1u);
    EXPECT_EQ(found.vcpus[0].run(), 4000u);
    EXPECT_FALSE(found.vcpus[0].home.has_value());
}

TEST(TraceSummary, CountsLostRecordsButTakesNoTimeFromThem)
{
    Sample sample;
    sample.put(0, make(0x1f001, 100, {7, 0, 50, 0})).resume(0, 1000, 1, 0).resume(0, 1500, 1, 0);
    TraceFigures const found = figures(sample.file());
    EXPECT_EQ(found.lost_events, 7u);
    EXPECT_EQ(found.lost_records, 1u);
    EXPECT_EQ(found.duration(), 500u);
    EXPECT_EQ(found.events.at(0x1f001), 1u);
}

TEST(TraceSummary, PassesOverEventsThatItDoesNotKnow)
{
    Sample sample{two_runs()};
    sample.put(0, make(0x0008'1234, 5500, {1, 2, 3, 4, 5, 6, 7}));
    TraceFigures const found = figures(sample.file(), two_nodes());
    EXPECT_EQ(found.events.at(0x0008'1234), 1u);
    EXPECT_EQ(found.vcpus[0].run(), 4400u);
}

TEST(TraceSummary, DatesARecordWithoutStampByThePreviousOneOfItsPcpu)
{
    Sample sample;
    sample.resume(0, 1000, 1, 0);
    sample.put(0, make(0x21021, std::nullopt, {1 << 16}));
    sample.resume(1, 900, 2, 0).resume(1, 3000, 2, 0);
    TraceFigures const found = figures(sample.file());
    EXPECT_EQ(found.vcpus[0].in_state[2], 2000u);
    EXPECT_EQ(found.backward, 0u);
}

TEST(TraceSummary, MeasuresInTicksOfTheClockThatItIsTold)
{
    TraceFacts facts{two_nodes()};
    facts.clock_hz = 2'000'000'000;
    EXPECT_EQ(figures(two_runs().file(), facts).wait_limits()[3], 16'000u); // 8 us
    Json const json = parse_json(trace_json(figures(two_runs().file(), facts), 1), "t");
    EXPECT_NEAR(json.find("guest_wakeup_latency_us")->find("p50")->real, 0.25, 0.051);
    Json const* const vcpu = json.find("detail")->find("vcpus")->find("d1v0");
    EXPECT_EQ(vcpu->find("running_us")->real, 2.2); // 4400 ticks
    EXPECT_EQ(vcpu->find("home")->real, 0.56818);   // 2500 of them
    EXPECT_EQ(vcpu->find("wakeup_latency_us")->find("histogram")->items.size(), 1u);
    EXPECT_EQ(json.find("detail")->find("pcpus")->find("1")->find("idle_us")->real, 2.05); // 4099 ticks
    EXPECT_EQ(json.find("guest_run_us")->magnitude, 4u);                                   // 4400 + 2899 ticks
}

TEST(TraceSummary, RefusesFactsThatDoNotCoverThePcpus)
{
    TraceFacts facts;
    facts.node_of = {0};
    EXPECT_THROW(static_cast<void>(figures(two_runs().file(), facts)), Error);
}

TEST(TraceSummary, NamesTheIdlePcpuOfEachWorstGap)
{
    TraceFigures const found = figures(two_runs().file(), two_nodes());
    ASSERT_EQ(found.worst_gaps.size(), 2u);
    WorstGap const& worst = found.worst_gaps[0];
    EXPECT_EQ(worst.length, 1000u); // from 4000 on; the one from 1000 on was 500 long
    EXPECT_EQ(worst.begin, 4000u - 900u);
    EXPECT_EQ(worst.domain, 1u);
    EXPECT_EQ(worst.vcpu, 0u);
    EXPECT_EQ(worst.pcpu, 1u);
    EXPECT_EQ(found.worst_gaps[1].length, 500u);
}

// d1v0 waits from 2000 to 9000. pCPU 2, which it may use, idles from 3000 to 5000 and from 6000 to 6500; pCPU 1, which
// it may not, all the time.
TEST(TraceSummary, AGapLastsWhileAPermittedPcpuIdles)
{
    Sample sample;
    sample.change(0, 1000, 2, 0, State::runnable, State::running);
    sample.change(1, 1000, idle, 1, State::runnable, State::running);
    sample.change(0, 2000, 1, 0, State::blocked, State::runnable);
    sample.change(2, 3000, idle, 2, State::runnable, State::running);
    sample.change(2, 5000, idle, 2, State::running, State::runnable);
    sample.change(2, 5000, 3, 0, State::runnable, State::running);
    sample.change(2, 6000, 3, 0, State::running, State::blocked);
    sample.change(2, 6000, idle, 2, State::runnable, State::running);
    sample.change(2, 6500, idle, 2, State::running, State::runnable);
    sample.change(2, 6500, 3, 0, State::runnable, State::running);
    sample.change(0, 9000, 2, 0, State::running, State::blocked);
    sample.change(0, 9000, 1, 0, State::runnable, State::running);
    TraceFacts facts;
    facts.domains[1].hard = {{0, 2}};
    TraceFigures const found = figures(sample.file(), facts);
    ASSERT_EQ(found.worst_gaps.size(), 2u);
    EXPECT_EQ(found.worst_gaps[0].begin, 2000u);
    EXPECT_EQ(found.worst_gaps[0].length, 2000u);
    EXPECT_EQ(found.worst_gaps[0].pcpu, 2u);
    EXPECT_EQ(found.worst_gaps[1].length, 500u);
}

TEST(TraceSummary, CountsWhatIsStampedTooEarly)
{
    Sample sample;
    sample.resume(0, 1000, 1, 0).resume(0, 900, 1, 0).resume(0, 2000, 1, 0);
    EXPECT_EQ(figures(sample.file()).backward, 1u);
    EXPECT_EQ(figures(two_runs().file()).backward, 0u);
}

TEST(TraceSummary, KeepsTheTenLongestGapsInOrder)
{
    Sample sample;
    sample.change(1, 1000, idle, 1, State::runnable, State::running);
    std::uint64_t at{1000};
    for (std::uint64_t i = 0; i < 25; ++i) { // lengths 0, 7, 14... mod 25, each of 0 to 24 once
        sample.change(0, at += 100, 1, 0, State::blocked, State::runnable);
        sample.change(0, at += i * 7 % 25, 1, 0, State::runnable, State::running);
        sample.change(0, at += 100, 1, 0, State::running, State::blocked);
    }
    TraceFigures const found = figures(sample.file(), two_nodes());
    EXPECT_EQ(found.gaps, 25u);
    ASSERT_EQ(found.worst_gaps.size(), 10u);
    for (std::size_t i = 0; i < 10; ++i)
        EXPECT_EQ(found.worst_gaps[i].length, 24 - i);
}

// d1v0, at home on node 0, runs on pCPU 1 (node 1) from 2000 to 5000; pCPU 0 idles from 3000 to 4500.
TEST(TraceSummary, CallsARunAwayMisplacedWhileAPcpuAtHomeIdles)
{
    auto const misplaced = [](TraceFacts const& facts) {
        Sample sample;
        sample.change(0, 1000, 2, 0, State::runnable, State::running);
        sample.change(1, 2000, 1, 0, State::runnable, State::running);
        sample.change(0, 3000, 2, 0, State::running, State::blocked);
        sample.change(0, 3000, idle, 0, State::runnable, State::running);
        sample.change(0, 4500, idle, 0, State::running, State::runnable);
        sample.change(0, 4500, 3, 0, State::runnable, State::running);
        sample.change(1, 5000, 1, 0, State::running, State::blocked);
        sample.change(0, 6000, 3, 0, State::running, State::blocked);
        return figures(sample.file(), facts).vcpus[0].misplaced;
    };
    EXPECT_EQ(misplaced(two_nodes()), 1500u);
    TraceFacts bound{two_nodes()};
    bound.domains[1].hard = {{1}};
    EXPECT_EQ(misplaced(bound), 0u) << "pCPU 0 is not permitted";
    EXPECT_EQ(misplaced({}), std::nullopt);
}

TEST(TraceSummary, SumsTheVcpusOfADomain)
{
    Sample sample{two_runs()};
    sample.change(0, 5500, 1, 1, State::blocked, State::runnable);
    sample.change(0, 5600, 2, 0, State::running, State::runnable);
    sample.change(0, 5600, 1, 1, State::runnable, State::running);
    std::vector<VcpuFigures> const domains{figures(sample.file(), two_nodes()).domains()};
    ASSERT_EQ(domains.size(), 2u);
    EXPECT_EQ(domains[0].domain, 1u);
    EXPECT_EQ(domains[0].count, 2u);
    EXPECT_EQ(domains[0].in_state, (std::array<std::uint64_t, 4>{2500 + 1900 + 1300, 500 + 1000 + 100, 0, 0}));
    EXPECT_EQ(domains[0].home, 2500u + 1300u);
    EXPECT_EQ(domains[0].placed, 2500u + 1900u + 1300u);
    EXPECT_EQ(domains[0].wakes.count(), 2u);
    EXPECT_FALSE(domains[1].home.has_value());
}

// A simulation heard as it happens, and its trace read like a stranger's. In the trace stamps go on by one a record.
TEST(TraceSummary, AgreesWithTheSimulationThatMadeTheTrace)
{
    std::filesystem::path const folder{std::filesystem::temp_directory_path() / fmt::format("nv-agree-{}", ::getpid())};
    std::filesystem::path const scenario{"tests/scenarios/two-nodes-nodeaff.json"};
    Overrides const overrides{.settings = {"duration_ns=1000000000"}};
    testing::internal::CaptureStdout();
    SimOptions options;
    options.scenarios = {scenario};
    options.overrides = overrides;
    options.out = folder;
    EXPECT_EQ(simulate_scenarios(options), ExitCode::good);
    static_cast<void>(testing::internal::GetCapturedStdout());
    Metrics const heard{simulate(load_scenario(scenario, overrides))};
    std::filesystem::path const trace{folder / "two-nodes-nodeaff-credit-1" / "trace.xentrace"};
    TraceFigures const found{figures(read_bytes(trace), load_trace_facts(facts_file_of(trace)))};
    std::filesystem::remove_all(folder);
    std::size_t at{0};
    for (DomainMetrics const& domain : heard.domains)
        for (Sums const& vcpu : domain.vcpus) {
            ASSERT_LT(at, found.vcpus.size());
            VcpuFigures const& ours = found.vcpus[at++];
            auto const slack = static_cast<double>(found.records) / 100;
            EXPECT_NEAR(static_cast<double>(ours.run()), static_cast<double>(vcpu.run()), slack);
            EXPECT_NEAR(static_cast<double>(*ours.home), static_cast<double>(vcpu.home), slack);
            EXPECT_NEAR(static_cast<double>(*ours.misplaced), static_cast<double>(vcpu.misplaced), slack);
            EXPECT_EQ(ours.migrations, vcpu.migrations);
            EXPECT_EQ(ours.cross_node, vcpu.cross_node);
            EXPECT_EQ(ours.wakes.count() + ours.preempts.count() > 0, true);
        }
    EXPECT_EQ(at, found.vcpus.size());
}

TEST(TraceSummary, SaysTheSameToPeople)
{
    std::string const text = trace_text(figures(two_runs().file(), two_nodes()), "t");
    EXPECT_NE(text.find("d1v0"), std::string::npos);
    EXPECT_NE(text.find("waited beside an idle pCPU that it may run on: 2 times, longest 1.0 us"), std::string::npos)
        << text;
}

} // namespace
} // namespace hv::nv
