// Faults of charging and accounting: who pays for what, who earns how much. docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <random>

namespace hv::sched {
namespace {

using namespace test;

SimOptions quiet() { return {.trace_mask = 0}; }

TEST(Regression, E01_WhoSleepsAcrossEveryTickStillPaysForAllItRan)
{
    Sim sim{1, quiet()};
    guest::Guest& evader{sim.guest(sim.domain(), 0, gridsleep(ms(10), us(300)))};
    sim.start(evader);
    sim.start(sim.hog(sim.domain(), 0));
    sim.run(ms(5000));

    std::int64_t const ran{sim.spent(evader.vcpu, RunState::running).ns()};
    EXPECT_GT(ran, ms(1000).ns());
    EXPECT_FALSE(credit_of(evader.vcpu).is_active()) << "what it earned would hide what it paid";
    EXPECT_NEAR(-credits(evader.vcpu), static_cast<double>(ran) / credit::ns_per_credit, 1.0);
}

// With 32 bits each would earn 44.
TEST(Regression, E02_TheLargestWeightsOnManyPcpusEarnFullShares)
{
    Sim sim{16};
    Domain& heavy{sim.domain({.weight = 65535})};
    for (unsigned i = 0; i < 16; ++i) {
        Vcpu& vcpu{sim.vcpu(heavy, i)};
        sim.start(vcpu);
        activate(sim, vcpu);
        credit_of(vcpu).credit.store(-300);
    }
    account(sim);
    for (Vcpu& vcpu : heavy.vcpus)
        EXPECT_EQ(credits(vcpu), 0);
}

TEST(Regression, E07_WhoHasTooMuchBecomesInactiveWithHalfOfItNotWithNothing)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    activate(sim, vcpu);
    credit_of(vcpu).credit.store(250);
    account(sim);
    EXPECT_FALSE(credit_of(vcpu).is_active());
    EXPECT_EQ(credits(vcpu), (250 + 300) / 2);
    EXPECT_EQ(prio(vcpu), Prio::under);
}

TEST(Regression, E08_ADomainWithTwoVcpusGetsTwiceWhatOneVcpuOfTheSameWeightGets)
{
    Sim sim{1, quiet()};
    Domain& two{sim.domain()};
    guest::Guest* const hogs[]{&sim.hog(two, 0), &sim.hog(two, 0), &sim.hog(sim.domain(), 0)};
    for (guest::Guest* const hog : hogs)
        sim.start(*hog);
    sim.run(ms(30'000));
    for (guest::Guest* const hog : hogs)
        EXPECT_NEAR(share(sim, hog->vcpu), 1.0 / 3, 0.01);
}

TEST(Regression, E21_WeightsAndCapsChangedAThousandTimesASecondLeaveTheAccountsInOrder)
{
    Sim sim{4, quiet()};
    std::mt19937 random{21};
    std::vector<Domain*> domains;
    for (unsigned i = 0; i < 3; ++i) {
        domains.push_back(&sim.domain());
        for (unsigned home = 0; home < 4; home += 2)
            sim.start(sim.hog(*domains.back(), home));
    }
    for (unsigned step = 0; step < 2000; ++step) {
        sim.run(ms(1));
        DomainParams const params{.weight = static_cast<std::uint16_t>(1 + random() % 65535),
                                  .cap = static_cast<std::uint16_t>(random() % 3 == 0 ? 0 : random() % 200)};
        sim.on(step % 4, [&] { sim.core().set_params(*domains[random() % 3], params); });
        ASSERT_TRUE(sim.core().is_consistent()) << "step " << step;
    }
    for (Domain* const domain : domains)
        sim.on(0, [&] { sim.core().set_params(*domain, {}); });
    sim.run(ms(2000));
    for (Domain* const domain : domains)
        for (Vcpu const& vcpu : domain->vcpus)
            EXPECT_EQ(vcpu.pause_count.load(), 0u) << "parked for ever";
}

TEST(Regression, E26_AHundredThousandShortRunsAreChargedToWithinOneCredit)
{
    Sim sim{1, quiet()};
    // Runs from 50 to 80 us of each 100: no tick ever sees it, so it earns nothing and its credit is what it paid.
    guest::Guest& guest{sim.guest(sim.domain(), 0, periodic(us(100), us(30), us(50)))};
    sim.start(guest);
    sim.run(ms(10'000));

    std::int64_t const ran{sim.spent(guest.vcpu, RunState::running).ns()};
    EXPECT_GE(ran, us(30).ns() * 99'990);
    EXPECT_FALSE(credit_of(guest.vcpu).is_active());
    EXPECT_NEAR(-credits(guest.vcpu), static_cast<double>(ran) / credit::ns_per_credit, 1.0);
}

TEST(Regression, E39_CapsAreExactWithAnyTimeSliceChosenAtTheStart)
{
    for (std::int64_t const tslice : {5, 30, 100}) {
        Sim sim{1, {.params = {{"tslice_ms", tslice}}, .trace_mask = 0}};
        guest::Guest& hog{sim.hog(sim.domain({.cap = 50}), 0)};
        sim.start(hog);
        sim.run(ms(30'000));
        EXPECT_NEAR(share(sim, hog.vcpu), 0.5, 0.01) << "tslice_ms " << tslice;
    }
}

// A third of the period, and still a whole old period's credits in each: three times the cap.
TEST(Regression, E39_ATimeSliceChangedLaterMakesCapsWrong_ShownByCredit)
{
    Sim sim{1, quiet()};
    guest::Guest& hog{sim.hog(sim.domain({.cap = 25}), 0)};
    sim.start(hog);
    sim.run(ms(3000));
    EXPECT_TRUE(sim.core().set_policy_param("tslice_ms", 10).ok());
    Duration const before{sim.spent(hog.vcpu, RunState::running)};
    EXPECT_LT(before, ms(800));
    sim.run(ms(30'000));
    EXPECT_GT(sim.spent(hog.vcpu, RunState::running) - before, ms(20'000));
}

TEST(Regression, E48_TheCreditsOfAPeriodAreThoseOfThePcpusThatAreThere)
{
    Sim sim{4};
    EXPECT_TRUE(sim.core().is_consistent()); // credit = pCPUs x credits per slice is part of it
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().pcpu_down(self, cpu(0), now).ok()); });
    EXPECT_TRUE(sim.core().is_consistent());
    sim.on(0, [&](CpuId self, Instant now) { sim.core().pcpu_up(self, now); });
    EXPECT_TRUE(sim.core().is_consistent());
}

TEST(Regression, E48_TheCreditsOfAPeriodStayWhatTheyWereWhenTheSliceChanges_ShownByCredit)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    activate(sim, vcpu);
    EXPECT_TRUE(sim.core().set_policy_param("tslice_ms", 10).ok());
    credit_of(vcpu).credit.store(-300);
    account(sim);
    EXPECT_EQ(credits(vcpu), 0) << "300 for 10 ms";
}

TEST(Regression, E53_ANowFromBeforeTheLastDecisionAddsNegativeTimeToNobody_Safe)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.run_to(ms(1));
    sim.reschedule(0);
    EXPECT_EQ(credits(vcpu), -10);
    sim.on(0, [&](CpuId self, Instant) {
        static_cast<void>(sim.core().schedule(self, Instant::at(us(400))));
        EXPECT_EQ(credits(vcpu), -10);
        EXPECT_TRUE(sim.core().block(self, vcpu, Instant::at(us(400))));
        EXPECT_TRUE(sim.core().schedule(self, Instant::at(us(-5))).next->is_idle());
    });
    EXPECT_EQ(credits(vcpu), -10);
    for (Duration const spent : vcpu.run_state.spent)
        EXPECT_GE(spent, Duration{});
}

TEST(Regression, E67_AVcpuThatItsCapReleasesComesBackBoosted_ShownByCredit)
{
    Sim sim{1};
    guest::Guest& hog{sim.hog(sim.domain({.cap = 10}), 0)};
    sim.start(hog);
    auto const is_parked = [&] { return credit_of(hog.vcpu).has(credit::Flag::parked); };
    for (unsigned i = 0; i < 1000 && !is_parked(); ++i)
        sim.run(ms(1));
    ASSERT_TRUE(is_parked());
    EXPECT_EQ(prio(hog.vcpu), Prio::over);
    sim.heard().clear();
    for (unsigned i = 0; i < 1000 && is_parked(); ++i)
        sim.run(ms(1));
    ASSERT_FALSE(is_parked());
    EXPECT_EQ(prio(hog.vcpu), Prio::boost);
    EXPECT_EQ(sim.heard_of(trace::Event::boost_start).size(), 1u);
}

// The hog of the same weight keeps what the rate limit protects around each tick; upstream: 83.9 %.
TEST(Regression, E98_WhoSleepsAcrossEveryTickTakesMostOfThePcpuWhateverItsCap_ShownByCredit)
{
    for (std::uint16_t const cap : {std::uint16_t{0}, std::uint16_t{25}}) {
        Sim sim{1, quiet()};
        guest::Guest& evader{sim.guest(sim.domain({.cap = cap}), 0, gridsleep(ms(10), us(300)))};
        sim.start(evader);
        sim.start(sim.hog(sim.domain(), 0));
        sim.run(ms(10'000));
        EXPECT_GT(share(sim, evader.vcpu), 0.80) << "cap " << cap;
        EXPECT_LT(credits(evader.vcpu), -10'000);
        EXPECT_FALSE(credit_of(evader.vcpu).has(credit::Flag::parked));
    }
}

} // namespace
} // namespace hv::sched
