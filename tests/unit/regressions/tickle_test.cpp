// Faults of the wake-up: whom it disturbs, and who is left waiting. docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <algorithm>
#include <random>

namespace hv::sched {
namespace {

using namespace test;

using Pcpus = std::vector<unsigned>;

TEST(Regression, E04_AWakeUpTicklesOneIdlePcpuNotAll)
{
    Sim sim{8};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    pinned_hog(sim, 0);
    sim.heard().clear();
    sim.wake(sleeper, 0);
    EXPECT_EQ(tickled(sim).size(), 1u);
}

TEST(Regression, E25_AWakeUpOnABusyPcpuLeavesItAloneWhileOthersIdle)
{
    Sim sim{4};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    Vcpu& hog{pinned_hog(sim, 0)};
    sim.run(ms(5));
    sim.heard().clear();
    sim.switches().clear();
    sim.wake(sleeper, 0);

    EXPECT_EQ(tickled(sim), Pcpus{1});
    EXPECT_TRUE(sim.runs(sleeper));
    EXPECT_EQ(sleeper.processor(), cpu(1));
    EXPECT_EQ(&sim.current(0), &hog);
    EXPECT_FALSE(std::ranges::any_of(sim.switches(), [](Sim::Switched const& s) { return s.on == cpu(0); }));
}

TEST(Regression, E46_AHogWithNowhereToGoIsKickedAwayAndComesBackBoosted_ShownByCredit)
{
    Sim sim{2};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    set_hard(sim, sleeper, cpus({0}));
    Vcpu& hog{pinned_hog(sim, 0)};
    sim.run(us(200)); // well within the rate limit
    sim.wake(sleeper, 0);

    EXPECT_EQ(&sim.current(0), &sleeper) << "the kick goes round the rate limit";
    EXPECT_EQ(hog.processor(), cpu(0));
    EXPECT_EQ(prio(hog), Prio::boost);
}

TEST(Regression, E55_APcpuWhoseIdleVcpuHasWorkIsNotTickledForOthers)
{
    Sim sim{3};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    pinned_hog(sim, 0);
    sim.core().set_idle_work(cpu(1), true);
    sim.reschedule(1);
    EXPECT_TRUE(sim.idles(1));
    sim.heard().clear();
    sim.wake(sleeper, 0);
    EXPECT_EQ(tickled(sim), Pcpus{2});
    EXPECT_EQ(sleeper.processor(), cpu(2));
}

TEST(Regression, E57_OnlyPcpusThatTheWokenVcpuMayUseAreTickled)
{
    std::mt19937 random{57};
    unsigned preferred{0};
    for (unsigned round = 0; round < 300; ++round) {
        Sim sim{arch::MachineShape::regular(2, 2, 2), 2};
        Vcpu& sleeper{sim.vcpu(random() % 8)};
        sim.start_asleep(sleeper);
        CpuMask const hard{random_mask(random, 8)};
        CpuMask const soft{random_mask(random, 8)};
        set_hard(sim, sleeper, hard);
        sim.on(0, [&](CpuId, Instant now) { EXPECT_TRUE(sim.core().set_soft_affinity(sleeper, soft, now).ok()); });
        CpuMask const busy{random_mask(random, 8)};
        for (CpuId const one : busy)
            pinned_hog(sim, one.value());
        CpuId const home{sleeper.processor()};
        sim.heard().clear();
        sim.wake(sleeper, random() % 8);

        Pcpus const tickles{tickled(sim)};
        ASSERT_LE(tickles.size(), 1u);
        if (tickles.empty())
            continue;
        EXPECT_TRUE(hard.test(cpu(tickles[0]))) << "round " << round;
        CpuMask const idle_and_preferred{(hard & soft) - busy};
        if (!busy.test(home) || idle_and_preferred.empty())
            continue;
        ++preferred;
        EXPECT_TRUE(idle_and_preferred.test(cpu(tickles[0]))) << "round " << round;
    }
    EXPECT_GT(preferred, 30u) << "the soft step was hardly ever asked";
}

TEST(Regression, E63_TwoWakersChooseTheSameIdlePcpuAndOneVcpuWaits_ShownByCredit)
{
    Sim sim{4, {.costs = {.ipi = us(5), .timer_late = {}}}};
    Vcpu& first{sim.vcpu(0)};
    Vcpu& second{sim.vcpu(1)};
    for (Vcpu* const vcpu : {&first, &second}) {
        sim.start(*vcpu);
        sim.run(us(10));
        block(sim, *vcpu);
        sim.run(us(10));
    }
    for (unsigned const on : {0u, 1u}) {
        Vcpu& hog{sim.vcpu(on)};
        set_hard(sim, hog, cpus({on}));
        sim.start(hog);
        sim.run(us(10));
    }
    sim.heard().clear();
    sim.wake(first, 0);
    sim.wake(second, 1);
    EXPECT_EQ(tickled(sim), (Pcpus{2, 2}));
    sim.run(ms(1));
    EXPECT_TRUE(sim.runs(first));
    EXPECT_FALSE(sim.runs(second));
    EXPECT_TRUE(sim.idles(3));
}

TEST(Regression, E89_TheRunningVcpuIsKickedAwayToAnIdlePcpuWhenTheWokenOneCannotGoThere)
{
    Sim sim{2};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    set_hard(sim, sleeper, cpus({0}));
    Vcpu& hog{sim.vcpu(0)};
    sim.start(hog);
    credit_of(hog).set_prio(Prio::under);
    sim.run(ms(5));
    sim.wake(sleeper, 0);
    EXPECT_EQ(&sim.current(0), &sleeper);
    EXPECT_EQ(&sim.current(1), &hog);
}

// Upstream: 20.0 ms, when the second tick moves the one that runs.
TEST(Regression, E91_OfTwoThatWakeOnOneIdlePcpuTheSecondWaitsTwoTicksWhileOthersIdle_ShownByCredit)
{
    Sim sim{4};
    Vcpu& first{sim.vcpu(0)};
    Vcpu& second{sim.vcpu(0)};
    sim.start_asleep(first);
    sim.start_asleep(second);
    sim.on(3, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().unblock(self, first, now));
        EXPECT_TRUE(sim.core().unblock(self, second, now));
    });
    EXPECT_TRUE(sim.runs(first));
    sim.run_to(ms(20) - us(1));
    EXPECT_FALSE(sim.runs(second));
    EXPECT_TRUE(sim.idles(1) && sim.idles(2) && sim.idles(3));
    sim.run_to(ms(20));
    EXPECT_TRUE(sim.runs(second));
    EXPECT_TRUE(sim.runs(first));
}

TEST(Regression, E92_APcpuThatHasJustBecomeIdleServesATickleAtOnce)
{
    for (std::int64_t const idle_for : {100, 600, 1100}) {
        Sim sim{2};
        Vcpu& sleeper{sim.vcpu(0)};
        sim.start_asleep(sleeper);
        pinned_hog(sim, 0);
        Vcpu& neighbour{sim.vcpu(1)};
        sim.start(neighbour);
        sim.run(ms(3));
        block(sim, neighbour);
        sim.run(us(idle_for));
        sim.wake(sleeper, 0);
        EXPECT_TRUE(sim.runs(sleeper)) << "after " << idle_for << " us";
        EXPECT_EQ(sleeper.processor(), cpu(1));
    }
}

} // namespace
} // namespace hv::sched
