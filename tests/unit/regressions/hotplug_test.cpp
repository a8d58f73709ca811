// Faults met when pCPUs come and go. docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <algorithm>
#include <random>

namespace hv::sched {
namespace {

using namespace test;

// Takes the pCPU out; asks again while it has not rescheduled yet, as a machine does.
void take_down(Sim& sim, unsigned leaving, unsigned by = 0)
{
    bool down{false};
    for (unsigned i = 0; i < 10 && !down; ++i)
        sim.on(by, [&](CpuId self, Instant now) { down = sim.core().pcpu_down(self, cpu(leaving), now).ok(); });
    EXPECT_TRUE(down);
}

void bring_up(Sim& sim, unsigned returning)
{
    sim.on(returning, [&](CpuId self, Instant now) { sim.core().pcpu_up(self, now); });
}

bool runs_anything_on(Sim& sim, unsigned on)
{
    return std::ranges::any_of(sim.switches(),
                               [&](Sim::Switched const& s) { return s.on == cpu(on) && !s.to->is_idle(); });
}

TEST(Regression, E11_APcpuThatLeftThePoolUnderLoadRunsNothingAndIsNotRobbed)
{
    Sim sim{4};
    for (unsigned i = 0; i < 12; ++i)
        sim.start(sim.guest(sim.domain(), i % 4, burst(us(100), ms(4), us(100), ms(4)), i));
    sim.run(ms(200));
    for (unsigned const leaving : {3u, 1u}) {
        take_down(sim, leaving);
        sim.switches().clear();
        sim.heard().clear();
        sim.run(ms(500));
        EXPECT_FALSE(runs_anything_on(sim, leaving));
        EXPECT_FALSE(names(named_in(sim, trace::Event::stolen_vcpu, 0), leaving));
        EXPECT_FALSE(names(picked(sim), leaving));
        EXPECT_TRUE(sim.core().is_consistent());
        bring_up(sim, leaving);
        sim.run(ms(500));
        EXPECT_TRUE(runs_anything_on(sim, leaving));
    }
}

TEST(Regression, E17_AVcpuWhoseEveryPcpuHasLeftMayRunAnywhere)
{
    Sim sim{4};
    Vcpu& vcpu{sim.vcpu(2)};
    set_hard(sim, vcpu, cpus({2, 3}));
    sim.start(vcpu);
    take_down(sim, 2);
    EXPECT_EQ(&sim.current(3), &vcpu);
    EXPECT_EQ(vcpu.hard_affinity, cpus({2, 3}));
    take_down(sim, 3);
    EXPECT_EQ(vcpu.hard_affinity, CpuMask::first_n(4));
    EXPECT_LT(vcpu.processor(), cpu(2));
    EXPECT_TRUE(sim.runs(vcpu));
}

TEST(Regression, E33_AfterASuspendEveryVcpuIsBackOnThePcpuThatItIsPinnedTo)
{
    Sim sim{4};
    std::vector<Vcpu*> pinned;
    for (unsigned i = 0; i < 4; ++i) {
        pinned.push_back(&sim.vcpu(i));
        set_hard(sim, *pinned.back(), cpus({i}));
        sim.start(*pinned.back());
    }
    for (unsigned const leaving : {3u, 2u, 1u})
        sim.on(0, [&](CpuId self, Instant now) {
            EXPECT_TRUE(sim.system().offline(self, cpu(leaving), Absence::for_a_while, now).ok());
        });
    sim.run(ms(100));
    for (unsigned const returning : {1u, 2u, 3u})
        sim.on(0, [&] { EXPECT_TRUE(sim.system().online(cpu(returning)).ok()); });
    for (unsigned i = 0; i < 4; ++i) {
        EXPECT_EQ(pinned[i]->hard_affinity, cpus({i}));
        EXPECT_EQ(&sim.current(i), pinned[i]);
    }
}

TEST(Regression, E43_APcpuOutsideThePoolIsNotTickledAndDoesNotSteal)
{
    Sim sim{3};
    Vcpu& sleeper{sim.vcpu(0)};
    sim.start_asleep(sleeper);
    pinned_hog(sim, 0);
    pinned_hog(sim, 2);
    take_down(sim, 1);
    sim.reschedule(1); // Finding nothing to do, it must not offer itself either.
    sim.heard().clear();
    sim.wake(sleeper, 0);
    EXPECT_FALSE(names(tickled(sim), 1u));
    sim.reschedule(1);
    EXPECT_TRUE(sim.idles(1));
}

TEST(Regression, E44_PcpusLeaveOneByOneUnderPinnedVcpusOfBothKindsOfNodeAffinity_Safe)
{
    Sim sim{arch::MachineShape::regular(2, 2, 1), 2};
    Domain& automatic{sim.domain()};
    Domain& explicitly{sim.domain()};
    for (unsigned i = 0; i < 4; ++i)
        for (Domain* const domain : {&automatic, &explicitly}) {
            Vcpu& vcpu{sim.vcpu(*domain, i)};
            set_hard(sim, vcpu, cpus({i}));
            sim.start(vcpu);
        }
    sim.on(0, [&](CpuId, Instant now) {
        EXPECT_TRUE(sim.core().set_node_affinity(explicitly, NodeMask::of(node(1)), now).ok());
    });
    for (unsigned const leaving : {3u, 1u, 2u}) {
        take_down(sim, leaving);
        EXPECT_TRUE(sim.core().is_consistent());
        sim.run(ms(50));
    }
    EXPECT_EQ(automatic.node_affinity, NodeMask::of(node(0)));
    EXPECT_EQ(explicitly.node_affinity, NodeMask::of(node(1)));
    for (Domain* const domain : {&automatic, &explicitly})
        for (Vcpu const& vcpu : domain->vcpus)
            EXPECT_EQ(vcpu.processor(), cpu(0));
    sim.on(0, [&](CpuId self, Instant now) { EXPECT_FALSE(sim.core().pcpu_down(self, cpu(0), now).ok()); });
}

TEST(Regression, E62_APcpuAddedUnderLoadIsNotToldToLookForWork_ShownByCredit)
{
    Sim sim{2};
    take_down(sim, 1);
    sim.start(sim.vcpu(0));
    Vcpu& waiting{sim.vcpu(0)};
    sim.start(waiting);
    sim.run(ms(1));
    sim.heard().clear();
    bring_up(sim, 1);
    sim.run(ms(1));
    EXPECT_TRUE(sim.idles(1));
    EXPECT_FALSE(sim.runs(waiting));
    sim.reschedule(1); // All that was missing.
    EXPECT_EQ(&sim.current(1), &waiting);
}

TEST(Regression, E71_IdlePcpusLeaveAndReturnWithTheirTicksSuspended_Safe)
{
    Sim sim{2};
    std::mt19937 random{71};
    for (unsigned i = 0; i < 50; ++i) {
        sim.run(us(static_cast<std::int64_t>(random() % 30'000)));
        take_down(sim, 1);
        sim.run(us(static_cast<std::int64_t>(random() % 30'000)));
        bring_up(sim, 1);
        if (random() % 2 == 0)
            sim.reschedule(1);
    }
    Vcpu& vcpu{sim.vcpu(1)};
    sim.start(vcpu);
    sim.heard().clear();
    sim.run(ms(100));
    EXPECT_EQ(sim.heard_of(trace::Event::tick).size(), 10u);
}

TEST(Regression, E87_APcpuLeavesWithItsTickDueAndNoTickComesAfterwards_Safe)
{
    Sim sim{2};
    sim.start(sim.vcpu(1));
    sim.run_to(ms(10) - Duration::from_ns(1));
    take_down(sim, 1);
    sim.run_to(ms(500));
    for (Sim::Heard const& tick : sim.heard_of(trace::Event::tick))
        EXPECT_EQ(tick.on, cpu(0));
    EXPECT_GT(sim.heard_of(trace::Event::tick).size(), 30u);
}

} // namespace
} // namespace hv::sched
