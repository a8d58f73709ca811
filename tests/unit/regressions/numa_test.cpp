// Faults of node affinity. docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <map>

namespace hv::sched {
namespace {

using namespace test;

void prefer(Sim& sim, Domain& domain, NodeMask nodes)
{
    sim.on(0, [&](CpuId, Instant now) { EXPECT_TRUE(sim.core().set_node_affinity(domain, nodes, now).ok()); });
}

// How long the vCPUs of `domain` ran on pCPUs of `where`, from `begin` on.
Duration ran_on(Sim& sim, Domain const& domain, CpuMask const& where, Instant begin)
{
    Duration total;
    std::map<CpuId, Sim::Switched> last;
    auto const add = [&](Sim::Switched const& one, Instant end) {
        if (&one.to->domain == &domain && where.test(one.on) && end > begin)
            total += end - (one.when < begin ? begin : one.when);
    };
    for (Sim::Switched const& next : sim.switches()) {
        if (auto const before = last.find(next.on); before != last.end())
            add(before->second, next.when);
        last.insert_or_assign(next.on, next);
    }
    for (auto const& [on, one] : last)
        add(one, sim.now());
    return total;
}

TEST(Regression, E31_OnAHalfLoadedMachineDomainsRunWhereTheirMemoryIs)
{
    Sim sim{arch::MachineShape::regular(2, 4, 1), 2, {.trace_mask = 0}};
    std::vector<Domain*> domains;
    for (unsigned home = 0; home < 2; ++home) {
        Domain& domain{sim.domain()};
        domains.push_back(&domain);
        std::vector<guest::Guest*> guests;
        for (unsigned i = 0; i < 2; ++i) // Born on the other node.
            guests.push_back(&sim.guest(domain, (1 - home) * 4 + i, burst(ms(20), ms(60), ms(1), ms(10)), 31));
        prefer(sim, domain, NodeMask::of(node(home)));
        for (guest::Guest* const guest : guests)
            sim.start(*guest);
    }
    sim.run(ms(20'000));
    for (unsigned home = 0; home < 2; ++home) {
        CpuMask const at_home{sim.pool().topology().pcpus_of(node(home))};
        Instant const begin{Instant::at(ms(2000))};
        Duration const ran{ran_on(sim, *domains[home], CpuMask::first_n(8), begin)};
        EXPECT_GT(ran, ms(20'000));
        EXPECT_GE(ran_on(sim, *domains[home], at_home, begin) * 100, ran * 95);
    }
}

TEST(Regression, E32_APreferenceCanBeGivenReplacedAndGivenUp)
{
    Sim sim{arch::MachineShape::regular(2, 2, 1), 2};
    Domain& domain{sim.domain()};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    set_hard(sim, vcpu, cpus({0, 2, 3}));
    EXPECT_TRUE(domain.auto_node_affinity);
    EXPECT_EQ(domain.node_affinity, NodeMask::first_n(2));

    prefer(sim, domain, NodeMask::of(node(1)));
    EXPECT_FALSE(domain.auto_node_affinity);
    EXPECT_EQ(domain.node_affinity, NodeMask::of(node(1)));
    EXPECT_EQ(vcpu.soft_affinity, cpus({2, 3}));
    EXPECT_TRUE(credit_of(vcpu).useful_preference);

    sim.on(0, [&](CpuId, Instant now) { EXPECT_FALSE(sim.core().set_node_affinity(domain, NodeMask{}, now).ok()); });
    EXPECT_EQ(domain.node_affinity, NodeMask::of(node(1)));

    prefer(sim, domain, NodeMask::first_n(2)); // All that exist, not all that could: explicit, and of no consequence.
    EXPECT_FALSE(domain.auto_node_affinity);
    EXPECT_FALSE(credit_of(vcpu).useful_preference);

    prefer(sim, domain, NodeMask::of(node(0)));
    EXPECT_TRUE(credit_of(vcpu).useful_preference);
    prefer(sim, domain, NodeMask::all());
    EXPECT_TRUE(domain.auto_node_affinity);
    EXPECT_EQ(domain.node_affinity, NodeMask::first_n(2));
    EXPECT_FALSE(credit_of(vcpu).useful_preference);
}

TEST(Regression, E34_APreferenceForNodesOutsideThePoolIsSkipped_Safe)
{
    Bare bare{arch::MachineShape::regular(2, 2, 1), 2, 2}; // Node 1 has not come up.
    Vcpu& vcpu{bare.vcpu(0)};
    ASSERT_TRUE(bare.core().set_node_affinity(vcpu.domain, NodeMask::of(node(1)), Instant{}).ok());
    EXPECT_TRUE(credit_of(vcpu).useful_preference);
    ASSERT_TRUE(bare.core().set_hard_affinity(cpu(0), vcpu, CpuMask::first_n(4), Instant{}).ok());
    EXPECT_EQ(vcpu.processor(), cpu(0));
    ASSERT_TRUE(bare.core().set_hard_affinity(cpu(0), vcpu, cpus({1, 2, 3}), Instant{}).ok());
    EXPECT_EQ(vcpu.processor(), cpu(1));
}

TEST(Regression, E38_PinningTakesNodesOutOfAnExplicitNodeAffinityForGood_ShownByCredit)
{
    Sim sim{arch::MachineShape::regular(4, 2, 1), 4};
    Domain& domain{sim.domain()};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    NodeMask const wanted{NodeMask::first_n(2)};
    prefer(sim, domain, wanted);
    set_hard(sim, vcpu, cpus({0}));
    EXPECT_EQ(domain.node_affinity, NodeMask::of(NodeId{0}));
    set_hard(sim, vcpu, CpuMask::first_n(8));
    EXPECT_EQ(domain.node_affinity, NodeMask::of(NodeId{0}));
    EXPECT_EQ(vcpu.soft_affinity, CpuMask::first_n(2));
    // Unless nothing would be left.
    set_hard(sim, vcpu, cpus({6}));
    EXPECT_EQ(domain.node_affinity, NodeMask::of(NodeId{0}));
}

TEST(NodeAffinity, ThatWasAskedForSurvivesPinningUnlessThePolicyWantsItToShrink)
{
    Sim sim{arch::MachineShape::regular(4, 2, 1), 4, {.policy = find_policy("numacredit")}};
    Domain& domain{sim.domain()};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    prefer(sim, domain, NodeMask::first_n(2));
    set_hard(sim, vcpu, cpus({0}));
    EXPECT_EQ(domain.node_affinity, NodeMask::first_n(2));
    set_hard(sim, vcpu, CpuMask::first_n(8));
    EXPECT_EQ(domain.node_affinity, NodeMask::first_n(2));
    EXPECT_EQ(vcpu.soft_affinity, CpuMask::first_n(4));
}

TEST(NodeAffinity, IsPreferredByVcpusThatAreMadeAfterItWasSet)
{
    Sim sim{arch::MachineShape::regular(2, 2, 1), 4};
    Domain& domain{sim.domain()};
    static_cast<void>(sim.vcpu(domain, 0));
    prefer(sim, domain, NodeMask::of(NodeId{1}));
    Vcpu const& late{sim.vcpu(domain, 0)};
    EXPECT_TRUE(late.prefers);
    EXPECT_EQ(late.soft_affinity, cpus({2, 3}));
}

TEST(Regression, E41_TheSoftStepIsTakenThoughTheHardAffinityLiesWithinThePreference_ShownByCredit)
{
    Sim sim{arch::MachineShape::regular(4, 2, 1), 4};
    Domain& domain{sim.domain()};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    set_hard(sim, vcpu, cpus({0, 1}));
    prefer(sim, domain, NodeMask::first_n(2));
    EXPECT_EQ(step_mask(vcpu, BalanceStep::soft), step_mask(vcpu, BalanceStep::hard));
    EXPECT_TRUE(credit_of(vcpu).useful_preference);
}

} // namespace
} // namespace hv::sched
