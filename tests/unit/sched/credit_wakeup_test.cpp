// Whom a wake-up disturbs and who steals, under `credit`. Where 4.3 has a weakness that is kept, the name says so.
#include "tests/unit/sched/credit_fixture.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace hv::sched::credit {
namespace {

using arch::MachineShape;
using test::cpu;
using test::cpus;
using test::credit_of;
using test::is_queued;
using test::ms;
using test::node;
using test::prio;
using test::set_prio;
using test::Sim;
using test::us;

void pin(Sim& sim, Vcpu& vcpu, CpuMask const& mask)
{
    sim.on(vcpu.processor().value(),
           [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().set_hard_affinity(self, vcpu, mask, now).ok()); });
}

void block(Sim& sim, Vcpu& vcpu)
{
    sim.on(vcpu.processor().value(), [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().block(self, vcpu, now)); });
}

std::size_t switches_on(Sim& sim, unsigned on)
{
    std::size_t count{0};
    for (Sim::Switched const& change : sim.switches())
        count += change.on == cpu(on) ? 1u : 0u;
    return count;
}

// --- boost

TEST(CreditBoost, AWakingVcpuWithCreditIsBoostedUntilATickCatchesIt)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    EXPECT_EQ(prio(vcpu), Prio::boost);
    sim.run(ms(10) - us(1));
    EXPECT_EQ(prio(vcpu), Prio::boost);
    sim.run(us(1));
    EXPECT_EQ(prio(vcpu), Prio::under);
    EXPECT_EQ(sim.heard_of(trace::Event::boost_start).size(), 1u);
    EXPECT_EQ(sim.heard_of(trace::Event::boost_end).size(), 1u);
}

TEST(CreditBoost, AWakingVcpuWithoutCreditIsNot)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start_asleep(vcpu);
    set_prio(vcpu, Prio::over);
    sim.wake(vcpu, 0);
    EXPECT_EQ(prio(vcpu), Prio::over);
}

TEST(CreditBoost, AParkedVcpuIsNotBoostedByAWake)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start_asleep(vcpu);
    set_prio(vcpu, Prio::under);
    credit_of(vcpu).set(Flag::parked);
    sim.wake(vcpu, 0);
    EXPECT_EQ(prio(vcpu), Prio::under);
}

// PARKED is cleared before the unpause; mended upstream in 2019.
TEST(CreditBoost, UpstreamsWeakness_ACappedVcpuIsBoostedWhenItIsUnparked)
{
    Sim sim{1};
    guest::Guest& capped{sim.hog(sim.domain({.weight = 256, .cap = 25}), 0)};
    sim.start(capped);
    sim.run(ms(1000));
    std::size_t const boosts{sim.heard_of(trace::Event::boost_start).size()};
    sim.run(ms(1200)); // ten cycles
    EXPECT_EQ(sim.heard_of(trace::Event::boost_start).size(), boosts + 10);
}

// --- the rows of the behaviour table

TEST(CreditWakeUp, Row1_AnIdlePcpuTakesTheWakingVcpuAndTheRunningOneIsLeftAlone)
{
    Sim sim{2};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& hog{sim.vcpu(0)};
    sim.start_asleep(waking);
    sim.start(hog);
    std::size_t const before{switches_on(sim, 0)};
    sim.wake(waking, 0);
    EXPECT_EQ(&sim.current(1), &waking);
    EXPECT_EQ(&sim.current(0), &hog);
    EXPECT_EQ(switches_on(sim, 0), before);
    EXPECT_EQ(sim.heard_of(trace::Event::stolen_vcpu).size(), 1u);
}

TEST(CreditWakeUp, Row2_APinnedVcpuDrivesTheRunningOneToAnIdlePcpu)
{
    Sim sim{2};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& hog{sim.vcpu(0)};
    sim.start_asleep(waking);
    pin(sim, waking, cpus({0}));
    sim.start(hog);
    set_prio(hog, Prio::under);
    sim.wake(waking, 0);
    EXPECT_EQ(&sim.current(0), &waking);
    EXPECT_EQ(&sim.current(1), &hog);
}

