// pCPUs that go and come back under load, under every policy: down to one, and nothing is lost.
#include "sched/system.hpp"

#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace hv::sched {
namespace {

using namespace test;

class HotplugTest : public testing::TestWithParam<char const*> {
protected:
    static constexpr unsigned pcpu_count = 8;
    Sim sim{arch::MachineShape::regular(2, 2, 2), 2, {.policy = find_policy(GetParam())}};

    Status<CoreError> offline(unsigned leaving, unsigned by, Absence absence = Absence::for_good)
    {
        Status<CoreError> result{done};
        sim.on(by, [&](CpuId self, Instant now) { result = sim.system().offline(self, cpu(leaving), absence, now); });
        return result;
    }
    bool online(unsigned returning)
    {
        bool ok{false};
        sim.on(0, [&] { ok = sim.system().online(cpu(returning)).ok(); });
        return ok;
    }
    void pin(Vcpu& vcpu, CpuMask const& mask)
    {
        sim.on(0,
               [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().set_hard_affinity(self, vcpu, mask, now).ok()); });
    }
    std::vector<guest::Guest*> load(unsigned count)
    {
        std::vector<guest::Guest*> guests;
        Domain& domain{sim.domain()};
        for (unsigned i = 0; i < count; ++i) {
            guest::Workload const work{i % 3 == 0   ? periodic(ms(3), us(400), us(100 * i))
                                       : i % 3 == 1 ? burst(us(200), ms(2), us(100), ms(2))
                                                    : guest::Workload{}};
            guests.push_back(&sim.guest(domain, i % pcpu_count, work, i));
            sim.start(*guests.back());
        }
        return guests;
    }
};

