// Domains that are paused and that end while their vCPUs run, wait, sleep, move or are in a peer's hands.
#include "sched/core.hpp"

#include "tests/unit/sched/core_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hv::sched {
namespace {

using test::cpu;
using test::cpus;
using test::ms;
using test::us;

class LifeTest : public test::CoreTest {
protected:
    void SetUp() override
    {
        sim.system().set_farewell(
            {.self = this,
             .vcpu = [](void* self, Vcpu&) noexcept { ++static_cast<LifeTest*>(self)->vcpus_; },
             .domain = [](void* self,
                          Domain& gone) noexcept { static_cast<LifeTest*>(self)->gone_.push_back(gone.id); }});
    }

    bool destroy(Domain& domain, unsigned by = 2)
    {
        bool ok{false};
        sim.on(by, [&](CpuId self, Instant now) { ok = sim.core().destroy(self, domain, now).ok(); });
        return ok;
    }
    [[nodiscard]] std::size_t bytes() const
    {
        return const_cast<test::Sim&>(sim).machine().bytes_in_use(test::node(0));
    }
    [[nodiscard]] bool is_gone(DomainId id) const { return std::ranges::find(gone_, id) != gone_.end(); }

    std::vector<DomainId> gone_;
    unsigned vcpus_{0};
};

// --- pauses

TEST_F(LifeTest, APausedDomainRunsAgainWhenEachPauseHasBeenUndone)
{
    Domain& domain{sim.domain()};
    Vcpu& running{sim.vcpu(domain, 0)};
    Vcpu& asleep{sim.vcpu(domain, 1)};
    sim.start(running);
    sim.start_asleep(asleep);
    sim.on(2, [&](CpuId self, Instant now) {
        sim.core().pause(self, domain, now);
        sim.core().pause(self, domain, now);
    });
    EXPECT_TRUE(sim.idles(0));
    EXPECT_TRUE(sim.core().has_stopped(domain));
    sim.wake(asleep, 2); // Awake, but paused.
    EXPECT_TRUE(sim.idles(1));
    sim.on(2, [&](CpuId self, Instant now) { sim.core().unpause(self, domain, now); });
    EXPECT_TRUE(sim.idles(0));
    sim.on(2, [&](CpuId self, Instant now) { sim.core().unpause(self, domain, now); });
    EXPECT_TRUE(sim.runs(running));
    EXPECT_TRUE(sim.runs(asleep));
}

TEST_F(LifeTest, AVcpusOwnPauseOutlastsItsDomains)
{
    Domain& domain{sim.domain()};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    sim.start(vcpu);
    pause(vcpu);
    sim.on(2, [&](CpuId self, Instant now) {
        sim.core().pause(self, domain, now);
        sim.core().unpause(self, domain, now);
    });
    EXPECT_TRUE(sim.idles(0));
    unpause(vcpu);
    EXPECT_TRUE(sim.runs(vcpu));
}

// --- the end

TEST_F(LifeTest, ADomainGivesBackAllItsMemoryWhereverItsVcpusAre)
{
    std::size_t const before{bytes()};
    Domain& domain{sim.domain()};
    DomainId const id{domain.id};
    Vcpu& running{sim.vcpu(domain, 0)};
    Vcpu& waiting{sim.vcpu(domain, 0)};
    Vcpu& asleep{sim.vcpu(domain, 1)};
    Vcpu& paused{sim.vcpu(domain, 1)};
    sim.vcpu(domain, 2); // never started
    sim.start(running);
    sim.start(waiting);
    sim.start_asleep(asleep);
    sim.start(paused);
    pause(paused);
    EXPECT_GT(bytes(), before);
    EXPECT_TRUE(destroy(domain));
    EXPECT_EQ(bytes(), before);
    EXPECT_EQ(vcpus_, 5u);
    EXPECT_TRUE(is_gone(id));
    EXPECT_EQ(sim.core().find(id), nullptr);
    EXPECT_TRUE(sim.core().domains().empty());
    for (unsigned const each : {0u, 1u, 2u})
        EXPECT_TRUE(sim.idles(each));
}

TEST_F(LifeTest, ADomainLastsUntilTheLastContextIsSaved)
{
    Domain& domain{sim.domain()};
    DomainId const id{domain.id};
    sim.start(sim.vcpu(domain, 0));
    sim.start(sim.vcpu(domain, 1));
    sim.hold_contexts();
    EXPECT_TRUE(destroy(domain));
    EXPECT_TRUE(sim.idles(0));
    EXPECT_FALSE(is_gone(id)) << "its contexts are still being saved";
    EXPECT_FALSE(sim.core().has_stopped(domain));
    sim.save_contexts();
    EXPECT_TRUE(is_gone(id));
}

TEST_F(LifeTest, ADomainThatEndsStaysUntilEveryPcpuHasRescheduled)
{
    Domain& domain{sim.domain()};
    DomainId const id{domain.id};
    sim.vcpu(domain, 0);
    sim.on(1, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().destroy(self, domain, now).ok());
        EXPECT_FALSE(is_gone(id));
        EXPECT_EQ(domain.stage, LifeStage::unlinked);
        for (unsigned const passes : {0u, 2u}) { // This pCPU may still look at it.
            static_cast<void>(sim.system().reschedule(cpu(passes), now));
            EXPECT_FALSE(is_gone(id));
        }
    });
    EXPECT_TRUE(is_gone(id));
}

