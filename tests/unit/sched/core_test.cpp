// The core under a policy that does as it is told: run states, waking and sleeping, pausing, events.
#include "sched/core.hpp"

#include "tests/unit/sched/core_fixture.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace hv::sched {
namespace {

using test::CoreTest;
using test::cpu;
using test::ms;

// --- run states

TEST_F(CoreTest, AVcpuIsBornOfflineAndRunsOnceStarted)
{
    Vcpu& vcpu{sim.vcpu(1)};
    EXPECT_EQ(vcpu.run_state.state, RunState::offline);
    EXPECT_TRUE(vcpu.has_flag(PauseFlag::down));
    sim.run(ms(1));
    EXPECT_TRUE(sim.idles(1));
    sim.start(vcpu);
    EXPECT_EQ(vcpu.run_state.state, RunState::running);
    EXPECT_EQ(&sim.current(1), &vcpu);
    EXPECT_EQ(sim.spent(vcpu, RunState::offline), ms(1));
}

TEST_F(CoreTest, TimeIsAddedToTheStateThatEnds)
{
    Vcpu& a{sim.vcpu(0)};
    Vcpu& b{sim.vcpu(0)};
    sim.start(a);
    sim.start(b); // waits
    sim.run(ms(3));
    block(a);
    sim.run(ms(4));
    sim.wake(a, 1); // behind b: the puppet has no slices
    EXPECT_EQ(sim.spent(a, RunState::running), ms(3));
    EXPECT_EQ(sim.spent(a, RunState::blocked), ms(4));
    EXPECT_EQ(sim.spent(b, RunState::runnable), ms(3));
    EXPECT_EQ(sim.spent(b, RunState::running), ms(4));
    EXPECT_EQ(b.run_state.entered, Instant::at(ms(3)));
}

TEST_F(CoreTest, AClockThatRunsBackwardsAddsNothing)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.run(ms(5));
    block(vcpu);
    sim.on(0, [&](CpuId self, Instant) { EXPECT_TRUE(sim.core().unblock(self, vcpu, Instant::at(ms(2)))); });
    EXPECT_EQ(vcpu.run_state.spent[static_cast<unsigned>(RunState::blocked)], Duration{});
    EXPECT_EQ(sim.spent(vcpu, RunState::running), ms(5));
}

TEST_F(CoreTest, AnIdlePcpuRunsItsIdleVcpu)
{
    Vcpu& idle{*sim.pool().pcpu(cpu(2)).idle};
    EXPECT_EQ(&sim.current(2), &idle);
    EXPECT_TRUE(idle.is_idle());
    EXPECT_EQ(idle.index, VcpuIndex{2});
    sim.run(ms(7));
    EXPECT_EQ(sim.spent(idle, RunState::running), ms(7));
}

// --- wake and sleep

TEST_F(CoreTest, WakingABlockedVcpuQueuesItOnItsOwnPcpu)
{
    Vcpu& vcpu{sim.vcpu(1)};
    sim.start(vcpu);
    block(vcpu);
    EXPECT_EQ(vcpu.run_state.state, RunState::blocked);
    puppet.queued_on.clear();
    sim.wake(vcpu, 2);
    EXPECT_EQ(puppet.queued_on, std::vector{cpu(1)});
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(CoreTest, WakingAQueuedVcpuChangesNothing)
{
    Vcpu& running{sim.vcpu(0)};
    Vcpu& waiting{sim.vcpu(0)};
    sim.start(running);
    sim.start(waiting);
    auto const queued = puppet.queued_on.size();
    sim.on(1, [&](CpuId self, Instant now) { sim.core().wake(self, waiting, now); });
    EXPECT_EQ(puppet.queued_on.size(), queued);
    EXPECT_EQ(waiting.run_state.state, RunState::runnable);
}

TEST_F(CoreTest, WakingTheCurrentVcpuDoesNotReachThePolicy)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    unsigned const wakes{puppet.wakes};
    sim.on(1, [&](CpuId self, Instant now) { sim.core().wake(self, vcpu, now); });
    EXPECT_EQ(puppet.wakes, wakes);
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(CoreTest, UnblockingWhatIsNotBlockedIsRefused)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_FALSE(sim.core().unblock(self, vcpu, now)); });
}

TEST_F(CoreTest, AVcpuThatSleepsWhileItWaitsLeavesTheQueue)
{
    Vcpu& running{sim.vcpu(0)};
    Vcpu& waiting{sim.vcpu(0)};
    sim.start(running);
    sim.start(waiting);
    pause(waiting);
    EXPECT_EQ(waiting.run_state.state, RunState::offline);
    block(running);
    EXPECT_TRUE(sim.idles(0));
    unpause(waiting);
    EXPECT_TRUE(sim.runs(waiting));
}

