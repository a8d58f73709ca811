// The parameters of `credit`, what it refuses, and what weights and caps come to over time.
#include "tests/unit/sched/credit_fixture.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hv::sched::credit {
namespace {

using test::ms;
using test::per_mille;
using test::Sim;

// --- parameters

struct Setting {
    std::string_view key;
    std::int64_t value;
    std::string_view refusal; // empty: taken

    friend void PrintTo(Setting const& s, std::ostream* out) { *out << s.key << " = " << s.value; }
};

class CreditSetting : public testing::TestWithParam<Setting> {};

TEST_P(CreditSetting, IsTakenOrRefusedWithAWordOnWhatIsAllowed)
{
    Sim sim{1};
    auto const set = sim.core().set_policy_param(GetParam().key, GetParam().value);
    EXPECT_EQ(set.ok(), GetParam().refusal.empty());
    if (!set.ok()) {
        EXPECT_NE(set.error().text.find(GetParam().refusal), std::string_view::npos) << set.error().text;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Credit, CreditSetting,
    testing::Values(Setting{"ratelimit_us", 0, ""}, Setting{"ratelimit_us", 100, ""},
                    Setting{"ratelimit_us", 30'000, ""}, Setting{"ratelimit_us", 30'001, "not above tslice_ms"},
                    Setting{"ratelimit_us", 99, "100 to 500000"}, Setting{"ratelimit_us", -1, "0 (off)"},
                    Setting{"ratelimit_us", 500'001, "500000"}, Setting{"tslice_ms", 0, "1 to 1000"},
                    Setting{"tslice_ms", 1001, "1 to 1000"}, Setting{"tslice_ms", 10, ""},
                    Setting{"migration_delay_us", 0, ""}, Setting{"migration_delay_us", 100'000, ""},
                    Setting{"migration_delay_us", 100'001, "0 to 100000"},
                    Setting{"migration_delay_us", -1, "0 to 100000"}, Setting{"tickle_one_idle", 0, ""},
                    Setting{"tickle_one_idle", 2, "0 or 1"}, Setting{"smt_power_savings", 1, ""},
                    Setting{"smt_power_savings", -1, "0 or 1"}, Setting{"Tslice_ms", 30, "known are"},
                    Setting{"", 0, "known are"}));

TEST(CreditParams, ARefusedSettingChangesNothing)
{
    Sim sim{1};
    std::array<char, 256> buffer{};
    auto const described = [&] {
        BufferSink sink{buffer};
        sim.core().describe(sink);
        return std::string{sink.text()};
    };
    std::string const before{described()};
    EXPECT_TRUE(before.starts_with(
        "scheduler: credit\ntslice 30 ms, ratelimit 1000 us, migration delay 0 us, tickle one idle: yes\n"))
        << before;
    EXPECT_FALSE(sim.core().set_policy_param("ratelimit_us", 99).ok());
    EXPECT_FALSE(sim.core().set_policy_param("tslice_ms", 1001).ok());
    EXPECT_EQ(described(), before);
    EXPECT_TRUE(sim.core().set_policy_param("ratelimit_us", 5000).ok());
    EXPECT_NE(described().find("ratelimit 5000 us"), std::string::npos);
}

TEST(CreditParams, ASliceIsNeverShorterThanTheRateLimit)
{
    Sim sim{1, {.params = {{"ratelimit_us", 5000}}}};
    EXPECT_FALSE(sim.core().set_policy_param("tslice_ms", 4).ok());
    EXPECT_TRUE(sim.core().set_policy_param("tslice_ms", 5).ok());
}

// Mended upstream in 4.4: the slice gets shorter, but each period still hands out what the long one did.
TEST(CreditParams, UpstreamsWeakness_ASliceChangedWhileRunningKeepsTheCreditsOfTheOldOne)
{
    Sim sim{1};
    guest::Guest& capped{sim.hog(sim.domain({.weight = 256, .cap = 25}), 0)};
    sim.start(capped);
    EXPECT_TRUE(sim.core().set_policy_param("tslice_ms", 10).ok());
    sim.run(ms(1000));
    Duration const before{sim.spent(capped.vcpu, RunState::running)};
    sim.run(ms(9000));
    EXPECT_GT(per_mille(sim.spent(capped.vcpu, RunState::running) - before, ms(9000)), 700) << "three times its cap";
}

TEST(CreditParams, DerivedQuantitiesAreUpstreams)
{
    struct Row {
        std::int64_t tslice_ms, credits, tick_us;
    };
    for (Row const& row : {Row{30, 300, 10'000}, Row{10, 100, 3'333}, Row{5, 50, 1'666}, Row{1, 10, 1'000},
                           Row{1000, 10'000, 333'333}}) {
        Params params;
        params.tslice = ms(row.tslice_ms);
        EXPECT_EQ(params.credits_per_tslice(), row.credits);
        EXPECT_EQ(params.tick_period(), Duration::from_us(row.tick_us));
    }
}

// --- weights over time

TEST(CreditShares, TwoEqualHogsHaveHalfAPcpuEach)
{
    Sim sim{1};
    guest::Guest& a{sim.hog(sim.domain(), 0)};
    guest::Guest& b{sim.hog(sim.domain(), 0)};
    sim.start(a);
    sim.start(b);
    sim.run(ms(60'000));
    EXPECT_EQ(per_mille(sim.spent(a.vcpu, RunState::running), ms(60'000)), 500);
    EXPECT_EQ(per_mille(sim.spent(b.vcpu, RunState::running), ms(60'000)), 500);
}

TEST(CreditShares, TwiceTheWeightIsTwiceTheTime)
{
    Sim sim{1};
    guest::Guest& heavy{sim.hog(sim.domain({.weight = 512}), 0)};
    guest::Guest& light{sim.hog(sim.domain({.weight = 256}), 0)};
    sim.start(heavy);
    sim.start(light);
    sim.run(ms(60'000));
    EXPECT_NEAR(static_cast<double>(per_mille(sim.spent(heavy.vcpu, RunState::running), ms(60'000))), 667, 2);
    EXPECT_NEAR(static_cast<double>(per_mille(sim.spent(light.vcpu, RunState::running), ms(60'000))), 333, 2);
}

TEST(CreditShares, NobodyHasMoreThanAWholePcpu)
{
    Sim sim{2};
    std::vector<guest::Guest*> hogs;
    for (std::uint16_t const weight : std::initializer_list<std::uint16_t>{256, 512, 256})
        hogs.push_back(&sim.hog(sim.domain({.weight = weight}), 0));
    for (guest::Guest* hog : hogs)
        sim.start(*hog);
    sim.run(ms(1000)); // to settle
    std::vector<Duration> before;
    for (guest::Guest* hog : hogs)
        before.push_back(sim.spent(hog->vcpu, RunState::running));
    sim.run(ms(20'000));
    auto const share = [&](std::size_t i) {
        return static_cast<double>(per_mille(sim.spent(hogs[i]->vcpu, RunState::running) - before[i], ms(20'000)));
    };
    EXPECT_NEAR(share(0), 500, 5);
    EXPECT_NEAR(share(1), 1000, 5);
    EXPECT_NEAR(share(2), 500, 5);
}

// --- caps over time

struct Cap {
    std::uint16_t percent;
    std::string pattern; // of periods: R it ran, . it was parked; empty: only the average is checked

    friend void PrintTo(Cap const& c, std::ostream* out) { *out << c.percent << "%"; }
};

class CreditCap : public testing::TestWithParam<Cap> {};

TEST_P(CreditCap, IsExactOverThirtySecondsInPeriodsOfThirtyMilliseconds)
{
    Sim sim{1};
    guest::Guest& hog{sim.hog(sim.domain({.weight = 256, .cap = GetParam().percent}), 0)};
    sim.start(hog);
    sim.run(ms(9'000));
    Duration const before{sim.spent(hog.vcpu, RunState::running)};
    std::string pattern;
    for (int period = 0; period < 1000; ++period) {
        Duration const start{sim.spent(hog.vcpu, RunState::running)};
        sim.run(ms(30));
        Duration const ran{sim.spent(hog.vcpu, RunState::running) - start};
        ASSERT_TRUE(ran == ms(30) || ran == Duration{}) << "period " << period << ": " << ran.ns();
        pattern += ran == ms(30) ? 'R' : '.';
    }
    EXPECT_EQ(sim.spent(hog.vcpu, RunState::running) - before, ms(300) * GetParam().percent);
    // Wherever in its cycle the measurement began.
    std::string repeated;
    while (repeated.size() < pattern.size() + GetParam().pattern.size() && !GetParam().pattern.empty())
        repeated += GetParam().pattern;
    EXPECT_TRUE(GetParam().pattern.empty() || repeated.find(pattern) != std::string::npos) << pattern.substr(0, 60);
    EXPECT_TRUE(sim.core().is_consistent());
}

// At 75 and 90 percent the first cycle is shorter: the vCPU begins without debt.
INSTANTIATE_TEST_SUITE_P(Credit, CreditCap,
                         testing::Values(Cap{10, "R........."}, Cap{25, "R..."}, Cap{33, ""}, Cap{50, "RR.."},
                                         Cap{75, "RRRRRR.."}, Cap{90, "RRRRRRRRRRRRRRRRRR.."}),
                         [](auto const& instance) {
                             return "At" + std::to_string(instance.param.percent) + "Percent";
                         });

TEST(CreditCapOfADomain, IsSharedByItsVcpus)
{
    Sim sim{2};
    Domain& domain{sim.domain({.weight = 256, .cap = 50})};
    guest::Guest& a{sim.hog(domain, 0)};
    guest::Guest& b{sim.hog(domain, 1)};
    sim.start(a);
    sim.start(b);
    sim.run(ms(30'000));
    EXPECT_NEAR(static_cast<double>(per_mille(sim.spent(a.vcpu, RunState::running), ms(30'000))), 250, 10);
    EXPECT_NEAR(static_cast<double>(per_mille(sim.spent(b.vcpu, RunState::running), ms(30'000))), 250, 10);
}

} // namespace
} // namespace hv::sched::credit
