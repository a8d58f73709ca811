#include "tools/nv/trace_check.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::idle;
using sample::make;
using sample::Sample;
using sample::State;

std::vector<Breach> check(Bytes const& file, bool cut_out = false)
{
    Losses losses;
    TraceStream first{file};
    while (std::optional<Record> const record = first.next())
        losses.note(*record);
    Checker checker{losses, cut_out};
    TraceStream stream{file};
    while (std::optional<Record> const record = stream.next())
        checker.record(*record);
    checker.finish();
    return checker.breaches();
}

// The rules broken, in the order of the trace.
std::string rules(Sample const& sample, bool cut_out = false)
{
    std::string text;
    for (Breach const& breach : check(sample.file(), cut_out))
        text += fmt::format("{}{}", text.empty() ? "" : " ", breach.rule);
    return text;
}

// pCPU 0 runs d1v0, pCPU 1 idles.
Sample begun()
{
    Sample sample;
    sample.resume(0, 10, 1, 0).change(1, 11, idle, 1, State::runnable, State::running);
    return sample;
}

// Gives pCPU `pcpu` from one vCPU to another.
void give(Sample& sample, std::uint32_t pcpu, std::uint64_t stamp, std::uint16_t from, std::uint16_t to, State left)
{
    auto const vcpu = [&](std::uint16_t domain) { return static_cast<std::uint16_t>(domain == idle ? pcpu : 0); };
    sample.change(pcpu, stamp, from, vcpu(from), State::running, left);
    sample.change(pcpu, stamp + 1, to, vcpu(to), State::runnable, State::running);
}

void close(Sample& sample, std::uint16_t on_0, std::uint16_t on_1)
{
    sample.resume(0, 1000, on_0, 0).resume(1, 1001, on_1, on_1 == idle ? 1 : 0);
}

TEST(TraceCheck, FindsNothingInATraceThatKeepsTheRules)
{
    Sample sample{begun()};
    sample.change(1, 20, 2, 0, State::offline, State::runnable);
    give(sample, 1, 30, idle, 2, State::runnable);
    give(sample, 1, 40, 2, idle, State::blocked);
    sample.change(0, 50, 2, 0, State::blocked, State::runnable);
    give(sample, 0, 60, 1, 2, State::runnable);
    give(sample, 1, 70, idle, 1, State::runnable);
    sample.put(0, make(0x22e01, 80, {1, 2, 3}));
    close(sample, 2, 1);
    EXPECT_EQ(rules(sample), "");
}

TEST(TraceCheck, AsksEachPcpuToBeginWithWhoRunsThere)
{
    Sample sample;
    sample.change(0, 10, 1, 0, State::runnable, State::running).resume(0, 20, 1, 0);
    EXPECT_EQ(rules(sample), "R1");
    EXPECT_EQ(rules(sample, true), "");
}

TEST(TraceCheck, AsksEachPcpuToCloseWhatRuns)
{
    Sample sample{begun()};
    sample.resume(0, 1000, 1, 0);
    EXPECT_EQ(rules(sample), "R5");
    EXPECT_EQ(rules(sample, true), "");
    sample.change(1, 1001, idle, 1, State::running, State::offline);
    EXPECT_EQ(rules(sample), "") << "going offline closes too";
}

TEST(TraceCheck, WantsDepartureAndArrivalSideBySide)
{
    Sample sample{begun()};
    sample.change(0, 20, 1, 0, State::running, State::runnable);
    sample.put(0, make(0x22006, 21, {1}));
    sample.change(0, 22, idle, 0, State::runnable, State::running);
    sample.resume(0, 1000, idle, 0).resume(1, 1001, idle, 1);
    EXPECT_EQ(rules(sample), "R2");
}

TEST(TraceCheck, NoticesAnArrivalWithoutDeparture)
{
    Sample sample{begun()};
    sample.change(0, 20, 2, 0, State::runnable, State::running);
    close(sample, 2, idle);
    EXPECT_EQ(rules(sample), "R2");
}

TEST(TraceCheck, NoticesAStampThatGoesBackward)
{
    Sample sample{begun()};
    sample.put(0, make(0x22006, 30, {1})).put(0, make(0x22006, 29, {1}));
    close(sample, 1, idle);
    EXPECT_EQ(rules(sample), "R2");
}

TEST(TraceCheck, NoticesARunStampedBeforeItsWake)
{
    Sample sample{begun()};
    give(sample, 0, 20, 1, idle, State::blocked);
    give(sample, 1, 30, idle, 1, State::runnable);
    sample.change(0, 40, 1, 0, State::blocked, State::runnable);
    sample.resume(0, 1000, idle, 0);
    EXPECT_EQ(rules(sample, true), "R3 R3") << "the run, and then the wake of what runs";
}

TEST(TraceCheck, NoticesAPreemptionAndAResumeOfOneStamp)
{
    Sample sample{begun()};
    give(sample, 0, 20, 1, 2, State::runnable);
    sample.change(1, 19, idle, 1, State::running, State::runnable);
    sample.change(1, 20, 1, 0, State::runnable, State::running);
    close(sample, 2, 1);
    EXPECT_EQ(rules(sample), "R3");
}