TEST_F(CoreTest, SleepDoesNothingIfSomebodyWokeTheVcpuInBetween)
{
    Vcpu& running{sim.vcpu(0)};
    Vcpu& waiting{sim.vcpu(0)};
    sim.start(running);
    sim.start(waiting);
    sim.on(1, [&](CpuId self, Instant now) {
        sim.core().sleep_nosync(self, running, now);
        sim.core().sleep_nosync(self, waiting, now);
    });
    EXPECT_TRUE(sim.runs(running));
    EXPECT_EQ(waiting.run_state.state, RunState::runnable);
}

TEST_F(CoreTest, PausesNest)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    pause(vcpu);
    pause(vcpu);
    EXPECT_TRUE(sim.idles(0));
    EXPECT_EQ(vcpu.run_state.state, RunState::offline);
    unpause(vcpu);
    EXPECT_TRUE(sim.idles(0));
    unpause(vcpu);
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(CoreTest, APausedVcpuThatIsUnblockedGoesOffline)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    block(vcpu);
    pause(vcpu);
    EXPECT_EQ(vcpu.run_state.state, RunState::blocked);
    sim.wake(vcpu, 1);
    EXPECT_EQ(vcpu.run_state.state, RunState::offline);
    unpause(vcpu);
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(CoreTest, AParkedVcpuIsPausedOnceAndUnparkingWakesIt)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.on(1, [&](CpuId self, Instant now) { Parking{sim.core(), self, now}.park(vcpu); });
    EXPECT_EQ(vcpu.pause_count.load(), 1u);
    EXPECT_EQ(vcpu.run_state.state, RunState::offline);
    EXPECT_TRUE(sim.idles(0));
    sim.on(1, [&](CpuId self, Instant now) { Parking{sim.core(), self, now}.unpark(vcpu); });
    EXPECT_EQ(vcpu.pause_count.load(), 0u);
    EXPECT_TRUE(sim.runs(vcpu));
}

using CoreDeathTest = CoreTest;

TEST_F(CoreDeathTest, AnUnpauseWithoutAPauseIsCaught)
{
    Vcpu& vcpu{sim.vcpu(0)};
    EXPECT_DEATH(sim.core().unpause(cpu(0), vcpu, sim.now()), "before > 0");
}

TEST_F(CoreDeathTest, PuttingTheIdleVcpuToSleepIsCaught)
{
    EXPECT_DEATH(sim.core().sleep_nosync(cpu(0), sim.current(0), sim.now()), "is_idle");
    EXPECT_DEATH(sim.core().wake(cpu(0), sim.current(0), sim.now()), "is_idle");
}

// --- events

TEST_F(CoreTest, AnEventThatCameBeforeTheBlockIsNotLost)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.on(1, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().notify(self, vcpu, now));
        EXPECT_FALSE(sim.core().notify(self, vcpu, now)) << "only one can be pending";
    });
    sim.on(0, [&](CpuId self, Instant now) {
        EXPECT_FALSE(sim.core().block(self, vcpu, now));
        EXPECT_FALSE(vcpu.has_flag(PauseFlag::event_pending)) << "it was consumed";
        EXPECT_TRUE(sim.core().block(self, vcpu, now));
    });
    EXPECT_EQ(vcpu.run_state.state, RunState::blocked);
}

TEST_F(CoreTest, AnEventWakesABlockedVcpuAndIsNotPendingAfterwards)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    block(vcpu);
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().notify(self, vcpu, now)); });
    EXPECT_TRUE(sim.runs(vcpu));
    EXPECT_FALSE(vcpu.has_flag(PauseFlag::event_pending));
}

TEST_F(CoreTest, AVcpuMayBeginByWaitingForItsFirstEvent)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu, true);
    EXPECT_TRUE(vcpu.has_flag(PauseFlag::blocked));
    EXPECT_EQ(vcpu.run_state.state, RunState::offline) << "a wake does not change the run state of what is blocked";
    EXPECT_TRUE(sim.idles(0));
    sim.wake(vcpu, 0);
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(CoreTest, YieldReachesThePolicyAndReschedules)
{
    Vcpu& a{sim.vcpu(0)};
    Vcpu& b{sim.vcpu(0)};
    sim.start(a);
    sim.start(b);
    sim.on(0, [&](CpuId self, Instant now) { sim.core().yield(self, a, now); });
    EXPECT_EQ(puppet.yields, 1u);
    EXPECT_TRUE(sim.runs(b));
    EXPECT_EQ(sim.heard_of(trace::Event::yield).size(), 1u);
}

TEST_F(CoreTest, ATimerThatIsNotTheCoresIsLeftToOthers)
{
    EXPECT_TRUE(sim.core().timer(cpu(0), timer::slice, sim.now()));
    EXPECT_FALSE(sim.core().timer(cpu(0), timer::phase, sim.now()));
    EXPECT_FALSE(sim.core().timer(cpu(0), timer::tick, sim.now())) << "a policy without a tick";
    EXPECT_FALSE(sim.core().timer(cpu(0), TimerId{timer::first_vcpu}, sim.now()));
}

} // namespace
} // namespace hv::sched