TEST_P(HotplugTest, DownToOneAndBackUnderLoadEveryVcpuGoesOn)
{
    auto const guests = load(15);
    sim.run(ms(60));
    // The one with the accounting goes first, the last to stay is one in the middle.
    for (unsigned const leaving : {0u, 7u, 1u, 2u, 6u, 5u, 4u}) {
        EXPECT_TRUE(offline(leaving, 3).ok());
        EXPECT_TRUE(sim.system().is_off(cpu(leaving)));
        EXPECT_TRUE(sim.idles(leaving));
        sim.run(ms(7));
    }
    EXPECT_EQ(offline(3, 3).error(), CoreError::last_pcpu);
    sim.switches().clear();
    sim.run(ms(2'000));
    for (guest::Guest const* const guest : guests)
        EXPECT_TRUE(std::ranges::any_of(sim.switches(), [&](auto const& one) { return one.to == &guest->vcpu; }))
            << "vCPU " << guest->number << " did not run";
    for (auto const& one : sim.switches())
        EXPECT_EQ(one.on, cpu(3));
    for (unsigned const returning : {5u, 0u, 1u, 7u, 6u, 2u, 4u}) {
        EXPECT_TRUE(online(returning));
        sim.run(ms(7));
    }
    EXPECT_TRUE(sim.core().is_consistent());
    EXPECT_EQ(sim.pool().members().count(), pcpu_count);
    sim.switches().clear();
    auto const phases = [&] {
        std::vector<std::uint64_t> all;
        for (guest::Guest const* const guest : guests)
            all.push_back(guest->phases);
        return all;
    };
    auto const before = phases();
    sim.run(ms(1'000));
    auto const after = phases();
    for (std::size_t i = 0; i < guests.size(); ++i)
        EXPECT_TRUE(i % 3 == 2 || after[i] > before[i] + 5) << "vCPU " << i;
}

TEST_P(HotplugTest, WhoWaitsRunsOnAPcpuAsSoonAsItIsBack)
{
    if (std::string_view{GetParam()} == "null")
        GTEST_SKIP() << "moves nobody";
    for (unsigned const leaving : {1u, 2u, 3u, 4u, 5u, 6u, 7u})
        EXPECT_TRUE(offline(leaving, 0).ok());
    guest::Guest* const hogs[]{&sim.hog(sim.domain(), 0), &sim.hog(sim.domain(), 0)};
    for (guest::Guest* const hog : hogs)
        sim.start(*hog);
    sim.run(ms(5));
    EXPECT_TRUE(online(6));
    sim.run(us(100));
    EXPECT_FALSE(sim.idles(6));
    EXPECT_TRUE(sim.runs(hogs[0]->vcpu) && sim.runs(hogs[1]->vcpu));
}

TEST_P(HotplugTest, NothingIsArmedOnAPcpuThatIsOff)
{
    load(12);
    sim.run(ms(50));
    for (unsigned const leaving : {0u, 5u, 2u}) {
        EXPECT_TRUE(offline(leaving, 3).ok());
        EXPECT_TRUE(sim.machine().armed_on(cpu(leaving)).empty()) << "pCPU " << leaving;
    }
    sim.run(ms(200)); // Nor later, whoever starts to wait.
    for (unsigned const left : {0u, 5u, 2u})
        EXPECT_TRUE(sim.machine().armed_on(cpu(left)).empty()) << "pCPU " << left;
}

TEST_P(HotplugTest, AnAffinityBrokenForAWhileComesBackWithItsPcpu)
{
    guest::Guest& pinned{sim.hog(sim.domain(), 5)};
    pin(pinned.vcpu, cpus({5}));
    sim.start(pinned);
    sim.run(ms(20));
    EXPECT_TRUE(offline(5, 1, Absence::for_a_while).ok());
    sim.run(ms(20));
    EXPECT_EQ(pinned.vcpu.hard_affinity, CpuMask::first_n(pcpu_count));
    EXPECT_TRUE(sim.runs(pinned.vcpu));
    EXPECT_TRUE(online(5));
    sim.run(ms(20));
    EXPECT_EQ(pinned.vcpu.hard_affinity, cpus({5}));
    EXPECT_EQ(&sim.current(5), &pinned.vcpu);
}

TEST_P(HotplugTest, AnAffinityBrokenForGoodStaysSo)
{
    guest::Guest& pinned{sim.hog(sim.domain(), 5)};
    pin(pinned.vcpu, cpus({5}));
    sim.start(pinned);
    EXPECT_TRUE(offline(5, 1).ok());
    EXPECT_TRUE(online(5));
    EXPECT_EQ(pinned.vcpu.hard_affinity, CpuMask::first_n(pcpu_count));
}

TEST_P(HotplugTest, AnAffinityThatWasSetMeanwhileIsNotTakenBack)
{
    guest::Guest& pinned{sim.hog(sim.domain(), 5)};
    pin(pinned.vcpu, cpus({5}));
    sim.start(pinned);
    EXPECT_TRUE(offline(5, 1, Absence::for_a_while).ok());
    pin(pinned.vcpu, cpus({2}));
    EXPECT_TRUE(online(5));
    EXPECT_EQ(pinned.vcpu.hard_affinity, cpus({2}));
}

TEST_P(HotplugTest, APcpuThatIsNotOffCannotComeBackAndOneThatIsCannotLeave)
{
    EXPECT_FALSE(online(4));
    EXPECT_TRUE(offline(4, 0).ok());
    EXPECT_EQ(offline(4, 0).error(), CoreError::busy);
    EXPECT_TRUE(online(4));
    EXPECT_FALSE(online(4));
    EXPECT_TRUE(offline(4, 4).ok()) << "a pCPU may send itself away";
    EXPECT_TRUE(sim.system().is_off(cpu(4)));
}

TEST_P(HotplugTest, AVcpuThatIsMadeWhereNoPcpuIsGetsAnotherHome)
{
    EXPECT_TRUE(offline(6, 0).ok());
    guest::Guest& guest{sim.hog(sim.domain(), 6)};
    EXPECT_NE(guest.vcpu.processor(), cpu(6));
    sim.start(guest);
    EXPECT_TRUE(sim.runs(guest.vcpu));
}

TEST_P(HotplugTest, ADomainEndsWhilePcpusAreOff)
{
    std::size_t const before{sim.machine().bytes_in_use(node(0)) + sim.machine().bytes_in_use(node(1))};
    auto const guests = load(9);
    sim.run(ms(30));
    EXPECT_TRUE(offline(1, 0).ok());
    EXPECT_TRUE(offline(0, 2).ok());
    sim.on(2,
           [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, guests[0]->vcpu.domain, now).ok()); });
    EXPECT_EQ(sim.machine().bytes_in_use(node(0)) + sim.machine().bytes_in_use(node(1)), before);
}

INSTANTIATE_TEST_SUITE_P(Policies, HotplugTest, testing::Values("credit", "null", "numacredit"),
                         [](auto const& policy) { return std::string{policy.param}; });

} // namespace
} // namespace hv::sched
