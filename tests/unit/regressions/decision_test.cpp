// Faults of the decision on one pCPU and of what it takes from others: yield, rate limit, parameters, stealing.
// docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <algorithm>

namespace hv::sched {
namespace {

using namespace test;

SimOptions without_ratelimit() { return {.params = {{"ratelimit_us", 0}}}; }

// Queued on pCPU 0 with its credit spent.
Vcpu& spent(Sim& sim)
{
    Vcpu& vcpu{sim.vcpu(0)};
    credit_of(vcpu).set_prio(Prio::over);
    sim.start(vcpu);
    return vcpu;
}

TEST(Regression, E06_AYieldLetsExactlyOneWorseVcpuRunAndNeverTheIdleOne)
{
    Sim sim{1, without_ratelimit()};
    Vcpu& yielder{sim.vcpu(0)};
    sim.start(yielder);
    credit_of(yielder).set_prio(Prio::under);
    yield(sim, yielder);
    EXPECT_EQ(&sim.current(0), &yielder) << "the idle vCPU is not better than a yielder";

    Vcpu& first{spent(sim)};
    spent(sim);
    yield(sim, yielder);
    EXPECT_EQ(&sim.current(0), &first);
    block(sim, first);
    EXPECT_EQ(&sim.current(0), &yielder) << "one has passed, the other must wait";
}

TEST(Regression, E22_WakersPreemptARunningVcpuAtMostOncePerRateLimit)
{
    Sim sim{1, {.trace_mask = 0}};
    guest::Guest& hog{sim.hog(sim.domain(), 0)};
    sim.start(hog);
    for (unsigned i = 0; i < 4; ++i)
        sim.start(sim.guest(sim.domain(), 0, periodic(us(200), us(10), us(50) * i)));
    sim.run(ms(2000));
    auto const preemptions = std::ranges::count_if(sim.switches(), [&](auto const& s) { return s.from == &hog.vcpu; });
    EXPECT_LE(preemptions, 2000);
    EXPECT_GT(preemptions, 500);
}

TEST(Regression, E23_ARateLimitOfZeroIsTakenAtStartAndLaterAndMeansNone)
{
    Sim sim{1, without_ratelimit()};
    EXPECT_TRUE(sim.core().set_policy_param("ratelimit_us", 1000).ok());
    EXPECT_TRUE(sim.core().set_policy_param("ratelimit_us", 0).ok());
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    pinned_hog(sim, 0);
    sim.run(us(10));
    sim.wake(sleeper, 0);
    EXPECT_EQ(&sim.current(0), &sleeper);
}

TEST(Regression, E51_AnUnknownParameterIsRefusedWithNoLockLeftHeld)
{
    Sim sim{1};
    EXPECT_FALSE(sim.core().set_policy_param("no such parameter", 1).ok());
    EXPECT_FALSE(sim.core().set_policy_param("ratelimit_us", 7).ok());
    EXPECT_TRUE(arch::held_locks().none());
    EXPECT_TRUE(sim.core().set_policy_param("ratelimit_us", 500).ok()); // A held lock would stop us here for ever.
}

// A better one wakes after 0.3 ms: the limit leaves 0.7 ms, `credit` gives another whole one.
TEST(Regression, E58_ARateLimitedVcpuRunsOnForAWholeFurtherLimit_ShownByCredit)
{
    Sim sim{1};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    Vcpu& hog{pinned_hog(sim, 0)};
    sim.run_to(us(300));
    sim.wake(sleeper, 0);
    sim.run_to(us(1300) - Duration::from_ns(1));
    EXPECT_EQ(&sim.current(0), &hog);
    sim.run_to(us(1300));
    EXPECT_EQ(&sim.current(0), &sleeper);
}

TEST(Regression, E59_AYieldWithinTheRateLimitHasNoEffectBeforeItsEnd_ShownByCredit)
{
    Sim sim{1};
    Vcpu& yielder{sim.vcpu(0)};
    Vcpu& other{sim.vcpu(0)};
    sim.start(yielder);
    sim.start(other);
    sim.run_to(us(300));
    yield(sim, yielder);
    sim.run_to(us(1300) - Duration::from_ns(1));
    EXPECT_EQ(&sim.current(0), &yielder);
    sim.run_to(us(1300));
    EXPECT_EQ(&sim.current(0), &other);
}

// How often pCPU 1, which has nothing to do, tries the lock of pCPU 0 in vain: it shows because somebody else holds it.
std::uint64_t locks_tried(Bare& bare)
{
    Pool& pool{bare.core().pool()};
    auto const& thief = *static_cast<credit::CreditPcpu*>(pool.pcpu(cpu(1)).policy_data);
    std::uint64_t const before{thief.counters.steal_trylock_failed};
    Guard guard{pool.pcpu(cpu(0)).lock, irqs_off};
    static_cast<void>(bare.core().schedule(cpu(1), Instant{}));
    return thief.counters.steal_trylock_failed - before;
}

TEST(Regression, E64_APcpuWhereNobodyWaitsIsNotLockedInVain)
{
    Bare bare{2, 2};
    bare.core().start(cpu(0), bare.vcpu(0), false, Instant{});
    bare.reschedule(cpu(0), Instant{});
    EXPECT_EQ(locks_tried(bare), 0u);
    bare.core().start(cpu(0), bare.vcpu(0), false, Instant{});
    EXPECT_GT(locks_tried(bare), 0u);
}

TEST(Regression, E65_TheLowestPcpuIsRobbedUntilItHasNothingLeft_ShownByCredit)
{
    Sim sim{4};
    Vcpu& thiefs{pinned_hog(sim, 3)};
    for (unsigned const victim : {0u, 1u, 2u})
        pinned_hog(sim, victim);
    for (unsigned const victim : {0u, 1u, 2u, 0u, 1u, 2u}) {
        Vcpu& queued{sim.vcpu(victim)};
        credit_of(queued).set_prio(Prio::over); // so that it waits instead of preempting
        sim.start(queued);
    }
    block(sim, thiefs);
    for (unsigned i = 0; i < 5; ++i)
        block(sim, sim.current(3));
    EXPECT_EQ(named_in(sim, trace::Event::stolen_vcpu, 0), (std::vector<unsigned>{0, 0, 1, 1, 2, 2}));
}

TEST(Regression, E70_AVcpuThatIsBeingPausedMayStillBeChosenForAMoment_ShownByCredit)
{
    Sim sim{1};
    Vcpu& running{sim.vcpu(0)};
    Vcpu& paused{sim.vcpu(0)};
    sim.start(running);
    sim.start(paused);
    paused.pause_count.fetch_add(1); // The first half of a pause; the second has to wait for the lock.
    block(sim, running);
    EXPECT_EQ(&sim.current(0), &paused);
    sim.on(0, [&](CpuId self, Instant now) { sim.core().sleep_nosync(self, paused, now); });
    EXPECT_TRUE(sim.idles(0));
    EXPECT_EQ(paused.run_state.state, RunState::offline);
}

TEST(Regression, E81_AYielderIsStolenAtOnceByAnIdlePcpu_ShownByCredit)
{
    Sim sim{2, without_ratelimit()};
    Vcpu& neighbour{pinned_hog(sim, 1)};
    Vcpu& yielder{sim.vcpu(0)};
    Vcpu& other{sim.vcpu(0)};
    sim.start(yielder);
    sim.start(other);
    yield(sim, yielder);
    EXPECT_EQ(&sim.current(0), &other);
    block(sim, neighbour);
    EXPECT_EQ(&sim.current(1), &yielder);
}

TEST(Regression, E93_AYieldBeforeABlockDoesNotSurviveUntilTheWakeUp)
{
    Sim sim{1, without_ratelimit()};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    credit_of(vcpu).set_prio(Prio::under);
    spent(sim);
    spent(sim);
    sim.on(0, [&](CpuId self, Instant now) {
        sim.core().yield(self, vcpu, now);
        EXPECT_TRUE(sim.core().block(self, vcpu, now));
    });
    EXPECT_FALSE(credit_of(vcpu).has(credit::Flag::yield));
    sim.wake(vcpu, 0);
    EXPECT_EQ(&sim.current(0), &vcpu);
}

TEST(Regression, E94_AVcpuPausedBetweenItsQueueingAndItsTurnIsNotCountedAsWaitingForEver)
{
    Bare bare{2, 2};
    Vcpu& running{bare.vcpu(0)};
    Vcpu& paused{bare.vcpu(0)};
    for (Vcpu* const vcpu : {&running, &paused})
        bare.core().start(cpu(0), *vcpu, false, Instant{});
    paused.pause_count.fetch_add(1);
    bare.reschedule(cpu(0), Instant{});
    ASSERT_EQ(&bare.current(cpu(0)), &running);
    EXPECT_TRUE(bare.core().block(cpu(0), running, Instant{}));
    bare.reschedule(cpu(0), Instant{}); // Chooses the other one, which its pauser then finds running.
    bare.core().sleep_nosync(cpu(1), paused, Instant{});
    bare.core().unblock(cpu(1), running, Instant{});
    bare.reschedule(cpu(0), Instant{});
    ASSERT_EQ(&bare.current(cpu(0)), &running);
    EXPECT_EQ(locks_tried(bare), 0u);
}

TEST(Regression, E95_WhatIsLeftOfARateLimitIsNeverLessThanThatLimit)
{
    Sim sim{1};
    Vcpu& vcpu{pinned_hog(sim, 0)};
    for (std::int64_t const ran : {50, 150, 999'950}) {
        sim.run_to(Duration::from_ns(ran));
        sim.on(0, [&](CpuId self, Instant now) {
            Guard guard{sim.pool().pcpu(self).lock, irqs_off};
            Decision const decision{sim.policy<credit::Credit>().schedule(self, vcpu, now, false)};
            EXPECT_EQ(decision.next, &vcpu);
            EXPECT_EQ(decision.slice, ms(1)) << "after " << ran << " ns";
        });
    }
}

TEST(Regression, E96_ARateLimitOutOfRangeIsRefusedBeforeItIsUsed)
{
    Sim sim{1};
    auto const described = [&] {
        std::array<char, 256> buffer{};
        BufferSink sink{buffer};
        sim.core().describe(sink);
        return std::string{sink.text()};
    };
    std::string const before{described()};
    EXPECT_NE(before.find("ratelimit 1000 us"), std::string::npos) << before;
    for (std::int64_t const wrong : {-1, 1, 99, 30'001, 500'001})
        EXPECT_FALSE(sim.core().set_policy_param("ratelimit_us", wrong).ok()) << wrong;
    EXPECT_EQ(described(), before);
}

} // namespace
} // namespace hv::sched
