// Preferences: what counts as one, and where `credit` (and 4.3) heeds it and where not.
#include "sched/affinity.hpp"

#include "tests/unit/sched/credit_fixture.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace hv::sched::credit {
namespace {

using arch::MachineShape;
using test::cpu;
using test::cpus;
using test::ms;
using test::node;
using test::Sim;
using test::us;

// --- the masks

TEST(Affinity, APreferenceIsUsefulIfItWasAskedForAndLeavesAChoice)
{
    Domain domain{DomainId{1}};
    Vcpu vcpu{domain, VcpuIndex{0}, cpu(0)};
    vcpu.hard_affinity = CpuMask::first_n(8);
    vcpu.soft_affinity = cpus({0, 1});
    EXPECT_FALSE(has_useful_preference(vcpu, 8)) << "nobody asked for it";
    vcpu.prefers = true;
    EXPECT_TRUE(has_useful_preference(vcpu, 8));
    vcpu.soft_affinity = CpuMask::first_n(8);
    EXPECT_FALSE(has_useful_preference(vcpu, 8)) << "every pCPU is as good";
    vcpu.soft_affinity = cpus({0, 1});
    vcpu.hard_affinity = cpus({2, 3});
    EXPECT_FALSE(has_useful_preference(vcpu, 8)) << "it may go nowhere that it would like";
}

TEST(Affinity, TheSoftStepIsWhatIsPreferredAndAllowedOrElseWhatIsAllowed)
{
    Domain domain{DomainId{1}};
    Vcpu vcpu{domain, VcpuIndex{0}, cpu(0)};
    vcpu.hard_affinity = cpus({1, 2, 3});
    vcpu.soft_affinity = cpus({0, 1});
    EXPECT_EQ(step_mask(vcpu, BalanceStep::soft), cpus({1}));
    EXPECT_EQ(step_mask(vcpu, BalanceStep::hard), cpus({1, 2, 3}));
    vcpu.soft_affinity = cpus({0});
    EXPECT_EQ(step_mask(vcpu, BalanceStep::soft), cpus({1, 2, 3}));
}

TEST(Affinity, AStepAllowsExactlyTheMembersOfItsMask)
{
    Domain domain{DomainId{1}};
    Vcpu vcpu{domain, VcpuIndex{0}, cpu(0)};
    for (CpuMask const& hard : {cpus({1, 2, 3}), cpus({1, 200}), CpuMask::first_n(5)})
        for (CpuMask const& soft : {cpus({0, 1}), cpus({0}), cpus({2, 200}), CpuMask{}})
            for (BalanceStep const step : balance_steps)
                for (unsigned const number : {0u, 1u, 2u, 3u, 4u, 5u, 200u}) {
                    vcpu.hard_affinity = hard;
                    vcpu.soft_affinity = soft;
                    EXPECT_EQ(step_allows(vcpu, step, cpu(number)), step_mask(vcpu, step).test(cpu(number))) << number;
                }
}

// --- a domain's node affinity

class TwoNodes : public testing::Test {
protected:
    Sim sim{MachineShape::regular(2, 2, 1), 2}; // pCPUs 0, 1 on node 0; 2, 3 on node 1
    Domain& domain{sim.domain()};

    void prefer(unsigned n)
    {
        sim.on(0, [&](CpuId, Instant now) {
            EXPECT_TRUE(sim.core().set_node_affinity(domain, NodeMask::of(node(n)), now).ok());
        });
    }
    void pin(Vcpu& vcpu, CpuMask const& mask)
    {
        sim.on(vcpu.processor().value(),
               [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().set_hard_affinity(self, vcpu, mask, now).ok()); });
    }
    void block(Vcpu& vcpu)
    {
        sim.on(vcpu.processor().value(),
               [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().block(self, vcpu, now)); });
    }
    [[nodiscard]] NodeId node_of(Vcpu const& vcpu) { return sim.pool().topology().node_of(vcpu.processor()); }
};

TEST_F(TwoNodes, AutomaticNodeAffinityFollowsTheHardAffinities)
{
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    EXPECT_EQ(domain.node_affinity, NodeMask::first_n(2));
    pin(vcpu, cpus({2}));
    EXPECT_EQ(domain.node_affinity, NodeMask::of(node(1)));
    EXPECT_FALSE(vcpu.prefers);
}

TEST_F(TwoNodes, ExplicitNodeAffinityIsLeftAloneByPinning)
{
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    prefer(1);
    pin(vcpu, cpus({0}));
    EXPECT_EQ(domain.node_affinity, NodeMask::of(node(1)));
    EXPECT_TRUE(vcpu.prefers);
    EXPECT_EQ(vcpu.soft_affinity, cpus({2, 3}));
}