TEST(TraceCheck, NoticesALifeThatDoesNotBeginOffline)
{
    Sample sample{begun()};
    give(sample, 0, 20, 1, idle, State::offline);
    sample.change(1, 30, 1, 0, State::blocked, State::runnable);
    close(sample, idle, idle);
    EXPECT_EQ(rules(sample), "R4");
}

TEST(TraceCheck, NoticesADomainThatIsRemovedAlive)
{
    Sample sample{begun()};
    sample.put(1, make(0x28002, 30, {1}));
    close(sample, 1, idle);
    EXPECT_EQ(rules(sample), "R4");
}

TEST(TraceCheck, NoticesTheIdleVcpuOfAnotherPcpu)
{
    Sample sample;
    sample.resume(0, 10, idle, 1);
    EXPECT_EQ(rules(sample), "R6");
}

TEST(TraceCheck, NoticesTransitionsThatDoNotExist)
{
    for (auto const& [from, to] : {std::pair{State::blocked, State::running},
                                   {State::runnable, State::blocked},
                                   {State::running, State::running}}) {
        Sample sample;
        sample.change(0, 10, 1, 0, from, to);
        EXPECT_EQ(rules(sample, true), "transition");
    }
}

TEST(TraceCheck, NoticesRunStatesWithoutStampAndAFirstStampOfZero)
{
    Sample sample{begun()};
    sample.put(0, make(0x21002, std::nullopt, {1 << 16}));
    close(sample, 1, idle);
    EXPECT_EQ(rules(sample), "stamp");
    EXPECT_EQ(rules(Sample{}.resume(0, 0, 1, 0)), "stamp");
}

TEST(TraceCheck, NoticesContinuationsOfWhatDoesNotRunThere)
{
    Sample sample{begun()};
    sample.resume(1, 20, 1, 0);
    EXPECT_EQ(rules(sample, true), "continue");
    sample = begun();
    sample.resume(0, 20, 9, 0);
    EXPECT_EQ(rules(sample, true), "continue");
}

TEST(TraceCheck, NoticesEventsThatXenalyzeGivesUpOn)
{
    for (std::uint32_t const event : {0x0800'1001u, 0x1f032u, 0x21007u, 0x3'1001u})
        EXPECT_EQ(rules(begun().put(0, make(event, 20, {1})), true), "class") << event;
    for (std::uint32_t const event : {0x1f100u, 0x22e01u, 0x0080'4001u})
        EXPECT_EQ(rules(begun().put(0, make(event, 20, {1})), true), "") << event;
    EXPECT_EQ(rules(begun().put(1, make(0x0020'100d, 20, {1})), true), "idle");
    EXPECT_EQ(rules(Sample{}.resume(0, 10, 1, 256)), "limit");
    EXPECT_EQ(rules(Sample{}.resume(256, 10, 1, 0)), "limit");
}

TEST(TraceCheck, NoticesLossesThatAreToldWrongly)
{
    EXPECT_EQ(rules(begun().put(0, make(0x1f001, 20, {1, 1})), true), "lost");
    EXPECT_EQ(rules(begun().put(0, make(0x1f001, 20, {1, 1, 20, 0})), true), "lost") << "begins when it ends";
    EXPECT_EQ(rules(begun().put(1, make(0x1f001, 20, {1, 1, 15, 0})), true), "lost") << "d1v0 runs on pCPU 0";
}

TEST(TraceCheck, ExpectsNothingOfWhatHappenedDuringALoss)
{
    // pCPU 0 loses that d1v0 blocks and d2v0 arrives; meanwhile pCPU 1 wakes d1v0 and runs it.
    Sample sample{begun()};
    sample.change(1, 30, 1, 0, State::blocked, State::runnable);
    give(sample, 1, 40, idle, 1, State::runnable);
    EXPECT_EQ(rules(sample, true), "R3");
    sample.put(0, make(0x1f001, 50, {2, 2, 20, 0}));
    EXPECT_EQ(rules(sample, true), "");
    sample.change(0, 60, 3, 0, State::running, State::blocked);
    EXPECT_EQ(rules(sample, true), "R2") << "d2v0 runs there since the loss";
}

TEST(TraceCheck, TakesALossAtTheEndForWhatCloses)
{
    Sample sample{begun()};
    sample.resume(1, 100, idle, 1).put(0, make(0x1f001, 50, {2, 2, 20, 0}));
    EXPECT_EQ(rules(sample), "");
    sample.change(0, 60, 2, 0, State::running, State::blocked).change(0, 61, 3, 0, State::runnable, State::running);
    EXPECT_EQ(rules(sample), "R5");
}

TEST(TraceCheck, NamesThePlaceInTheFile)
{
    Sample sample{begun()};
    sample.resume(0, 20, 9, 0);
    std::vector<Breach> const breaches{check(sample.file(), true)};
    ASSERT_EQ(breaches.size(), 1u);
    EXPECT_EQ(breaches[0].offset, 12u + 16u);
    EXPECT_EQ(breaches[0].what, "d9v0 continues on pCPU 0, where d1v0 runs since byte 12");
}

} // namespace
} // namespace hv::nv