TEST_F(LifeTest, ADomainThatEndsCannotBeFoundOrEndedOrAddedTo)
{
    Domain& domain{sim.domain()};
    sim.vcpu(domain, 0);
    std::uint64_t const serial{domain.serial};
    EXPECT_EQ(sim.core().find(domain.id, serial), &domain);
    sim.on(1, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().destroy(self, domain, now).ok());
        EXPECT_EQ(sim.core().find(domain.id), nullptr);
        EXPECT_EQ(sim.core().destroy(self, domain, now).error(), CoreError::ending);
        EXPECT_EQ(sim.core().create_vcpu(self, domain, self, now).error(), CoreError::ending);
        EXPECT_EQ(sim.core().create_domain(domain.id).error(), CoreError::exists) << "somebody may still mean the old";
    });
}

TEST_F(LifeTest, AnIdThatComesAgainIsNotMistakenForTheOldOne)
{
    Domain& old{sim.domain()};
    DomainId const id{old.id};
    std::uint64_t const serial{old.serial};
    EXPECT_TRUE(destroy(old));
    auto const reborn = sim.core().create_domain(id);
    ASSERT_TRUE(reborn.ok());
    EXPECT_EQ(sim.core().find(id), *reborn);
    EXPECT_EQ(sim.core().find(id, serial), nullptr);
    EXPECT_EQ(sim.core().create_domain(id).error(), CoreError::exists);
}

TEST_F(LifeTest, ADomainEndsFromOneOfItsOwnVcpus)
{
    Domain& domain{sim.domain()};
    DomainId const id{domain.id};
    sim.start(sim.vcpu(domain, 1));
    EXPECT_TRUE(destroy(domain, 1));
    EXPECT_TRUE(is_gone(id));
    EXPECT_TRUE(sim.idles(1));
}

TEST_F(LifeTest, ADomainWithoutVcpusEndsToo)
{
    std::size_t const before{bytes()};
    EXPECT_TRUE(destroy(sim.domain()));
    EXPECT_EQ(bytes(), before);
}

TEST_F(LifeTest, TwoThatEndAtOnceBothGo)
{
    std::size_t const before{bytes()};
    Domain& first{sim.domain()};
    Domain& second{sim.domain()};
    sim.start(sim.vcpu(first, 0));
    sim.start(sim.vcpu(second, 1));
    sim.on(2, [&](CpuId self, Instant now) {
        EXPECT_TRUE(sim.core().destroy(self, first, now).ok());
        EXPECT_TRUE(sim.core().destroy(self, second, now).ok());
    });
    EXPECT_EQ(gone_.size(), 2u);
    EXPECT_EQ(bytes(), before);
}

