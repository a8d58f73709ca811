// What a workload wants next, as a pure function of its state and the time.
#include "sched/guest/workload.hpp"

#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hv::sched::guest {
namespace {

using Kind = Action::Kind;
using test::ms;
using test::us;

WorkloadState state_of(Workload const& work, std::uint64_t seed = 1, std::uint16_t domain = 1, std::uint16_t vcpu = 0)
{
    return {.workload = work, .random = Random{seed, DomainId{domain}, VcpuIndex{vcpu}}};
}

TEST(Workload, AHogComputesLongerThanAnyRun)
{
    WorkloadState state{state_of({})};
    EXPECT_EQ(next(state, Instant{}).kind, Kind::compute);
    EXPECT_EQ(next(state, Instant{}).amount, forever);
    EXPECT_FALSE(begins_waiting({}));
}

TEST(Workload, ABurstComputesThenWaitsFromTheMomentItEnded)
{
    WorkloadState state{state_of(test::burst(us(10), us(20), us(30), us(40)))};
    EXPECT_FALSE(begins_waiting(state.workload));
    Instant now{Instant::at(ms(1))};
    for (int i = 0; i < 200; ++i) {
        Action const run{next(state, now)};
        ASSERT_EQ(run.kind, Kind::compute);
        ASSERT_TRUE(run.amount >= us(10) && run.amount <= us(20)) << run.amount.ns();
        now = now + run.amount;
        Action const wait{next(state, now)};
        ASSERT_EQ(wait.kind, Kind::wait_until);
        ASSERT_TRUE(wait.until - now >= us(30) && wait.until - now <= us(40));
        now = wait.until;
    }
}

TEST(Workload, EqualBoundsLeaveNothingToChance)
{
    WorkloadState state{state_of(test::burst(us(10), us(10), us(5), us(5)))};
    EXPECT_EQ(next(state, Instant{}).amount, us(10));
    EXPECT_EQ(next(state, Instant{}).until, Instant::at(us(5)));
}

// The generator is part of the scenario format: these figures come from its definition, not from this program.
TEST(Random, DrawsTheSequenceOfTheScenarioFormat)
{
    std::uint64_t s{(7 * 0x2545F4914F6CDD1Dull) ^ (std::uint64_t{4} << 32) ^ (std::uint64_t{3} << 8)};
    Random random{7, DomainId{3}, VcpuIndex{2}};
    for (int i = 0; i < 100; ++i) {
        s += 0x9E3779B97F4A7C15ull;
        std::uint64_t z{s};
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        z ^= z >> 31;
        EXPECT_EQ(random.between(us(1), us(2)).ns(), 1000 + static_cast<std::int64_t>(z % 1001));
    }
}

TEST(Random, DependsOnSeedDomainAndVcpu)
{
    auto const draws = [](std::uint64_t seed, std::uint16_t domain, std::uint16_t vcpu) {
        Random random{seed, DomainId{domain}, VcpuIndex{vcpu}};
        std::vector<Duration> result;
        for (int i = 0; i < 8; ++i)
            result.push_back(random.between(Duration{}, ms(1000)));
        return result;
    };
    EXPECT_EQ(draws(1, 2, 3), draws(1, 2, 3));
    EXPECT_NE(draws(1, 2, 3), draws(2, 2, 3));
    EXPECT_NE(draws(1, 2, 3), draws(1, 3, 3));
    EXPECT_NE(draws(1, 2, 3), draws(1, 2, 4));
    EXPECT_NE(draws(1, 2, 3), draws(1, 3, 2));
}

TEST(Workload, APeriodicOneBeginsByWaitingAndRunsOncePerActivation)
{
    WorkloadState state{state_of(test::periodic(ms(10), ms(2), ms(1)))};
    EXPECT_TRUE(begins_waiting(state.workload));
    Action const run{next(state, Instant{})};
    EXPECT_EQ(run.kind, Kind::compute);
    EXPECT_EQ(run.amount, ms(2));
    EXPECT_EQ(next(state, Instant{}).kind, Kind::wait);
    EXPECT_EQ(next(state, Instant{}).kind, Kind::compute);
}

TEST(Workload, PingPongNotifiesItsPartnerBeforeItWaits)
{
    WorkloadState state{state_of(test::pingpong(us(50), 5, true))};
    EXPECT_FALSE(begins_waiting(state.workload));
    EXPECT_TRUE(begins_waiting(test::pingpong(us(50), 5, false)));
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(next(state, Instant{}).kind, Kind::compute);
        Action const notify{next(state, Instant{})};
        EXPECT_EQ(notify.kind, Kind::notify);
        EXPECT_EQ(notify.partner, VcpuIndex{5});
        EXPECT_EQ(next(state, Instant{}).kind, Kind::wait);
    }
}

TEST(Workload, GridSleepComputesUntilBeforeTheNextGridPoint)
{
    WorkloadState state{state_of(test::gridsleep(ms(10), us(300)))};
    Action const run{next(state, Instant::at(ms(3)))};
    EXPECT_EQ(run.kind, Kind::compute_until);
    EXPECT_EQ(run.until, Instant::at(ms(10) - us(300)));
    Action const sleep{next(state, run.until)};
    EXPECT_EQ(sleep.kind, Kind::wait_until);
    EXPECT_EQ(sleep.until, Instant::at(ms(10) + us(300)));
}

TEST(Workload, GridSleepThatBeginsInTheGuardTakesTheNextPointButOne)
{
    for (std::int64_t const at : {9'700'000, 9'800'000, 9'999'999}) {
        WorkloadState state{state_of(test::gridsleep(ms(10), us(300)))};
        EXPECT_EQ(next(state, Instant::at_ns(at)).until, Instant::at(ms(20) - us(300))) << at;
    }
    WorkloadState state{state_of(test::gridsleep(ms(10), us(300)))};
    EXPECT_EQ(next(state, Instant::at_ns(10'000'000)).until, Instant::at(ms(20) - us(300)));
}

TEST(Workload, GridSleepWakesAtTheNextTimeThatIsTheGuardPastAPoint)
{
    auto const wake = [](std::int64_t at) {
        WorkloadState state{state_of(test::gridsleep(ms(10), us(300)))};
        state.step = 1; // about to sleep
        return next(state, Instant::at_ns(at)).until.ns();
    };
    EXPECT_EQ(wake(10'000'000), 10'300'000);
    EXPECT_EQ(wake(10'299'999), 10'300'000);
    EXPECT_EQ(wake(10'300'000), 20'300'000); // strictly later
    EXPECT_EQ(wake(9'700'000), 10'300'000);
}

} // namespace
} // namespace hv::sched::guest
