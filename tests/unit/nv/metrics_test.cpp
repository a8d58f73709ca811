#include "tools/nv/metrics.hpp"

#include "tools/nv/feed.hpp"
#include "tools/nv/matching.hpp"
#include "tools/nv/metrics_json.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <random>

namespace hv::nv {
namespace {

using enum sched::trace::RunStateCode;

constexpr std::int64_t us = 1'000;

// Two nodes of two pCPUs. Domain 1 (group guest) is at home on node 0, domain 2 (group dom0) nowhere; two vCPUs each:
// indices 0, 1 and 2, 3. Window: [100 us, 1100 us].
Scenario two_by_two()
{
    Scenario s;
    s.name = "t";
    s.warmup_ns = 100 * us;
    s.duration_ns = 1000 * us;
    s.machine.pcpus = {{0, 0, 0}, {0, 0, 1}, {1, 1, 2}, {1, 1, 3}};
    s.machine.node_memory_mib = {1, 1};
    for (std::uint16_t const id : {std::uint16_t{1}, std::uint16_t{2}}) {
        Domain domain;
        domain.id = id;
        domain.name = id == 1 ? "vm" : "host";
        domain.group = id == 1 ? "guest" : "dom0";
        if (id == 1)
            domain.preferred_nodes = NodeList{0};
        domain.vcpus.resize(2);
        s.domains.push_back(domain);
    }
    return s;
}

struct Change {
    std::int64_t at_us;
    std::size_t vcpu;
    RunState from, to;
    std::uint16_t pcpu;
};

Metrics metrics_of(Scenario const& scenario, std::vector<Change> const& changes, Duration grain = {})
{
    Collector collector{scenario, grain};
    for (Change const& c : changes)
        collector.change(Instant::at_ns(c.at_us * us), c.vcpu, c.from, c.to, c.pcpu);
    return collector.finish();
}

std::int64_t in(Sums const& sums, RunState state) { return sums.in_state[static_cast<std::size_t>(state)] / us; }

TEST(Metrics, TimeInEachStateIsCountedWithinTheWindowOnly)
{
    Metrics const m = metrics_of(two_by_two(), {{50, 0, offline, runnable, 0},  // 50 before the window
                                                {80, 0, runnable, running, 0},  // 20 of its 220 before
                                                {300, 0, running, blocked, 0},  // 200
                                                {700, 0, blocked, runnable, 0}, // 400
                                                {750, 0, runnable, running, 1}, // 50
                                                {1500, 0, running, blocked, 1}});
    Sums const& v = m.domains[0].vcpus[0];
    EXPECT_EQ(in(v, running), 200 + 350);
    EXPECT_EQ(in(v, blocked), 400);
    EXPECT_EQ(in(v, runnable), 50);
    EXPECT_EQ(in(v, offline), 0);
    EXPECT_EQ(in(m.domains[0].vcpus[1], offline), 1000);
    EXPECT_EQ(m.idle / us, 4 * 1000 - 550);
    EXPECT_EQ(m.contradictions, 0u);
}

TEST(Metrics, HomeShareAndMisplacementFollowTheIdlePcpusAtHome)
{
    // vCPU 0 runs away from home for 600 us. Home is full for 200 us of it (vCPUs 2 and 3), so 400 us are misplaced.
    // vCPU 1 runs at home for 100 us.
    Metrics const m = metrics_of(two_by_two(), {{100, 0, runnable, running, 2},
                                                {300, 2, runnable, running, 0},
                                                {400, 3, runnable, running, 1},
                                                {600, 3, running, blocked, 1},
                                                {700, 0, running, blocked, 2},
                                                {800, 1, runnable, running, 1},
                                                {900, 1, running, blocked, 1},
                                                {900, 2, running, blocked, 0}});
    EXPECT_EQ(m.guests.sums.placeable / us, 700);
    EXPECT_EQ(m.guests.sums.home / us, 100);
    EXPECT_EQ(m.guests.sums.misplaced / us, 400);
    EXPECT_TRUE(m.guests.has_preferred);
    EXPECT_FALSE(m.groups[1].has_preferred);
    EXPECT_EQ(m.groups[1].name, "dom0");
}

TEST(Metrics, MisplacementNeedsAHomePcpuThatTheVcpuMayUse)
{
    Scenario s = two_by_two();
    s.domains[0].vcpus[0].hard_affinity = PcpuList{1, 2};
    Metrics const m = metrics_of(s, {{100, 3, runnable, running, 1},
                                     {200, 0, runnable, running, 2},
                                     {400, 3, running, blocked, 1},
                                     {450, 0, running, blocked, 2}});
    EXPECT_EQ(m.guests.sums.misplaced / us, 50); // pCPU 0 idles all the time, but is not permitted.
}

TEST(Metrics, MigrationsAreArrivalsOnAnotherPcpuThanTheLast)
{
    Metrics const m = metrics_of(two_by_two(), {{10, 0, runnable, running, 0},
                                                {20, 0, running, runnable, 0},
                                                {30, 0, runnable, running, 1},
                                                {40, 0, running, blocked, 1}, // before the window
                                                {200, 0, blocked, runnable, 1},
                                                {200, 0, runnable, running, 0}, // within
                                                {300, 0, running, runnable, 0},
                                                {310, 0, runnable, running, 0}, // none
                                                {400, 0, running, runnable, 0},
                                                {410, 0, runnable, running, 3}, // across
                                                {500, 0, running, blocked, 3}});
    EXPECT_EQ(m.domains[0].vcpus[0].migrations, 2u);
    EXPECT_EQ(m.domains[0].vcpus[0].cross_node, 1u);
    EXPECT_EQ(m.total.migrations, 2u);
}

TEST(Metrics, WakeLatencyRunsFromTheWakeUpOfABlockedVcpuThroughParking)
{
    Metrics const m = metrics_of(two_by_two(), {{90, 0, blocked, runnable, 0},
                                                {110, 0, runnable, running, 0}, // wake 20, wait 20
                                                {120, 0, running, runnable, 0},
                                                {150, 0, runnable, running, 0}, // wait 30, no wake
                                                {160, 0, running, blocked, 0},
                                                {200, 0, blocked, runnable, 0},
                                                {210, 0, runnable, offline, 0},
                                                {260, 0, offline, runnable, 0},
                                                {265, 0, runnable, running, 0},
                                                {270, 0, running, offline, 0}, // wake 65, wait 5
                                                {300, 0, offline, runnable, 0},
                                                {301, 0, runnable, running, 0}, // wait 1, no wake
                                                {400, 0, running, blocked, 0}});
    EXPECT_EQ(m.guests.wake.count, 2u);
    EXPECT_EQ(m.guests.wake.sum / us, 85);
    EXPECT_EQ(m.guests.wake.p50 / us, 20);
    EXPECT_EQ(m.guests.wake.max / us, 65);
    EXPECT_EQ(m.guests.wait.count, 4u);
    EXPECT_EQ(m.guests.wait.sum / us, 20 + 30 + 5 + 1);
    EXPECT_EQ(m.guests.sums.wakes, 1u) << "the wake-up at 90 us was before the window";
    EXPECT_EQ(m.guests.sums.max_wait / us, 30);
}

TEST(Metrics, AWakeUpOfAParkedVcpuIsAWakeUp)
{
    Metrics const m = metrics_of(
        two_by_two(), {{200, 0, blocked, offline, 0}, {260, 0, offline, runnable, 0}, {261, 0, runnable, running, 0}});
    EXPECT_EQ(m.guests.sums.wakes, 1u);
    EXPECT_EQ(m.guests.wake.sum / us, 61);
    EXPECT_EQ(m.guests.wait.sum / us, 1);
}

TEST(Metrics, ALongWaitCountsInFullWhenItBeganEarlyAndUpToTheEndWhenItIsNotOver)
{
    Metrics const early = metrics_of(
        two_by_two(), {{10, 0, blocked, runnable, 0}, {150, 0, runnable, running, 0}, {160, 0, running, blocked, 0}});
    EXPECT_EQ(early.guests.sums.max_wait / us, 140);
    Metrics const late = metrics_of(two_by_two(), {{1000, 0, blocked, runnable, 0}});
    EXPECT_EQ(late.guests.sums.max_wait / us, 100);
    Metrics const before = metrics_of(two_by_two(), {{10, 0, blocked, runnable, 0}, {99, 0, runnable, running, 0}});
    EXPECT_EQ(before.guests.sums.max_wait, 0);
}

TEST(Metrics, TheWindowIsClosedAtBothEnds)
{
    for (std::int64_t const at : {100, 1100}) {
        Metrics const m = metrics_of(two_by_two(), {{at - 10, 0, blocked, runnable, 0}, {at, 0, runnable, running, 0}});
        EXPECT_EQ(m.guests.wait.count, 1u) << at;
    }
    for (std::int64_t const at : {99, 1101}) {
        Metrics const m = metrics_of(two_by_two(), {{at - 10, 0, blocked, runnable, 0}, {at, 0, runnable, running, 0}});
        EXPECT_EQ(m.guests.wait.count, 0u) << at;
    }
}

TEST(Metrics, PercentilesAreNearestRank)
{
    std::vector<std::int64_t> samples;
    for (std::int64_t i = 200; i >= 1; --i)
        samples.push_back(i);
    Latency const l = Latency::of(samples);
    EXPECT_EQ(l.p50, 100);
    EXPECT_EQ(l.p95, 190);
    EXPECT_EQ(l.p99, 198);
    EXPECT_EQ(l.max, 200);
    EXPECT_EQ(l.sum, 20'100);
    Latency const three = Latency::of({7, 5, 6});
    EXPECT_EQ(three.p50, 6);
    EXPECT_EQ(three.p95, 7);
    EXPECT_EQ(Latency::of({4}).p99, 4);
    std::vector<std::int64_t> thirteen(13);
    std::iota(thirteen.begin(), thirteen.end(), 1);
    EXPECT_EQ(Latency::of(thirteen).p95, 13) << "rank 12.35 is rounded up";
    EXPECT_EQ(Latency::of({}).count, 0u);
}

TEST(Metrics, WorkConservationIsBrokenWhileAnIdlePcpuIsAllowedForAWaitingVcpu)
{
    Scenario s = two_by_two();
    s.domains[0].hard_affinity = PcpuList{0};
    // vCPUs 0 and 1 may only use pCPU 0. vCPU 1 waits from 200 to 500: a violation only while pCPU 0 idles (400-500).
    std::vector<Change> const changes{{120, 0, blocked, runnable, 0}, {150, 0, runnable, running, 0},
                                      {200, 1, blocked, runnable, 0}, {400, 0, running, blocked, 0},
                                      {500, 1, runnable, running, 0}, {600, 1, running, blocked, 0}};
    Metrics const m = metrics_of(s, changes);
    EXPECT_EQ(m.violation / us, 30 + 100); // 30 while vCPU 0 waited for its first run.
    EXPECT_EQ(m.lost_capacity / us, 130);
    EXPECT_EQ(metrics_of(s, changes, Duration::from_us(60)).violation / us, 100)
        << "the spell of 30 us is below the grain";
    EXPECT_EQ(metrics_of(s, changes, Duration::from_us(100)).violation / us, 100);
    EXPECT_EQ(metrics_of(s, changes, Duration::from_us(101)).violation, 0);
}

TEST(Metrics, LostCapacityIsTheLargestMatching)
{
    Scenario s = two_by_two();
    s.domains[0].hard_affinity = PcpuList{0};
    // Three wait: 0 and 1 for pCPU 0 only, 2 for any. Two of the four idle pCPUs could be used.
    Metrics const m = metrics_of(s, {{200, 0, blocked, runnable, 0},
                                     {200, 1, blocked, runnable, 0},
                                     {200, 2, blocked, runnable, 0},
                                     {300, 0, runnable, offline, 0},
                                     {300, 1, runnable, offline, 0},
                                     {300, 2, runnable, offline, 0}});
    EXPECT_EQ(m.violation / us, 100);
    EXPECT_EQ(m.lost_capacity / us, 200);
}

TEST(Matching, AgreesWithTryingEverything)
{
    std::mt19937 random{20240611};
    for (int round = 0; round < 300; ++round) {
        auto const any_mask = [&] {
            CpuMask mask;
            for (std::uint16_t cpu = 0; cpu < 5; ++cpu)
                if (random() % 2 == 0)
                    mask.set(CpuId{cpu});
            return mask;
        };
        CpuMask const idle = any_mask();
        std::vector<CpuMask> masks(random() % 5);
        std::vector<CpuMask const*> allowed;
        for (CpuMask& mask : masks) {
            mask = any_mask();
            allowed.push_back(&mask);
        }
        std::function<std::size_t(std::size_t, CpuMask)> const best = [&](std::size_t i, CpuMask free) -> std::size_t {
            if (i == masks.size())
                return 0;
            std::size_t most = best(i + 1, free);
            for (CpuId const cpu : free& masks[i])
                most = std::max(most, 1 + best(i + 1, free - CpuMask::of(cpu)));
            return most;
        };
        ASSERT_EQ(max_matching(idle, allowed), best(0, idle)) << "round " << round;
    }
}

TEST(Metrics, ContradictionsAreCountedNotBelieved)
{
    Scenario const s = two_by_two();
    EXPECT_EQ(metrics_of(s, {{200, 0, runnable, running, 0}, {300, 0, runnable, running, 1}}).contradictions, 1u);
    EXPECT_EQ(metrics_of(s, {{200, 0, runnable, running, 0}, {300, 1, runnable, running, 0}}).contradictions, 1u);
    EXPECT_EQ(metrics_of(s, {{200, 0, runnable, running, 0}, {300, 0, running, blocked, 1}}).contradictions, 1u);
    EXPECT_EQ(metrics_of(s, {{200, 0, runnable, running, 9}}).contradictions, 1u);
    EXPECT_EQ(metrics_of(s, {{200, 0, blocked, runnable, 0}, {190, 0, runnable, running, 0}}).contradictions, 1u);
}

TEST(Metrics, JobsAndResponsesComeFromTheWorkload)
{
    Scenario const s = two_by_two();
    Collector collector{s};
    collector.job_done(Instant::at_ns(99 * us), 0, Duration::from_us(5));
    collector.job_done(Instant::at_ns(100 * us), 0, Duration::from_us(7));
    collector.job_done(Instant::at_ns(200 * us), 0, std::nullopt);
    collector.job_missed(Instant::at_ns(200 * us), 0);
    Metrics const m = collector.finish();
    EXPECT_EQ(m.guests.sums.jobs, 2u);
    EXPECT_EQ(m.guests.sums.missed, 1u);
    EXPECT_EQ(m.guests.response.count, 1u);
    EXPECT_EQ(m.guests.response.max / us, 7);
}

TEST(Feed, CountsOneSwitchForEachArrivalAndIgnoresWhatIsNoRunState)
{
    Scenario const s = two_by_two();
    Collector collector{s};
    Feed feed{collector};
    auto const change = [&](std::int64_t at, std::uint16_t pcpu, RunState from, RunState to, std::uint16_t domain,
                            std::uint16_t vcpu) {
        std::uint32_t const word = sched::trace::pack_vcpu(domain, vcpu);
        feed.event(Instant::at_ns(at * us), pcpu, sched::trace::runstate_event(from, to), {&word, 1});
    };
    change(200, 0, running, runnable, idle_domain, 0);
    change(200, 0, runnable, running, 1, 1);
    change(300, 0, running, blocked, 1, 1);
    change(300, 0, runnable, running, idle_domain, 0);
    change(400, 0, offline, runnable, 9, 0);
    std::uint32_t const lost[]{12, 0, 0, 0};
    feed.event(Instant::at_ns(500 * us), 0, static_cast<std::uint32_t>(sched::trace::Event::lost_records), lost);
    Metrics const m = collector.finish();
    EXPECT_EQ(m.switches, 2u);
    EXPECT_EQ(m.switches_to_vcpu, 1u);
    EXPECT_EQ(in(m.domains[0].vcpus[1], running), 100);
    EXPECT_EQ(feed.strangers(), 1u);
    EXPECT_EQ(feed.lost(), 12u);
}

TEST(Feed, TimeZeroIsTheStartOfTheScenarioAndEarlierRecordsGiveOnlyStates)
{
    Scenario s = two_by_two();
    s.warmup_ns = 0;
    auto const record = [](std::uint64_t stamp, RunState from, RunState to) {
        Record r;
        r.event = sched::trace::runstate_event(from, to);
        r.stamp = stamp;
        r.has_stamp = true;
        r.word_count = 1;
        r.word_store[0] = sched::trace::pack_vcpu(1, 0);
        return encode(r);
    };
    std::vector<std::byte> bytes;
    for (auto const& part : {record(5'000'000, offline, runnable), record(5'010'000, runnable, running),
                             record(6'200'000, running, blocked)})
        bytes.insert(bytes.end(), part.begin(), part.end());
    std::vector<std::byte> const file = write_xentrace({{0, bytes}});
    TraceStream trace{file};
    Measured const measured = measure({.scenario = s, .start = 6'000'000}, trace);
    EXPECT_EQ(in(measured.metrics.domains[0].vcpus[0], running), 200);
    EXPECT_EQ(measured.metrics.guests.wait.count, 0u);
    EXPECT_EQ(measured.metrics.switches, 0u);
    EXPECT_EQ(measured.records, 3u);
    EXPECT_EQ(measured.metrics.contradictions, 0u);
}

TEST(MetricsJson, HasUpstreamsKeysAndRounding)
{
    Metrics const m = metrics_of(two_by_two(), {{100, 0, runnable, running, 2},
                                                {433, 0, running, blocked, 2},
                                                {500, 0, blocked, runnable, 2},
                                                {501, 0, runnable, running, 0}});
    std::string const json = metrics_json(m, {.scenario = "t", .policy = "credit", .seed = 3, .source = "kernel"});
    for (char const* const text :
         {"\"scenario\": \"t\"", "\"variant\": \"credit\"", "\"seed\": 3", "\"sim_seconds\": 0.001",
          "\"migrations_per_s\": 1000.0", "\"xnode_migrations_per_s\": 1000.0", "\"cpu_seconds\": 0.000932",
          "\"pref_share_pct\": 64.2704", "\"misplaced_pct\": 35.7296", "\"pref_share_pct\": -1.0", "\"p99_us\": 1.0",
          "\"idle_pct\": 76.7", "\"guest\": {", "\"dom0\": {"})
        EXPECT_NE(json.find(text), std::string::npos) << text << " is not in\n" << json;
}

} // namespace
} // namespace hv::nv
