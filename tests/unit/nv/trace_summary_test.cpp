#include "tools/nv/trace_summary.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tests/unit/nv/trace_unpack.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/json.hpp"
#include "tools/nv/trace_report.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::make;
using sample::Sample;
using sample::State;

constexpr std::uint16_t idle = 32767;

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
    ASSERT_EQ(ours.members.size(), theirs.members.size()) << path;
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
}

TEST(TraceSummary, MeasuresInTicksOfTheClockThatItIsTold)
{
    TraceFacts facts{two_nodes()};
    facts.clock_hz = 2'000'000'000;
    Json const json = parse_json(trace_json(figures(two_runs().file(), facts), 1), "t");
    EXPECT_NEAR(json.find("guest_wakeup_latency_us")->find("p50")->real, 0.25, 0.051);
    EXPECT_EQ(json.find("guest_run_us")->magnitude, 4u); // 4400 + 2899 ticks
}

TEST(TraceSummary, RefusesFactsThatDoNotCoverThePcpus)
{
    TraceFacts facts;
    facts.node_of = {0};
    EXPECT_THROW(static_cast<void>(figures(two_runs().file(), facts)), Error);
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
