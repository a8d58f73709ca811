// Charging and accounting of `credit`, against vectors that were run through upstream's own accounting.
#include "tests/unit/sched/credit_fixture.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace hv::sched::credit {
namespace {

using test::cpu;
using test::credit_of;
using test::credits;
using test::is_parked;
using test::ms;
using test::prio;
using test::Sim;
using test::us;

// --- charging

struct Burnt {
    std::int64_t run, credits, residual, offset; // offset: charged up to, minus now

    friend void PrintTo(Burnt const& b, std::ostream* out) { *out << "run of " << b.run << " ns"; }
};

class BurnVector : public testing::TestWithParam<std::vector<Burnt>> {};

TEST_P(BurnVector, ByTheFunction)
{
    std::int64_t residual{0}, offset{0};
    for (Burnt const& expected : GetParam()) {
        // What was charged ahead is run off first: nothing is due until then.
        std::int64_t const due{expected.run - offset};
        Charge const charged{due > 0 ? charge(Duration::from_ns(due), residual)
                                     : Charge{.credits = 0, .residual = residual}};
        residual = charged.residual;
        offset += charged.credits * ns_per_credit - expected.run;
        EXPECT_EQ(charged.credits, expected.credits);
        EXPECT_EQ(residual, expected.residual);
        EXPECT_EQ(offset, expected.offset);
    }
}

// The same, by running, sleeping and waking: however long it sleeps, nothing is charged for it.
TEST_P(BurnVector, ByThePolicy)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    for (Burnt const& expected : GetParam()) {
        int const before{credits(vcpu)};
        sim.run(Duration::from_ns(expected.run));
        sim.on(0, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().block(self, vcpu, now)); });
        EXPECT_EQ(before - credits(vcpu), expected.credits);
        EXPECT_EQ(credit_of(vcpu).residual, expected.residual);
        EXPECT_EQ(credit_of(vcpu).start_ns, expected.offset);
        sim.run(us(137));
        sim.wake(vcpu, 0);
    }
    ASSERT_LT(sim.now(), Instant::at(ms(10))) << "no tick came in between";
}

