#include "tools/nv/replay.hpp"

#include "tests/support/trace_figures.hpp"
#include "tests/unit/nv/trace_sample.hpp"
#include "tests/unit/nv/trace_sim.hpp"
#include "tests/unit/nv/trace_unpack.hpp"

#include <gtest/gtest.h>

namespace hv::nv {
namespace {

using namespace sample;
using sched::guest::Step;
using sched::guest::StepKind;

constexpr std::uint64_t forever_ns = 1'000'000'000'000'000;

Recording recording_of(Bytes const& file, std::uint64_t last = ~0ull, std::optional<HostModel> known = HostModel{})
{
    WakePairs pairs;
    HostTurns turns{hertz};
    TraceStream first{file};
    while (std::optional<Record> const record = first.next()) {
        pairs.record(*record, hertz);
        turns.record(*record);
    }
    HostModel const host{known.value_or(turns.model())};
    Recorder recorder{pairs, hertz, host, last};
    TraceStream stream{file};
    while (std::optional<Record> const record = stream.next())
        recorder.record(*record);
    return recorder.finish();
}

// "r100 s50+9 n1.0 w"
std::string text_of(std::vector<Step> const& steps)
{
    std::string text;
    for (Step const& step : steps) {
        text += text.empty() ? "" : " ";
        switch (step.kind) {
        case StepKind::run:
            text += step.ns == forever_ns ? "r.." : fmt::format("r{}", step.ns);
            break;
        case StepKind::sleep:
            text += fmt::format("s{}+{}", step.ns, step.target);
            break;
        case StepKind::wait:
            text += fmt::format("w+{}", step.target);
            break;
        case StepKind::notify:
            text += fmt::format("n{}.{}", step.target >> 16, step.target & 0xffff);
            break;
        }
    }
    return text;
}

TEST(Replay, LeavesOutWhatThePolicyDid)
{
    Sample sample;
    sample.change(0, 1000, idle, 0, State::runnable, State::running)
        .change(0, 2000, 1, 0, State::blocked, State::runnable)
        .change(0, 2007, 1, 0, State::runnable, State::running) // a decision took 7
        .change(0, 2100, 1, 0, State::running, State::runnable) // preempted after 93...
        .change(0, 2101, 2, 0, State::runnable, State::running)
        .change(0, 2900, 2, 0, State::running, State::runnable)
        .change(0, 2901, 1, 0, State::runnable, State::running)
        .change(0, 2950, 1, 0, State::running, State::offline) // parked after 49 more
        .change(1, 3000, 1, 0, State::offline, State::runnable)
        .change(0, 3001, 1, 0, State::runnable, State::running)
        .change(0, 3011, 1, 0, State::running, State::blocked) // and 10
        .change(0, 3012, 2, 0, State::runnable, State::running)
        .change(0, 9000, 2, 0, State::running, State::runnable);
    Recording const found{recording_of(sample.file())};
    EXPECT_EQ(text_of(found.vcpus.at(0x10000).steps), "s1000+0 r152");
    EXPECT_EQ(text_of(found.vcpus.at(0x20000).steps), "r6787 r..");
    EXPECT_EQ(found.duration_ns, 8000u);
    EXPECT_FALSE(found.vcpus.contains(sched::trace::pack_vcpu(idle, 0)));
}

// d1v0 passes a token to d1v1 on another pCPU; d2v0 wakes by its timer while d1v0 happens to run there.
TEST(Replay, TellsNotificationsFromInterrupts)
{
    Sample sample;
    sample.change(0, 1000, 1, 0, State::runnable, State::running)
        .change(1, 1000, 1, 1, State::runnable, State::running)
        .change(1, 1500, 1, 1, State::running, State::blocked)
        .change(1, 1501, idle, 1, State::runnable, State::running)
        .change(0, 2000, 1, 1, State::blocked, State::runnable)
        .change(1, 2030, 1, 1, State::runnable, State::running)
        .change(0, 2500, 1, 0, State::running, State::runnable)
        .change(0, 2501, 2, 0, State::runnable, State::running)
        .change(0, 2600, 2, 0, State::running, State::blocked)
        .change(0, 2601, 1, 0, State::runnable, State::running)
        .change(0, 100'000, 2, 0, State::blocked, State::runnable)
        .change(0, 200'000, 1, 0, State::running, State::blocked)
        .change(0, 200'001, 2, 0, State::runnable, State::running)
        .change(0, 200'100, 2, 0, State::running, State::blocked);
    Recording const found{recording_of(sample.file())};
    EXPECT_EQ(found.notifications, 1u);
    EXPECT_EQ(text_of(found.vcpus.at(0x10001).steps), "r500 w+30 r198070 r..");
    EXPECT_EQ(text_of(found.vcpus.at(0x10000).steps), "r1000 n1.1 r197899");
    EXPECT_EQ(text_of(found.vcpus.at(0x20000).steps), "r99 s97400+0 r99");
    EXPECT_EQ(found.ipi_ns, 30u);
    EXPECT_EQ(found.vcpus.at(0x10001).first_pcpu, 1u);
}

TEST(Replay, WhoBlocksAtOnceAfterAWakeUpBesideItHasNotified)
{
    Sample sample;
    std::uint64_t t{1000};
    sample.change(0, t, 1, 0, State::runnable, State::running);
    for (unsigned round = 0; round < 3; ++round, t += 1000)
        sample.change(0, t + 100, 1, 1, State::blocked, State::runnable)
            .change(0, t + 110, 1, 0, State::running, State::blocked)
            .change(0, t + 111, 1, 1, State::runnable, State::running)
            .change(0, t + 500, 1, 0, State::blocked, State::runnable)
            .change(0, t + 510, 1, 1, State::running, State::blocked)
            .change(0, t + 511, 1, 0, State::runnable, State::running);
    Recording const found{recording_of(sample.file())};
    EXPECT_EQ(text_of(found.vcpus.at(0x10000).steps), "r100 n1.1 r10 w+0 r589 n1.1 r10 w+0 r589 n1.1 r10 w+0");
    EXPECT_EQ(text_of(found.vcpus.at(0x10001).steps), "w+0 r389 n1.0 r10 w+0 r389 n1.0 r10 w+0 r389 n1.0 r10");
}

Record event(sample::Event event, std::uint64_t stamp, std::initializer_list<std::uint32_t> words)
{
    return sample::make(static_cast<std::uint32_t>(event), stamp, words);
}

// d2v0 burns; d1v0 wakes up by its timer, for which its pCPU decides only 3 ms later; then 1 ms later, against it; then
// nobody is asked.
TEST(Replay, AWakeUpTakesUntilItsPcpuDecides)
{
    using enum sample::Event;
    Sample sample;
    sample.change(0, 1000, 1, 0, State::runnable, State::running)
        .change(0, 2000, 1, 0, State::running, State::blocked)
        .change(0, 2001, 2, 0, State::runnable, State::running)
        .change(0, 10'000, 1, 0, State::blocked, State::runnable)
        .put(0, event(tickle, 10'001, {0}))
        .put(0, event(schedule, 3'009'990, {0}))
        .change(0, 3'009'999, 2, 0, State::running, State::runnable)
        .change(0, 3'010'000, 1, 0, State::runnable, State::running)
        .change(0, 3'020'000, 1, 0, State::running, State::blocked)
        .change(0, 3'020'001, 2, 0, State::runnable, State::running)
        .change(0, 4'000'000, 1, 0, State::blocked, State::runnable)
        .put(0, event(tickle, 4'000'001, {0}))
        .put(0, event(schedule, 5'000'000, {0}))
        .resume(0, 5'000'001, 2, 0)
        .put(0, event(schedule, 5'500'000, {0}))
        .change(0, 5'500'001, 2, 0, State::running, State::runnable)
        .change(0, 5'500'002, 1, 0, State::runnable, State::running)
        .change(0, 5'600'000, 1, 0, State::running, State::blocked)
        .change(0, 5'600'001, 2, 0, State::runnable, State::running)
        .change(0, 6'000'000, 1, 0, State::blocked, State::runnable)
        .put(0, event(schedule, 6'000'100, {0}))
        .change(0, 6'000'101, 2, 0, State::running, State::runnable)
        .change(0, 6'000'102, 1, 0, State::runnable, State::running)
        .change(0, 6'100'000, 1, 0, State::running, State::blocked);
    Recording const found{recording_of(sample.file())};
    EXPECT_EQ(text_of(found.vcpus.at(0x10000).steps),
              "r1000 s8000+3000000 r10000 s980000+1000000 r99998 s400000+0 r99898");
}

// Partners pass a token over 8 times. Then the timer of d1v1 fires on a pCPU that it has left, where d2v0 runs.
TEST(Replay, WhoRunsWhereATimerWasLeftHasNotNotified)
{
    Sample sample;
    std::uint64_t t{1000};
    sample.change(0, t, 1, 0, State::runnable, State::running)
        .change(1, t, 1, 1, State::runnable, State::running)
        .change(2, t, 2, 0, State::runnable, State::running);
    constexpr unsigned rounds = 8;
    for (unsigned round = 0; round <= rounds; ++round, t += 1000)
        sample.change(1, t + 100, 1, 1, State::running, State::blocked)
            .change(1, t + 101, idle, 1, State::runnable, State::running)
            .change(round < rounds ? 0 : 2, t + 500, 1, 1, State::blocked, State::runnable)
            .change(1, t + 510, 1, 1, State::runnable, State::running);
    Recording const found{recording_of(sample.file())};
    EXPECT_EQ(found.notifications, rounds);
    EXPECT_EQ(text_of(found.vcpus.at(0x20000).steps), "r8510 r..");
    EXPECT_EQ(found.vcpus.at(0x10001).steps[2 * rounds + 1].kind, StepKind::sleep);
}

// d1v0 is served after 1 us, and pCPU 1 executes d1v1 only then; later d1v0, awake, waits for d2v0 on the other pCPU.
TEST(Replay, CountsWhatAHostThatTakesTurnsExecuted)
{
    Sample sample;
    sample.put(1, sample::make(static_cast<std::uint32_t>(sample::Event::tickle), std::nullopt, {1}))
        .change(1, 1000, 1, 1, State::runnable, State::running)
        .change(0, 1001, 1, 0, State::runnable, State::running)
        .change(0, 2001, 1, 0, State::running, State::blocked)
        .change(0, 2002, idle, 0, State::runnable, State::running)
        .change(1, 3002, 1, 1, State::running, State::blocked)
        .change(1, 3003, 2, 0, State::runnable, State::running)
        .change(0, 5000, 1, 0, State::blocked, State::runnable)
        .change(1, 6000, 2, 0, State::running, State::blocked)
        .change(1, 6001, idle, 1, State::runnable, State::running)
        .change(0, 6011, 1, 0, State::runnable, State::running)
        .change(0, 6021, 1, 0, State::running, State::blocked);
    Recording const time{recording_of(sample.file())};
    EXPECT_EQ(text_of(time.vcpus.at(0x10000).steps), "r1000 s2999+1011 r10");
    EXPECT_EQ(text_of(time.vcpus.at(0x10001).steps), "r2002");
    Recording const turns{recording_of(sample.file(), ~0ull, HostModel{.pcpus = HostPcpus::by_turns})};
    EXPECT_EQ(text_of(turns.vcpus.at(0x10000).steps), "r1000 s2999+510 r10");
    EXPECT_EQ(text_of(turns.vcpus.at(0x10001).steps), "r1001");
    Recording const rounds{recording_of(sample.file(), ~0ull, HostModel{.pcpus = HostPcpus::by_turns, .turn = 200})};
    EXPECT_EQ(text_of(rounds.vcpus.at(0x10001).steps), "r1427")
        << "while pCPU 0 wrote nothing for 1000, pCPU 1 had three of seven turns";
    auto const is_by_turns = [](Recording const& of) {
        return parse_scenario(replay_scenario(of, {}, 2, {.name = "r", .policy = "credit"}), "r").machine.by_turns;
    };
    EXPECT_TRUE(is_by_turns(turns));
    EXPECT_FALSE(is_by_turns(time));
}

TEST(Replay, ScenarioHasTheFactsAffinities)
{
    Sample sample;
    sample.change(0, 1000, 1, 0, State::runnable, State::running)
        .change(3, 2000, 1, 2, State::runnable, State::running);
    TraceFacts facts;
    facts.node_of = {0, 0, 1, 1};
    facts.names[1] = "a \"name\"";
    facts.domains[1] = {.home = {{1}}, .hard = {}};
    facts.vcpus[{1, 2}] = {.home = {{0}}, .hard = {{1, 2}}};
    Recording const recording{recording_of(sample.file())};
    auto const made = [&](ReplayAffinity affinity) {
        return parse_scenario(
            replay_scenario(recording, facts, 4, {.name = "r", .policy = "credit", .affinity = affinity}), "r");
    };
    Scenario const soft{made(ReplayAffinity::facts)};
    ASSERT_EQ(soft.domains.size(), 1u);
    EXPECT_EQ(soft.domains[0].name, "a \"name\"");
    EXPECT_EQ(soft.domains[0].node_affinity, NodeList{1});
    ASSERT_EQ(soft.domains[0].vcpus.size(), 3u);
    EXPECT_TRUE(soft.domains[0].vcpus[1].workload.steps.empty());
    EXPECT_EQ(soft.domains[0].vcpus[2].hard_affinity, (PcpuList{1, 2}));
    EXPECT_EQ(soft.domains[0].vcpus[2].soft_affinity, (PcpuList{0, 1}));
    EXPECT_EQ(soft.domains[0].vcpus[2].initial_pcpu, 3);
    Scenario const none{made(ReplayAffinity::none)};
    EXPECT_FALSE(none.domains[0].node_affinity);
    EXPECT_EQ(none.domains[0].preferred_nodes, NodeList{1});
    EXPECT_FALSE(none.domains[0].vcpus[2].hard_affinity);
    Scenario const hard{made(ReplayAffinity::hard)};
    EXPECT_EQ(hard.domains[0].vcpus[0].hard_affinity, (PcpuList{2, 3}));
    EXPECT_EQ(hard.domains[0].vcpus[2].hard_affinity, PcpuList{1});
}

TEST(Replay, RefusesATraceWithoutVcpus)
{
    EXPECT_THROW(static_cast<void>(replay_scenario({}, {}, 1, {.name = "empty", .policy = "credit"})), Error);
}

// The trace of the replay, simulated under credit.
// How the host ran its pCPUs is what the trace tells.
SimulatedTrace replayed(Bytes const& file, TraceFacts const& facts)
{
    TraceStream stream{file};
    auto const pcpus = static_cast<std::uint32_t>(stream.pcpus().size());
    std::filesystem::path const scenario{std::filesystem::temp_directory_path() /
                                         fmt::format("nv-replay-test-{}.json", ::getpid())};
    Recording const recording{recording_of(file, facts.run ? facts.run->last : ~0ull, std::nullopt)};
    write_text(scenario, replay_scenario(recording, facts, pcpus, {.name = "replay", .policy = "credit"}));
    SimulatedTrace trace{simulated_trace(scenario, {})};
    std::filesystem::remove(scenario);
    return trace;
}

struct Shares {
    double home, p50, p99, switches, run;
};

Shares shares_of(TraceFigures const& figures)
{
    GuestTotals const guests{figures.guests()};
    WaitSamples waits;
    for (VcpuFigures const& vcpu : figures.vcpus)
        waits.add(vcpu.wakes);
    Waits const all{Waits::of(waits)};
    return {.home = static_cast<double>(guests.home) / static_cast<double>(std::max<std::uint64_t>(guests.placed, 1)),
            .p50 = static_cast<double>(all.p50),
            .p99 = static_cast<double>(all.p99),
            .switches = static_cast<double>(figures.switches) / static_cast<double>(figures.duration()),
            .run = static_cast<double>(guests.run) / static_cast<double>(figures.duration())};
}

void expect_near(double ours, double theirs, double part, char const* what)
{
    constexpr double grain = 20; // ns: in a simulation stamps go on by one a record
    EXPECT_NEAR(ours, theirs, part * theirs + (theirs > 1 ? grain : 0)) << what;
}

TEST(Replay, OfASimulationGivesItsFigures)
{
    for (char const* const name : {"two-nodes-nodeaff", "two-nodes-pinned"}) {
        SCOPED_TRACE(name);
        SimulatedTrace const first{simulated_trace(repository_root() + "/tests/scenarios/" + name + ".json",
                                                   {.settings = {"duration_ns=1000000000"}})};
        Shares const theirs{shares_of(figures_of(first.bytes, first.facts))};
        SimulatedTrace const second{replayed(first.bytes, first.facts)};
        Shares const ours{shares_of(figures_of(second.bytes, first.facts))};
        expect_near(ours.home, theirs.home, 0.05, "home");
        expect_near(ours.p50, theirs.p50, 0.05, "p50");
        expect_near(ours.p99, theirs.p99, 0.25, "p99");
        expect_near(ours.switches, theirs.switches, 0.05, "switches");
        expect_near(ours.run, theirs.run, 0.02, "run");
    }
}

// Recorded under Xen 4.17; ours is the credit of 4.3. docs/traces.md has the figures and says what differs.
TEST(Replay, OfRealTracesComesCloseToTheirFigures)
{
    for (char const* const name : {"light-soft", "over-soft", "skew-soft", "pp-soft"}) {
        SCOPED_TRACE(name);
        std::string const path{repository_root() + "/tests/traces/" + name};
        Bytes const file{unpacked(path + ".xentrace.xz")};
        TraceFacts const facts{load_trace_facts(path + ".facts.json")};
        Shares const theirs{shares_of(figures_of(file, facts))};
        Shares const ours{shares_of(figures_of(replayed(file, facts).bytes, facts))};
        expect_near(ours.home, theirs.home, 0.1, "home");
        expect_near(ours.p50, theirs.p50, 0.1, "p50");
    }
}

} // namespace
} // namespace hv::nv