TEST(CreditWakeUp, Row3_UpstreamsWeakness_AHogWithNowhereToGoIsDrivenOutAndComesBackBoosted)
{
    Sim sim{2};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& hog{sim.vcpu(0)};
    sim.start_asleep(waking);
    pin(sim, waking, cpus({0}));
    sim.start(hog);
    pin(sim, hog, cpus({0}));
    set_prio(hog, Prio::under);
    sim.run(us(100)); // within the rate limit, which does not protect it
    sim.wake(waking, 0);
    EXPECT_EQ(&sim.current(0), &waking);
    EXPECT_EQ(hog.processor(), cpu(0));
    EXPECT_TRUE(is_queued(hog));
    EXPECT_EQ(prio(hog), Prio::boost);
    EXPECT_TRUE(sim.idles(1));
}

// The queued one could not be taken when the idle pCPU was tickled: its context was still being saved. Nobody tries
// again.
TEST(CreditWakeUp, Row4_UpstreamsWeakness_AMissedVcpuWaitsUntilATickMovesTheRunningOne)
{
    Sim sim{2};
    Vcpu& missed{sim.vcpu(0)};
    Vcpu& running{sim.vcpu(0)};
    sim.start(missed);
    sim.hold_contexts();
    block(sim, missed);
    sim.start(running);
    sim.wake(missed, 0);
    sim.save_contexts();
    sim.run_to(ms(20) - us(1));
    EXPECT_TRUE(is_queued(missed) && sim.idles(1));
    EXPECT_EQ(&sim.current(0), &running);
    sim.run_to(ms(20)); // The first tick made it active, the second finds the idle pCPU.
    EXPECT_EQ(&sim.current(0), &missed);
    EXPECT_EQ(&sim.current(1), &running);
}

TEST(CreditWakeUp, Row7_AnOverVcpuIsNeverReplacedByAnotherPcpusOver)
{
    Sim sim{2};
    std::vector<Vcpu*> all;
    for (unsigned const home : {0u, 1u, 0u, 1u})
        all.push_back(&sim.vcpu(home));
    for (Vcpu* vcpu : all)
        sim.start(*vcpu);
    sim.run(ms(2));
    for (Vcpu* vcpu : all)
        set_prio(*vcpu, Prio::over);
    std::size_t const stolen{sim.heard_of(trace::Event::stolen_vcpu).size()};
    sim.reschedule(0);
    EXPECT_EQ(sim.heard_of(trace::Event::stolen_vcpu).size(), stolen);
    Vcpu& waits_on_1{is_queued(*all[1]) ? *all[1] : *all[3]};
    ASSERT_EQ(waits_on_1.processor(), cpu(1));
    set_prio(waits_on_1, Prio::under);
    sim.run(ms(2));
    sim.reschedule(0);
    EXPECT_EQ(&sim.current(0), &waits_on_1) << "but an UNDER one is taken";
}

TEST(CreditWakeUp, Row8_AVictimWhoseLockIsBusyIsSkipped)
{
    Sim sim{2};
    Vcpu& runs_on_0{sim.vcpu(0)};
    Vcpu& runs_on_1{sim.vcpu(1)};
    Vcpu& waits_on_0{sim.vcpu(0)};
    sim.start(runs_on_0);
    sim.start(runs_on_1);
    sim.start(waits_on_0);
    ASSERT_TRUE(is_queued(waits_on_0));
    ASSERT_TRUE(sim.pool().pcpu(cpu(0)).lock.try_lock());
    block(sim, runs_on_1);
    EXPECT_TRUE(sim.idles(1));
    sim.pool().pcpu(cpu(0)).lock.unlock();
    sim.reschedule(1);
    EXPECT_EQ(&sim.current(1), &waits_on_0);
}

