// The core under a policy that does as it is told: where a vCPU is queued, how it moves, what happens when a pCPU
// leaves.
#include "sched/core.hpp"

#include "tests/unit/sched/core_fixture.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hv::sched {
namespace {

using test::cpu;
using test::cpus;

class MovingTest : public test::CoreTest {};

// --- placing at wake-up

TEST_F(MovingTest, AWakingVcpuIsQueuedWhereThePolicyWishesOnceBothLocksAreHeld)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    block(vcpu);
    puppet.wakes = 0;
    puppet.places = {cpu(2), cpu(2)};
    sim.wake(vcpu, 0);
    EXPECT_EQ(puppet.wakes, 2u) << "asked again with both locks held";
    EXPECT_EQ(puppet.queued_on.back(), cpu(2));
    EXPECT_EQ(vcpu.processor(), cpu(2));
    EXPECT_EQ(&sim.current(2), &vcpu);
}

TEST_F(MovingTest, AWishThatIsTakenBackWithBothLocksHeldLeavesTheVcpuAtHome)
{
    Vcpu& vcpu{sim.vcpu(1)};
    sim.start(vcpu);
    block(vcpu);
    puppet.wakes = 0;
    puppet.places = {cpu(0), cpu(1)};
    sim.wake(vcpu, 0);
    EXPECT_EQ(vcpu.processor(), cpu(1));
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(MovingTest, WishesThatDifferEachTimeEndAtHomeAfterThreeRounds)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    block(vcpu);
    puppet.wakes = 0;
    puppet.places = {cpu(1), cpu(2), cpu(1), cpu(2), cpu(1)};
    sim.wake(vcpu, 0);
    EXPECT_EQ(puppet.wakes, 4u);
    EXPECT_EQ(vcpu.processor(), cpu(0));
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST_F(MovingTest, AVcpuWhoseContextIsNotSavedIsQueuedAtHomeWhateverThePolicyWishes)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.hold_contexts();
    block(vcpu);
    ASSERT_TRUE(vcpu.is_running());
    puppet.wakes = 0;
    puppet.places = {cpu(2), cpu(2)};
    sim.on(1, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().unblock(self, vcpu, now));
        EXPECT_EQ(vcpu.processor(), cpu(0));
        sim.core().context_saved(cpu(0), vcpu, now); // pCPU 0 is done with it before its next decision.
    });
    EXPECT_TRUE(sim.runs(vcpu));
    EXPECT_TRUE(sim.idles(2));
}

TEST_F(MovingTest, TheCurrentVcpuThatIsPushedFindsItselfAnotherPcpu)
{
    Vcpu& pushed{sim.vcpu(0)};
    Vcpu& waker{sim.vcpu(0)};
    sim.start(pushed);
    puppet.pushes_current = true;
    puppet.picks = cpu(1);
    sim.start(waker);
    EXPECT_EQ(&sim.current(0), &waker);
    EXPECT_EQ(&sim.current(1), &pushed);
    EXPECT_FALSE(pushed.has_flag(PauseFlag::migrating));
}

// --- hard affinity

TEST_F(MovingTest, AnAffinityChangeMovesARunningVcpu)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    EXPECT_TRUE(set_hard(vcpu, cpus({1})));
    EXPECT_EQ(&sim.current(1), &vcpu);
    EXPECT_TRUE(sim.idles(0));
    EXPECT_EQ(sim.heard_of(trace::Event::migrate).size(), 1u);
}

TEST_F(MovingTest, AnAffinityChangeMovesAQueuedVcpu)
{
    Vcpu& running{sim.vcpu(0)};
    Vcpu& waiting{sim.vcpu(0)};
    sim.start(running);
    sim.start(waiting);
    EXPECT_TRUE(set_hard(waiting, cpus({2})));
    EXPECT_EQ(&sim.current(2), &waiting);
    EXPECT_TRUE(sim.runs(running));
}

TEST_F(MovingTest, AnAffinityChangeMovesASleepingVcpuWithoutWakingIt)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    block(vcpu);
    EXPECT_TRUE(set_hard(vcpu, cpus({1})));
    EXPECT_EQ(vcpu.processor(), cpu(1));
    EXPECT_TRUE(sim.idles(1));
    EXPECT_TRUE(vcpu.has_flag(PauseFlag::blocked));
    sim.wake(vcpu, 0);
    EXPECT_EQ(&sim.current(1), &vcpu);
}

