// Faults of placement: where a vCPU goes when it has to be placed anew. docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <algorithm>
#include <random>
#include <set>

namespace hv::sched {
namespace {

using namespace test;

using Pcpus = std::vector<unsigned>;

// Two sockets of four; all of the first but pCPU 0 are busy, so whoever leaves pCPU 0 goes to the second.
void fill_first_socket(Sim& sim)
{
    for (unsigned const on : {1u, 2u, 3u})
        pinned_hog(sim, on);
}

TEST(Regression, E03_ShortVcpusSpreadOverIdlePcpusInsteadOfPilingOnTheFirst)
{
    Sim sim{arch::MachineShape::regular(2, 4, 1), 2};
    std::vector<Vcpu*> vcpus;
    for (unsigned i = 0; i < 4; ++i) {
        vcpus.push_back(&sim.vcpu(0));
        sim.start_asleep(*vcpus.back());
    }
    fill_first_socket(sim);
    std::set<CpuId> homes;
    for (Vcpu* const vcpu : vcpus) {
        set_hard(sim, *vcpu, CpuMask::first_n(8));
        homes.insert(vcpu->processor());
    }
    EXPECT_EQ(homes, (std::set{cpu(4), cpu(5), cpu(6), cpu(7)}));
}

TEST(Regression, E05_NeitherAPickNorATickleNamesAPcpuThatIsNotUp)
{
    Bare bare{4, 2};
    Vcpu& vcpu{bare.vcpu(0)};
    ASSERT_TRUE(bare.core().set_hard_affinity(cpu(0), vcpu, cpus({1, 2, 3}), Instant{}).ok());
    EXPECT_EQ(vcpu.processor(), cpu(1));
    EXPECT_FALSE(bare.core().set_hard_affinity(cpu(0), vcpu, cpus({2, 3}), Instant{}).ok());
    for (unsigned const home : {0u, 1u, 1u}) { // The third finds both pCPUs busy.
        bare.core().start(cpu(0), bare.vcpu(home), false, Instant{});
        bare.reschedule(cpu(home), Instant{});
    }
    EXPECT_GT(bare.machine().tickles(cpu(0)) + bare.machine().tickles(cpu(1)), 0u);
    EXPECT_EQ(bare.machine().tickles(cpu(2)), 0u);
    EXPECT_EQ(bare.machine().tickles(cpu(3)), 0u);
}

// Also where its own socket has one idle pCPU less than the other: only twice as many make the move worth it.
TEST(Regression, E09_ALoneHogStaysOnItsSocket)
{
    for (bool const has_neighbour : {false, true}) {
        Sim sim{arch::MachineShape::regular(2, 4, 1), 2};
        if (has_neighbour)
            pinned_hog(sim, 3);
        guest::Guest& hog{sim.hog(sim.domain(), 0)};
        sim.start(hog);
        sim.heard().clear();
        sim.run(ms(60'000));
        EXPECT_GT(picked(sim).size(), 1000u);
        EXPECT_TRUE(sim.heard_of(trace::Event::migrate).empty());
        EXPECT_TRUE(sim.heard_of(trace::Event::stolen_vcpu).empty());
        EXPECT_EQ(sim.spent(hog.vcpu, RunState::running), ms(60'000));
    }
}

TEST(Regression, E14_EveryPickIsWithinTheHardAffinityOnAnyMachine)
{
    std::mt19937 random{14};
    unsigned moved{0};
    for (unsigned machine = 0; machine < 60; ++machine) {
        unsigned const nodes{1 + static_cast<unsigned>(random() % 3)};
        auto const pcpus = arch::MachineShape::regular(nodes, 1 + random() % 4, 1 + random() % 2);
        auto const count = static_cast<unsigned>(pcpus.size());
        Sim sim{pcpus, nodes};
        Vcpu& vcpu{sim.vcpu(0)};
        sim.start_asleep(vcpu);
        for (CpuId const busy : random_mask(random, count))
            pinned_hog(sim, busy.value());
        for (unsigned round = 0; round < 30; ++round) {
            CpuMask const hard{random_mask(random, count)};
            sim.on(0, [&](CpuId, Instant now) {
                EXPECT_TRUE(sim.core().set_soft_affinity(vcpu, random_mask(random, count), now).ok());
            });
            sim.heard().clear();
            CpuId const before{vcpu.processor()};
            set_hard(sim, vcpu, hard);
            Pcpus const picks{picked(sim)};
            ASSERT_FALSE(picks.empty());
            for (unsigned const pick : picks)
                EXPECT_TRUE(hard.test(cpu(pick))) << "machine " << machine << ", round " << round;
            moved += before != vcpu.processor();
        }
    }
    EXPECT_GT(moved, 200u);
}

TEST(Regression, E15_AProbeByTheTickDoesNotMoveTheRotorThatAMoveMoves)
{
    Sim sim{arch::MachineShape::regular(2, 4, 1), 2};
    fill_first_socket(sim);
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    activate(sim, vcpu);
    sim.on(0, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.policy<credit::Credit>().tick(self, vcpu, now)); });
    EXPECT_EQ(idle_bias(sim, 4), cpu(7)); // as at the start
    set_hard(sim, vcpu, CpuMask::first_n(8));
    EXPECT_EQ(vcpu.processor(), cpu(4));
    EXPECT_EQ(idle_bias(sim, 4), cpu(4));
}

// `credit`, except that its picks go to and fro; it stops after a while, so that a loop shows as a failure.
thread_local unsigned fickle_picks = 0;

CpuId pick_fickly(void*, CpuId, Vcpu&, Instant) noexcept
{
    return cpu(++fickle_picks < 100 && fickle_picks % 2 == 1 ? 1 : 2);
}

TEST(Regression, E16_AMigrationEndsThoughEveryPickNamesAnotherPcpu)
{
    PolicyOps fickle{*find_policy("credit")};
    fickle.pick_cpu = pick_fickly;
    Sim sim{3, {.policy = &fickle}};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start_asleep(vcpu);
    fickle_picks = 0;
    set_hard(sim, vcpu, cpus({1, 2}));
    EXPECT_LE(fickle_picks, 3u);
    EXPECT_EQ(vcpu.processor(), cpu(1));
}

TEST(Regression, E24_AffinityChangeGoesToAnIdlePcpuNotABusyOne)
{
    Sim sim{4};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start_asleep(vcpu);
    pinned_hog(sim, 1);
    set_hard(sim, vcpu, cpus({1, 2, 3}));
    EXPECT_EQ(vcpu.processor(), cpu(2));
}

TEST(Regression, E29_AWidenedAffinityPlacesTheVcpuAnewThoughItMayStay)
{
    Sim sim{4};
    Vcpu& asleep{sim.vcpu(0)};
    sim.start_asleep(asleep);
    Vcpu& running{sim.vcpu(3)};
    sim.start(running);
    for (Vcpu* const vcpu : {&asleep, &running}) {
        set_hard(sim, *vcpu, CpuMask::of(vcpu->processor()));
        sim.heard().clear();
        set_hard(sim, *vcpu, CpuMask::first_n(4));
        EXPECT_EQ(picked(sim).size(), 1u);
    }
}

TEST(Regression, E30_ABusyThreadsIdleSiblingIsPreferredToTheBusyThread)
{
    Sim sim{arch::MachineShape::regular(1, 2, 2), 1};
    Vcpu& vcpu{sim.vcpu(3)};
    sim.start_asleep(vcpu);
    pinned_hog(sim, 0);
    set_hard(sim, vcpu, cpus({0, 1}));
    EXPECT_EQ(vcpu.processor(), cpu(1));
}

TEST(Regression, E49_AVcpuThatMerelyMigratesIsBoosted_ShownByCredit)
{
    Sim sim{2};
    Vcpu& hog{pinned_hog(sim, 0)};
    ASSERT_EQ(prio(hog), Prio::under);
    set_hard(sim, hog, cpus({1}));
    EXPECT_TRUE(sim.runs(hog));
    EXPECT_EQ(hog.processor(), cpu(1));
    EXPECT_EQ(prio(hog), Prio::boost);
}

TEST(Regression, E54_TheFirstRunIsWithinTheHardAffinity)
{
    Sim sim{4};
    Vcpu& vcpu{sim.vcpu(0)};
    set_hard(sim, vcpu, cpus({3}));
    sim.start(vcpu);
    EXPECT_EQ(&sim.current(3), &vcpu);
}

TEST(Regression, E54_TheFirstRunIgnoresTheNodeAffinity_ShownByCredit)
{
    Sim sim{arch::MachineShape::regular(2, 2, 1), 2};
    Domain& domain{sim.domain()};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    sim.on(0, [&](CpuId, Instant now) {
        EXPECT_TRUE(sim.core().set_node_affinity(domain, NodeMask::of(node(1)), now).ok());
    });
    sim.start(vcpu);
    EXPECT_EQ(&sim.current(0), &vcpu);
    EXPECT_TRUE(sim.idles(2) && sim.idles(3));
}

TEST(Regression, E76_OnlyTheLastOfSeveralAffinitiesBeforeTheStartCounts)
{
    Sim sim{4};
    Vcpu& vcpu{sim.vcpu(0)};
    set_hard(sim, vcpu, cpus({1}));
    set_hard(sim, vcpu, cpus({2, 3}));
    sim.start(vcpu);
    EXPECT_EQ(&sim.current(2), &vcpu);
    EXPECT_EQ(sim.switches().size(), 1u);
}

// When the next place of the vCPU is chosen, pCPU 0 runs the hog with nothing queued behind it, and so counts as idle.
TEST(Regression, E90_APcpuThatRunsAnotherVcpuCountsAsIdleForTheOneThatLeavesIt_ShownByCredit)
{
    Sim sim{4};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    Vcpu& hog{sim.vcpu(0)};
    set_hard(sim, hog, cpus({0}));
    sim.start(hog);
    ASSERT_EQ(&sim.current(0), &vcpu);
    sim.heard().clear();
    set_hard(sim, vcpu, CpuMask::first_n(4));
    EXPECT_EQ(&sim.current(0), &hog);
    EXPECT_EQ(picked(sim), Pcpus{0}) << "though three pCPUs idle";
}

TEST(Regression, E100_ThePlacementOfANewVcpuDoesNotCostItItsFirstBoost)
{
    Sim sim{2};
    Vcpu& vcpu{sim.vcpu(0)};
    set_hard(sim, vcpu, cpus({1}));
    sim.heard().clear();
    sim.start(vcpu);
    EXPECT_EQ(prio(vcpu), Prio::boost);
    EXPECT_EQ(sim.heard_of(trace::Event::boost_start).size(), 1u);
}

} // namespace
} // namespace hv::sched