TEST(CreditWakeUp, Row9_AnOverVcpuTicklesNobodyWhenAllAreBusyWithBetter)
{
    Sim sim{1};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& running{sim.vcpu(0)};
    sim.start_asleep(waking);
    sim.start(running);
    set_prio(running, Prio::under);
    set_prio(waking, Prio::over);
    std::size_t const tickles{sim.heard_of(trace::Event::tickle).size()};
    sim.run(ms(5));
    sim.wake(waking, 0);
    EXPECT_EQ(sim.heard_of(trace::Event::tickle).size(), tickles);
    EXPECT_TRUE(sim.runs(running));
}

TEST(CreditWakeUp, Row10_UpstreamsWeakness_AVcpuMayRunNearlyTwiceTheRateLimit)
{
    Sim sim{1};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& running{sim.vcpu(0)};
    sim.start_asleep(waking);
    sim.start(running);
    set_prio(running, Prio::under);
    sim.run(us(300));
    sim.wake(waking, 0);
    EXPECT_TRUE(sim.runs(running));
    sim.run(us(999));
    EXPECT_TRUE(sim.runs(running));
    sim.run(us(1)); // 0.3 ms + the whole limit
    EXPECT_TRUE(sim.runs(waking));
    EXPECT_EQ(sim.heard_of(trace::Event::ratelimit).size(), 1u);
}

TEST(CreditWakeUp, WithoutARateLimitABoostedVcpuPreemptsAtOnce)
{
    Sim sim{1, {.params = {{"ratelimit_us", 0}}}};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& running{sim.vcpu(0)};
    sim.start_asleep(waking);
    sim.start(running);
    set_prio(running, Prio::under);
    sim.run(us(300));
    sim.wake(waking, 0);
    EXPECT_TRUE(sim.runs(waking));
}

TEST(CreditWakeUp, Row11_TheIdleSiblingRunsWhatWakesOnABusyThread)
{
    Sim sim{MachineShape::regular(1, 2, 2), 1};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& busy{sim.vcpu(0)};
    sim.start_asleep(waking);
    pin(sim, waking, cpus({0, 1}));
    if (waking.processor() != cpu(0)) // The pick may have chosen the sibling already.
        pin(sim, waking, cpus({0}));
    pin(sim, busy, cpus({0}));
    sim.start(busy);
    sim.on(0, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().set_hard_affinity(self, waking, cpus({0, 1}), now).ok());
    });
    sim.wake(waking, 0);
    EXPECT_EQ(&sim.current(1), &waking);
    EXPECT_EQ(&sim.current(0), &busy);
}