TEST_F(MovingTest, AnAffinityChangeAlwaysPlacesAnew)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    unsigned const picked{puppet.picked};
    EXPECT_TRUE(set_hard(vcpu, cpus({0, 1}))); // The pCPU where it runs is allowed.
    EXPECT_GT(puppet.picked, picked);
    EXPECT_TRUE(sim.runs(vcpu));
    EXPECT_EQ(vcpu.processor(), cpu(0));
    puppet.picks = cpu(1);
    EXPECT_TRUE(set_hard(vcpu, cpus({0, 1, 2}))); // The wider mask may hold a better place.
    EXPECT_EQ(&sim.current(1), &vcpu);
}

TEST_F(MovingTest, AnAffinityWithoutAPcpuOfThePoolIsRefusedAndChangesNothing)
{
    Vcpu& vcpu{sim.vcpu(0)};
    EXPECT_FALSE(set_hard(vcpu, CpuMask{}));
    EXPECT_FALSE(set_hard(vcpu, cpus({3, 4000})));
    EXPECT_EQ(vcpu.hard_affinity, CpuMask::first_n(3));
}

TEST_F(MovingTest, AMigrationWaitsUntilTheContextIsSaved)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.hold_contexts();
    EXPECT_TRUE(set_hard(vcpu, cpus({1})));
    EXPECT_TRUE(sim.idles(0));
    EXPECT_TRUE(sim.idles(1)) << "nobody may use a context that is still being saved";
    EXPECT_EQ(vcpu.processor(), cpu(0));
    sim.save_contexts();
    EXPECT_EQ(&sim.current(1), &vcpu);
}

// --- pCPUs that leave, and idle work

TEST_F(MovingTest, APcpuThatLeavesSendsItsVcpusAwayOnceItHasRescheduled)
{
    Vcpu& running{sim.vcpu(0)};
    Vcpu& waiting{sim.vcpu(0)};
    sim.start(running);
    sim.start(waiting);
    sim.on(1, [&](CpuId self, Instant now) {
        auto const left = sim.core().pcpu_down(self, cpu(0), now);
        ASSERT_FALSE(left.ok());
        EXPECT_EQ(left.error(), CoreError::busy);
    });
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().pcpu_down(self, cpu(0), now).ok()); });
    EXPECT_EQ(sim.pool().members(), cpus({1, 2}));
    for (Vcpu* vcpu : {&running, &waiting}) {
        EXPECT_NE(vcpu->processor(), cpu(0));
        EXPECT_TRUE(vcpu->is_runnable());
    }
}

TEST_F(MovingTest, AVcpuThatHasNoPcpuLeftMayRunAnywhere)
{
    Vcpu& vcpu{sim.vcpu(0)};
    EXPECT_TRUE(set_hard(vcpu, cpus({0})));
    sim.start(vcpu, true);
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().pcpu_down(self, cpu(0), now).ok()); });
    EXPECT_EQ(vcpu.hard_affinity, CpuMask::first_n(3));
    EXPECT_NE(vcpu.processor(), cpu(0));
}

TEST_F(MovingTest, TheLastPcpuStays)
{
    for (unsigned const leaver : {0u, 1u})
        sim.on(2, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().pcpu_down(self, cpu(leaver), now).ok()); });
    sim.on(2, [&](CpuId self, Instant now) {
        EXPECT_EQ(sim.core().pcpu_down(self, cpu(2), now).error(), CoreError::last_pcpu);
    });
    EXPECT_EQ(sim.pool().members(), cpus({2}));
}

TEST_F(MovingTest, APcpuWithIdleWorkRunsNothingElseUntilItIsDone)
{
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.on(1, [&](CpuId, Instant) { sim.core().set_idle_work(cpu(0), true); });
    EXPECT_TRUE(sim.idles(0));
    sim.reschedule(0);
    EXPECT_TRUE(sim.idles(0));
    EXPECT_EQ(vcpu.run_state.state, RunState::runnable);
    sim.on(1, [&](CpuId, Instant) { sim.core().set_idle_work(cpu(0), false); });
    EXPECT_TRUE(sim.runs(vcpu));
}

} // namespace
} // namespace hv::sched