TEST_F(LifeTest, AVcpuThatIsAboutToMoveEndsWithItsDomain)
{
    Domain& domain{sim.domain()};
    DomainId const id{domain.id};
    Vcpu& vcpu{sim.vcpu(domain, 0)};
    sim.start(vcpu);
    sim.hold_contexts();
    EXPECT_TRUE(set_hard(vcpu, cpus({1}))); // It moves when its context is saved.
    EXPECT_TRUE(destroy(domain));
    sim.save_contexts();
    EXPECT_TRUE(is_gone(id));
    EXPECT_TRUE(sim.idles(1));
}

TEST_F(LifeTest, TheTraceTellsThatEachVcpuWentOfflineAndThenTheDomain)
{
    Domain& domain{sim.domain()};
    Vcpu& running{sim.vcpu(domain, 0)};
    sim.start(running);
    sim.start_asleep(sim.vcpu(domain, 1));
    sim.heard().clear();
    EXPECT_TRUE(destroy(domain));
    EXPECT_EQ(sim.heard_of(trace::Event::domain_remove).size(), 1u);
    auto const count = [&](RunState from) {
        return std::ranges::count_if(
            sim.heard(), [&](auto const& one) { return one.number == trace::runstate_event(from, RunState::offline); });
    };
    EXPECT_EQ(count(RunState::running), 1);
    EXPECT_EQ(count(RunState::blocked), 1);
}

// --- under the real policies

class PolicyLifeTest : public testing::TestWithParam<char const*> {
protected:
    test::Sim sim{arch::MachineShape::regular(2, 2, 1), 2, {.policy = find_policy(GetParam())}};

    [[nodiscard]] std::vector<std::size_t> bytes()
    {
        return {sim.machine().bytes_in_use(test::node(0)), sim.machine().bytes_in_use(test::node(1))};
    }
    void destroy(Domain& domain, unsigned by)
    {
        sim.on(by, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, domain, now).ok()); });
    }
    Domain& busy_domain(DomainParams params)
    {
        Domain& domain{sim.domain(params)};
        for (unsigned i = 0; i < 6; ++i)
            sim.start(sim.guest(domain, i % 4, test::burst(us(100), ms(3), us(50), ms(2)), i));
        return domain;
    }
};

TEST_P(PolicyLifeTest, NothingOfACappedDomainIsLeftAndTheOthersGoOn)
{
    Domain& stays{busy_domain({})};
    sim.run(ms(50));
    auto const before = bytes();
    for (unsigned round = 0; round < 20; ++round) {
        Domain& goes{busy_domain({.weight = 512, .cap = 50})};
        sim.run(ms(17) + us(370) * round);
        destroy(goes, round % 4);
        EXPECT_EQ(bytes(), before) << "after round " << round;
        EXPECT_TRUE(sim.core().is_consistent());
    }
    sim.switches().clear();
    sim.run(ms(500));
    for (Vcpu const& vcpu : stays.vcpus)
        EXPECT_TRUE(std::ranges::any_of(sim.switches(), [&](auto const& one) { return one.to == &vcpu; }));
}

TEST_P(PolicyLifeTest, NoTimerOfAnOldGuestWakesItsSuccessor)
{
    Domain& old{sim.domain()};
    sim.start(sim.guest(old, 0, test::periodic(ms(10), us(10), ms(7))));
    sim.run(ms(1));
    destroy(old, 1);
    Domain& heir{sim.domain()};
    guest::Guest& guest{sim.guest(heir, 0, test::pingpong(us(10), 0, false))}; // waits for an event that never comes
    EXPECT_EQ(guest.number, 0u) << "the number is free again";
    sim.start(guest);
    sim.run(ms(50));
    EXPECT_EQ(guest.phases, 0u);
    EXPECT_TRUE(guest.vcpu.has_flag(PauseFlag::blocked));
}

INSTANTIATE_TEST_SUITE_P(Policies, PolicyLifeTest, testing::Values("credit", "null", "numacredit"),
                         [](auto const& policy) { return std::string{policy.param}; });

} // namespace
} // namespace hv::sched