TEST(CreditPlacement, Row12_ALoneHogStaysWhereItIs)
{
    Sim sim{MachineShape::regular(2, 4, 1), 2};
    guest::Guest& hog{sim.hog(sim.domain(), 0)};
    sim.start(hog);
    sim.run(ms(60'000));
    EXPECT_EQ(sim.heard_of(trace::Event::migrate).size(), 0u);
    EXPECT_EQ(sim.spent(hog.vcpu, RunState::running), ms(60'000));
}

TEST(CreditYield, Row13_AYielderLetsExactlyOneOverVcpuRunFirst)
{
    Sim sim{1};
    Vcpu& yielder{sim.vcpu(0)};
    Vcpu& first_over{sim.vcpu(0)};
    Vcpu& second_over{sim.vcpu(0)};
    sim.start(yielder);
    for (Vcpu* over : {&first_over, &second_over}) {
        set_prio(*over, Prio::over);
        sim.start(*over);
    }
    set_prio(yielder, Prio::under);
    sim.run(ms(2));
    ASSERT_TRUE(sim.runs(yielder));
    sim.on(0, [&](CpuId self, Instant now) { sim.core().yield(self, yielder, now); });
    EXPECT_TRUE(sim.runs(first_over));
    sim.run(ms(2));
    sim.reschedule(0);
    EXPECT_TRUE(sim.runs(yielder));
    EXPECT_FALSE(credit_of(yielder).has(Flag::yield)) << "used up";
}

TEST(CreditYield, UpstreamsWeakness_WithinTheRateLimitAYieldWaits)
{
    Sim sim{1};
    Vcpu& yielder{sim.vcpu(0)};
    Vcpu& other{sim.vcpu(0)};
    sim.start(yielder);
    sim.start(other);
    sim.run(us(500));
    sim.on(0, [&](CpuId self, Instant now) { sim.core().yield(self, yielder, now); });
    EXPECT_TRUE(sim.runs(yielder));
    sim.run(ms(1));
    EXPECT_TRUE(sim.runs(other));
}

// --- who is woken

TEST(CreditTickle, OneIdlePcpuAfterTheOtherIsDisturbed)
{
    Sim sim{4};
    Vcpu& hog{sim.vcpu(0)};
    Vcpu& waking{sim.vcpu(0)};
    sim.start_asleep(waking);
    sim.start(hog);
    std::vector<std::uint16_t> ran_on;
    for (int i = 0; i < 4; ++i) {
        sim.wake(waking, 0);
        ran_on.push_back(waking.processor().value());
        ASSERT_TRUE(sim.runs(waking));
        block(sim, waking);
        pin(sim, waking, cpus({0})); // back to the busy pCPU
        sim.on(0, [&](CpuId, Instant) { waking.hard_affinity = CpuMask::first_n(4); });
    }
    EXPECT_EQ(ran_on, (std::vector<std::uint16_t>{1, 2, 3, 1}));
}

TEST(CreditTickle, OneWakeDisturbsOnePcpuUnlessAskedToDisturbAll)
{
    for (std::int64_t const one : {1, 0}) {
        Sim sim{4, {.params = {{"tickle_one_idle", one}}}};
        Vcpu& hog{sim.vcpu(0)};
        Vcpu& waking{sim.vcpu(0)};
        sim.start_asleep(waking);
        sim.start(hog);
        std::size_t const before{sim.heard_of(trace::Event::tickle).size()};
        sim.wake(waking, 0);
        EXPECT_EQ(sim.heard_of(trace::Event::tickle).size() - before, one == 1 ? 1u : 3u);
    }
}

// Two that last ran on the same idle pCPU wake together: it alone is tickled, twice.
TEST(CreditWakeUp, UpstreamsWeakness_ADoubleWakeLeavesOneWaitingWhileOtherPcpusIdle)
{
    Sim sim{4};
    Vcpu& a{sim.vcpu(0)};
    Vcpu& b{sim.vcpu(0)};
    sim.start_asleep(a);
    sim.start_asleep(b);
    sim.on(0, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().unblock(self, a, now));
        EXPECT_TRUE(sim.core().unblock(self, b, now));
    });
    EXPECT_TRUE(sim.runs(a));
    EXPECT_FALSE(sim.runs(b));
    sim.run_to(ms(20) - us(1));
    EXPECT_FALSE(sim.runs(b));
    EXPECT_TRUE(sim.idles(1) && sim.idles(2) && sim.idles(3));
    sim.run_to(ms(20)); // The second tick moves the one that runs.
    EXPECT_TRUE(sim.runs(a) && sim.runs(b));
}

// Asleep at every tick, it is never made active: it earns nothing, and nothing looks at its credit.
TEST(CreditTheft, UpstreamsWeakness_AVcpuThatSleepsAcrossTheTicksTakesMostOfAPcpuInSpiteOfItsCap)
{
    for (std::uint16_t const cap : std::initializer_list<std::uint16_t>{0, 25}) {
        Sim sim{1};
        guest::Guest& victim{sim.hog(sim.domain(), 0)};
        guest::Guest& thief{sim.guest(sim.domain({.weight = 256, .cap = cap}), 0, test::gridsleep(ms(10), us(300)))};
        sim.start(thief);
        sim.start(victim);
        sim.run(ms(10'000));
        // 8.4 of each 10 ms: the victim has the 0.6 ms around the tick and what the rate limit grants it.
        EXPECT_EQ(test::per_mille(sim.spent(thief.vcpu, RunState::running), ms(10'000)), 840) << "cap " << cap;
        EXPECT_FALSE(credit_of(thief.vcpu).is_active());
        EXPECT_LT(test::credits(thief.vcpu), -50'000);
    }
}

} // namespace
} // namespace hv::sched::credit