TEST_F(TwoNodes, AllNodesMeanBackToAutomaticAndNoneIsRefused)
{
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    prefer(1);
    sim.on(0, [&](CpuId, Instant now) {
        EXPECT_FALSE(sim.core().set_node_affinity(domain, NodeMask{}, now).ok());
        EXPECT_EQ(domain.node_affinity, NodeMask::of(node(1)));
        EXPECT_TRUE(sim.core().set_node_affinity(domain, NodeMask::all(), now).ok());
    });
    EXPECT_TRUE(domain.auto_node_affinity);
    EXPECT_EQ(domain.node_affinity, NodeMask::first_n(2));
    EXPECT_FALSE(vcpu.prefers);
}

TEST_F(TwoNodes, AVcpusOwnSoftAffinityMayNotBeEmpty)
{
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    EXPECT_FALSE(sim.core().set_soft_affinity(vcpu, CpuMask{}, sim.now()).ok());
    EXPECT_TRUE(sim.core().set_soft_affinity(vcpu, cpus({3}), sim.now()).ok());
    EXPECT_TRUE(vcpu.prefers);
    EXPECT_EQ(vcpu.soft_affinity, cpus({3}));
}

// --- where credit heeds it

TEST_F(TwoNodes, SettingAPreferenceMovesNothingByItself)
{
    guest::Guest& hog{sim.hog(domain, 0)};
    sim.start(hog);
    prefer(1);
    EXPECT_EQ(hog.vcpu.processor(), cpu(0));
}

TEST_F(TwoNodes, ARunningHogGoesHomeAtTheSecondTickThatCatchesIt)
{
    guest::Guest& hog{sim.hog(domain, 0)};
    sim.start(hog);
    prefer(1);
    sim.run_to(ms(20) - us(1));
    EXPECT_EQ(node_of(hog.vcpu), node(0));
    sim.run_to(ms(20));
    EXPECT_EQ(node_of(hog.vcpu), node(1));
    sim.run(ms(1000));
    EXPECT_EQ(node_of(hog.vcpu), node(1));
}

TEST_F(TwoNodes, HogsThatHomeHasNoRoomForOverflowToTheOtherNode)
{
    std::vector<guest::Guest*> hogs;
    for (int i = 0; i < 3; ++i)
        hogs.push_back(&sim.hog(domain, 0));
    prefer(0);
    for (guest::Guest* hog : hogs)
        sim.start(*hog);
    sim.run(ms(1000));
    int at_home{0};
    for (guest::Guest* hog : hogs) {
        at_home += node_of(hog->vcpu) == node(0) ? 1 : 0;
        EXPECT_TRUE(sim.runs(hog->vcpu)) << "nobody waits while a pCPU idles";
    }
    EXPECT_EQ(at_home, 2);
}

TEST_F(TwoNodes, AWakeOnABusyPcpuDisturbsAPreferredIdlePcpuFirst)
{
    Vcpu& waking{sim.vcpu(domain, 0)};
    sim.start_asleep(waking);
    prefer(1);
    Vcpu& busy{sim.vcpu(0)};
    sim.start(busy);
    sim.wake(waking, 0);
    EXPECT_EQ(&sim.current(2), &waking) << "pCPU 1 idles too, but on the other node";
}

TEST_F(TwoNodes, HardAffinityBeatsThePreference)
{
    guest::Guest& hog{sim.hog(domain, 0)};
    prefer(1);
    pin(hog.vcpu, cpus({0, 1}));
    sim.start(hog);
    sim.run(ms(500));
    EXPECT_EQ(node_of(hog.vcpu), node(0));
    EXPECT_FALSE(test::credit_of(hog.vcpu).useful_preference);
}

// Row 5: only what waits can be stolen.
TEST_F(TwoNodes, Row5_AHomePcpuThatBecomesIdleTakesAWaitingVcpuAndNotARunningOne)
{
    std::array<Vcpu*, 4> busy{};
    for (unsigned i = 0; i < 4; ++i) {
        busy[i] = &sim.vcpu(i);
        sim.start(*busy[i]);
    }
    Vcpu& homeless{sim.vcpu(domain, 2)};
    prefer(0);
    sim.start(homeless);
    ASSERT_TRUE(test::is_queued(homeless));
    block(*busy[0]);
    EXPECT_EQ(&sim.current(0), &homeless);
    EXPECT_TRUE(sim.runs(*busy[2]) && sim.runs(*busy[1]) && sim.runs(*busy[3]));
    block(*busy[1]);
    EXPECT_TRUE(sim.idles(1)) << "the others run, and nothing waits";
}