INSTANTIATE_TEST_SUITE_P(Credit, BurnVector,
                         testing::Values(std::vector<Burnt>{{150'000, 1, 500'000, -50'000},
                                                            {150'000, 2, 500'000, 0},
                                                            {150'000, 2, 0, 50'000},
                                                            {150'000, 1, 0, 0},
                                                            {150'000, 1, 500'000, -50'000},
                                                            {150'000, 2, 500'000, 0}},
                                         std::vector<Burnt>{{30'000, 0, 300'000, -30'000},
                                                            {30'000, 0, 900'000, -60'000},
                                                            {30'000, 1, 800'000, 10'000},
                                                            {30'000, 1, 0, 80'000},
                                                            {30'000, 0, 0, 50'000},
                                                            {30'000, 0, 0, 20'000},
                                                            {30'000, 0, 100'000, -10'000},
                                                            {30'000, 0, 500'000, -40'000}},
                                         std::vector<Burnt>{{99'999, 0, 999'990, -99'999},
                                                            {1, 1, 999'990, 0},
                                                            {100'000, 1, 999'990, 0},
                                                            {250'000, 3, 499'990, 50'000}}));

TEST(CreditCharge, ManyShortRunsAreChargedExactlyToOneCredit)
{
    std::mt19937_64 random{3};
    std::int64_t residual{0}, offset{0}, run_total{0}, charged_total{0};
    for (int i = 0; i < 200'000; ++i) {
        auto const run = static_cast<std::int64_t>(random() % 100'000);
        run_total += run;
        if (run - offset <= 0) { // Nothing is due yet.
            offset -= run;
            continue;
        }
        Charge const charged{charge(Duration::from_ns(run - offset), residual)};
        residual = charged.residual;
        offset += charged.credits * ns_per_credit - run;
        charged_total += charged.credits * ns_per_credit;
        ASSERT_LT(std::abs(charged_total - run_total), ns_per_credit) << i;
    }
}

// --- accounting

struct Spec {
    DomainParams params;
    std::vector<int> credits;
};

// Domains and vCPUs that are active, in this order, with these credits, and never run.
class Accounting {
public:
    Accounting(unsigned pcpus, std::vector<Spec> const& specs, std::int64_t tslice_ms = 30)
        : sim{pcpus, {.params = {{"tslice_ms", tslice_ms}}}}
    {
        for (Spec const& spec : specs) {
            Domain& domain{sim.domain(spec.params)};
            for (std::size_t i = 0; i < spec.credits.size(); ++i)
                vcpus_.push_back(&sim.vcpu(domain, 0));
        }
        // Who becomes active goes to the head of the list.
        for (std::size_t i = vcpus_.size(); i-- > 0;)
            sim.policy<Credit>().tick(cpu(0), *vcpus_[i], sim.now());
        for (Spec const& spec : specs)
            initial_.insert(initial_.end(), spec.credits.begin(), spec.credits.end());
        set(initial_);
    }

    void set(std::vector<int> const& values)
    {
        for (std::size_t i = 0; i < values.size(); ++i)
            credit_of(*vcpus_[i]).credit = values[i];
    }
    std::vector<int> account()
    {
        sim.on(0, [&](CpuId self, Instant now) {
            Parking parking{sim.core(), self, now};
            sim.policy<Credit>().account(self, now, parking);
        });
        EXPECT_TRUE(sim.core().is_consistent());
        std::vector<int> result;
        for (Vcpu* vcpu : vcpus_)
            result.push_back(credits(*vcpu));
        return result;
    }
    Vcpu& operator[](std::size_t i) { return *vcpus_[i]; }

    Sim sim;

private:
    std::vector<Vcpu*> vcpus_;
    std::vector<int> initial_;
};

using Ints = std::vector<int>;

TEST(CreditAccounting, VectorA_EqualWeightsShareAndTheSignOfTheCreditMakesThePriority)
{
    Accounting test{1, {{{256, 0}, {-300}}, {{256, 0}, {0}}}};
    EXPECT_EQ(test.account(), (Ints{-150, 150}));
    EXPECT_EQ(prio(test[0]), Prio::over);
    EXPECT_EQ(prio(test[1]), Prio::under);
}

TEST(CreditAccounting, VectorB_SharesFollowWeights)
{
    Accounting test{1, {{{512, 0}, {0}}, {{256, 0}, {0}}}};
    EXPECT_EQ(test.account(), (Ints{200, 100}));
}

TEST(CreditAccounting, VectorC_WeightCountsPerVcpu)
{
    Accounting test{2, {{{256, 0}, {-150, -150}}, {{256, 0}, {-300}}}};
    EXPECT_EQ(test.account(), (Ints{50, 50, -100}));
    EXPECT_EQ(prio(test[2]), Prio::over);
}

TEST(CreditAccounting, VectorD_NobodyEarnsMoreThanOnePcpusWorth)
{
    Accounting test{4, {{{256, 0}, {-300}}, {{256, 0}, {-300}}}};
    EXPECT_EQ(test.account(), (Ints{0, 0}));
}

TEST(CreditAccounting, VectorE1_WhatACapLeavesGoesToThoseLaterInTheList)
{
    Accounting test{1, {{{256, 25}, {0}}, {{256, 0}, {0}}}};
    EXPECT_EQ(test.account(), (Ints{75, 225}));
}

TEST(CreditAccounting, VectorE2_WhoLeavesASurplusToNobodyComesFirstNextTime)
{
    Accounting test{1, {{{256, 0}, {0}}, {{256, 25}, {0}}}};
    EXPECT_EQ(test.account(), (Ints{150, 75}));
    test.set({0, 0});
    EXPECT_EQ(test.account(), (Ints{225, 75}));
}

TEST(CreditAccounting, VectorF_ANegativeBalanceIsHandedOutOnTop)
{
    Accounting test{1, {{{256, 0}, {-250}}, {{256, 0}, {-250}}}};
    EXPECT_EQ(test.account(), (Ints{-100, -100})); // Leaves a balance of -200.
    test.set({-300, -300});
    EXPECT_EQ(test.account(), (Ints{-50, -50}));
}

TEST(CreditAccounting, VectorG_ACapIsSharedByTheDomainsVcpus)
{
    Accounting test{2, {{{256, 50}, {-100, -150}}}};
    EXPECT_EQ(test.account(), (Ints{-25, -75}));
    EXPECT_FALSE(is_parked(test[0]));
    EXPECT_FALSE(is_parked(test[1])) << "exactly at the limit is not beyond it";
}

TEST(CreditAccounting, VectorH_SurplusInTheMiddleOfTheListAndTheOrderItLeaves)
{
    Accounting test{2, {{{256, 0}, {-300}}, {{256, 10}, {0}}, {{512, 0}, {0, -100}}}};
    EXPECT_EQ(test.account(), (Ints{-200, 30, 235, 135}));
    // Second period, order b, a, c: a has its share of b's surplus, which it had not had behind b.
    test.set({-300, 0, -300, -300});
    EXPECT_EQ(test.account()[0], -300 + 114);
}

TEST(CreditAccounting, VectorI_WhoHoardsBecomesInactiveWithHalfOfIt)
{
    Accounting test{2, {{{256, 0}, {250}}, {{256, 0}, {-300}}}};
    EXPECT_EQ(test.account(), (Ints{275, 0}));
    EXPECT_FALSE(credit_of(test[0]).is_active());
    EXPECT_TRUE(credit_of(test[1]).is_active());
    EXPECT_EQ(test.sim.heard_of(trace::Event::account_stop).size(), 1u);
    EXPECT_EQ(test.account()[0], 275) << "the inactive earn nothing";
}

TEST(CreditAccounting, VectorJ_TheLimitOfAVcpuIsItsPartOfTheCap)
{
    Accounting test{4, {{{256, 100}, {-300, -200}}}};
    EXPECT_EQ(test.account(), (Ints{-150, -50}));
    EXPECT_FALSE(is_parked(test[0]));
}

TEST(CreditAccounting, VectorK_AShorterSliceHandsOutLess)
{
    Accounting test{1, {{{100, 0}, {-100}}, {{300, 0}, {-100}}}, 10};
    EXPECT_EQ(test.account(), (Ints{-75, -25}));
}

TEST(CreditAccounting, ACappedVcpuThatOwesMoreIsParkedOnceAndUnparkedWhenItHasPaid)
{
    Accounting test{1, {{{256, 25}, {-300}}}};
    EXPECT_EQ(test.account(), (Ints{-225}));
    EXPECT_TRUE(is_parked(test[0]));
    EXPECT_EQ(test[0].pause_count.load(), 1u);
    EXPECT_EQ(test.account(), (Ints{-150}));
    EXPECT_EQ(test[0].pause_count.load(), 1u) << "parked once";
    EXPECT_EQ(test.account(), (Ints{-75}));
    EXPECT_TRUE(is_parked(test[0]));
    EXPECT_EQ(test.account(), (Ints{0}));
    EXPECT_FALSE(is_parked(test[0]));
    EXPECT_EQ(test[0].pause_count.load(), 0u);
}

TEST(CreditAccounting, TakingTheCapAwayDoesNotUnparkBeforeTheDebtIsPaid)
{
    Accounting test{1, {{{256, 25}, {-300}}, {{256, 0}, {0}}}};
    static_cast<void>(test.account());
    ASSERT_TRUE(is_parked(test[0]));
    test.sim.core().set_params(test[0].domain, {.weight = 256, .cap = 0});
    test.set({-200, 0});
    EXPECT_EQ(test.account()[0], -50);
    EXPECT_TRUE(is_parked(test[0]));
    EXPECT_EQ(test.account()[0], 100);
    EXPECT_FALSE(is_parked(test[0]));
}

TEST(CreditAccounting, DebtIsForgivenBeyondOneSlice)
{
    Accounting test{1, {{{256, 0}, {-5000}}, {{256, 0}, {0}}}};
    EXPECT_EQ(test.account(), (Ints{-300, 150}));
}

// Upstream's 32 bits overflow here and hand out 44 each.
TEST(CreditAccounting, LargeWeightsDoNotOverflow)
{
    std::vector<Spec> specs(16, Spec{{65535, 0}, {0}});
    Accounting test{16, specs};
    EXPECT_EQ(test.account(), Ints(16, 300));
}

TEST(CreditAccounting, ChangingTheWeightOfActiveVcpusKeepsTheSum)
{
    Accounting test{1, {{{256, 0}, {0, 0}}, {{256, 0}, {0}}}};
    test.sim.core().set_params(test[0].domain, {.weight = 1024, .cap = 0});
    EXPECT_TRUE(test.sim.core().is_consistent());
    EXPECT_EQ(test.account(), (Ints{134, 134, 34})); // ceil(300 * 2048 / 2304) = 267, by two; ceil(300 * 256 / 2304)
}

TEST(CreditAccounting, ChangingTheWeightOfAnInactiveDomainLeavesTheSumAlone)
{
    Sim sim{1};
    Domain& domain{sim.domain()};
    static_cast<void>(sim.vcpu(domain, 0));
    sim.core().set_params(domain, {.weight = 1024, .cap = 0});
    EXPECT_TRUE(sim.core().is_consistent());
}

} // namespace
} // namespace hv::sched::credit