// Row 6: the step with the preference goes over all nodes before the step without.
TEST_F(TwoNodes, Row6_AThiefTakesARemoteVcpuThatWantsToBeHereBeforeALocalOneThatDoesNotCare)
{
    std::array<Vcpu*, 4> busy{};
    for (unsigned i = 0; i < 4; ++i) {
        busy[i] = &sim.vcpu(i);
        sim.start(*busy[i]);
    }
    Vcpu& does_not_care{sim.vcpu(1)};
    Vcpu& wants_node_0{sim.vcpu(domain, 2)};
    prefer(0);
    sim.start(does_not_care);
    sim.start(wants_node_0);
    ASSERT_TRUE(test::is_queued(does_not_care) && test::is_queued(wants_node_0));
    block(*busy[0]);
    EXPECT_EQ(&sim.current(0), &wants_node_0);
    EXPECT_TRUE(test::is_queued(does_not_care));
}

TEST_F(TwoNodes, ACacheHotVcpuIsNotStolen)
{
    EXPECT_TRUE(sim.core().set_policy_param("migration_delay_us", 5000).ok());
    Vcpu& hot{sim.vcpu(0)};
    Vcpu& busy{sim.vcpu(0)};
    sim.start_asleep(hot);
    sim.start(busy);
    sim.wake(hot, 0);
    EXPECT_TRUE(test::is_queued(hot)) << "it ran a moment ago";
    sim.run(ms(5));
    sim.reschedule(1);
    EXPECT_EQ(&sim.current(1), &hot);
}

// --- where it does not

// A wake queues on the old pCPU, and if that idles it is tickled before any preference is looked at.
TEST_F(TwoNodes, UpstreamsWeakness_ShortBurstsStayOnTheWrongNodeForEver)
{
    guest::Guest& guest{sim.guest(domain, 2, test::burst(us(100), us(100), us(900), us(900)))};
    prefer(0);
    sim.start(guest);
    Duration on_node_1{};
    for (int i = 0; i < 1000; ++i) {
        sim.run(ms(10));
        if (node_of(guest.vcpu) == node(1))
            on_node_1 += ms(10);
    }
    EXPECT_EQ(on_node_1, ms(10'000));
    EXPECT_EQ(guest.phases, 10'000u);
}

TEST(Distances, UpstreamsWeakness_AnIdlePcpuIsChosenByNumberAndNotByDistance)
{
    // Node 2 is next to node 0, node 1 is far away.
    Sim sim{MachineShape::regular(3, 1, 1), 3, {}, {10, 40, 11, 40, 10, 40, 11, 40, 10}};
    Vcpu& waking{sim.vcpu(0)};
    Vcpu& busy{sim.vcpu(0)};
    sim.start_asleep(waking);
    sim.start(busy);
    sim.wake(waking, 0);
    EXPECT_EQ(waking.processor(), cpu(1));
}

// A probe by the tick must not turn the rotor that spreads over equals.
TEST(CreditPlacement, APickThatIsOnlyAskedForLeavesNoTrace)
{
    Sim sim{4};
    guest::Guest& hog{sim.hog(sim.domain(), 0)};
    sim.start(hog);
    std::vector<CpuId> before;
    for (unsigned i = 0; i < 4; ++i)
        before.push_back(static_cast<CreditPcpu*>(sim.pool().pcpu(cpu(i)).policy_data)->idle_bias);
    std::size_t const picks{sim.heard_of(trace::Event::picked_cpu).size()};
    sim.run(ms(500));
    EXPECT_GT(sim.heard_of(trace::Event::picked_cpu).size(), picks + 10);
    for (unsigned i = 0; i < 4; ++i)
        EXPECT_EQ(static_cast<CreditPcpu*>(sim.pool().pcpu(cpu(i)).policy_data)->idle_bias, before[i]);
}

TEST(CreditPlacement, AnAffinityChangeFindsTheIdlePcpuAmongBusyOnes)
{
    Sim sim{4};
    for (unsigned i = 0; i < 3; ++i)
        sim.start(sim.hog(sim.domain(), i));
    guest::Guest& moved{sim.hog(sim.domain(), 0)};
    sim.on(0, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().set_hard_affinity(self, moved.vcpu, cpus({1, 2, 3}), now).ok());
    });
    EXPECT_EQ(moved.vcpu.processor(), cpu(3));
}

} // namespace
} // namespace hv::sched::credit
