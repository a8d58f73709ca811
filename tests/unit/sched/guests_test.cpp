// Workloads carried out: phases that survive being switched out, wake-ups, notifications, lost events.
#include "sched/guest/guests.hpp"

#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hv::sched::guest {
namespace {

using test::cpu;
using test::ms;
using test::Sim;
using test::us;

TEST(Guests, AHogAloneRunsAllTheTime)
{
    Sim sim{1};
    Guest& hog{sim.hog(sim.domain(), 0)};
    sim.start(hog);
    sim.run(ms(1000));
    EXPECT_EQ(sim.spent(hog.vcpu, RunState::running), ms(1000));
    EXPECT_EQ(hog.phases, 0u);
}

TEST(Guests, ABurstAlternatesRunningAndSleeping)
{
    Sim sim{1};
    Guest& guest{sim.guest(sim.domain(), 0, test::burst(ms(1), ms(1), ms(3), ms(3)))};
    sim.start(guest);
    sim.run(ms(400));
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::running), ms(100));
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::blocked), ms(300));
    EXPECT_EQ(guest.phases, 100u);
}

TEST(Guests, APhaseThatIsSwitchedOutKeepsWhatIsLeft)
{
    Sim sim{1};
    Domain& domain{sim.domain()};
    Guest& hog{sim.hog(domain, 0)};
    Guest& guest{sim.guest(domain, 0, test::burst(ms(50), ms(50), ms(1000), ms(1000)))};
    sim.start(guest);
    sim.start(hog);
    sim.run(ms(200));
    EXPECT_EQ(guest.phases, 1u);
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::running), ms(50)); // in two slices, 30 + 20
    EXPECT_GE(sim.switches().size(), 4u);
}

TEST(Guests, APeriodicGuestIsActivatedAtStartPlusPhasePlusPeriods)
{
    Sim sim{1};
    sim.run(ms(7));
    Guest& guest{sim.guest(sim.domain(), 0, test::periodic(ms(10), ms(2), ms(3)))};
    sim.start(guest);
    EXPECT_TRUE(guest.vcpu.has_flag(PauseFlag::blocked));
    sim.run(ms(100));
    std::vector<std::int64_t> starts;
    for (Sim::Switched const& change : sim.switches())
        if (change.to == &guest.vcpu)
            starts.push_back(change.when.ns() / 1'000'000);
    EXPECT_EQ(starts, (std::vector<std::int64_t>{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}));
    EXPECT_EQ(guest.missed.load(), 0u);
}

// 25 ms of work every 10 ms: each run sees two or three activations, of which one stays pending and the others are
// lost.
TEST(Guests, ActivationsBeyondThePendingOneAreCountedAsMissed)
{
    Sim sim{1};
    Guest& guest{sim.guest(sim.domain(), 0, test::periodic(ms(10), ms(25)))};
    sim.start(guest);
    sim.run(ms(1000) + us(1)); // activations at 0, 10, ... 1000: 101
    EXPECT_EQ(guest.phases, 40u);
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::running), ms(1000) + us(1)); // the pending one makes it go on at once
    // Each activation has either begun a phase (40 ended, one lasts), or is pending, or was lost.
    EXPECT_EQ(guest.missed.load(), 101u - 41u - (guest.vcpu.has_flag(PauseFlag::event_pending) ? 1u : 0u));
}

TEST(Guests, PingPongPartnersNeverComputeAtTheSameTime)
{
    Sim sim{2};
    Domain& domain{sim.domain()};
    Guest& ping{sim.guest(domain, 0, test::pingpong(us(50), 1, true))};
    Guest& pong{sim.guest(domain, 1, test::pingpong(us(70), 0, false))};
    sim.start(ping);
    sim.start(pong);
    sim.run(ms(120));
    EXPECT_EQ(sim.spent(ping.vcpu, RunState::running), us(50) * 1000);
    EXPECT_EQ(sim.spent(pong.vcpu, RunState::running), us(70) * 1000);
    EXPECT_EQ(ping.phases, 1000u);
    EXPECT_EQ(pong.phases, 1000u);
    std::vector<Vcpu const*> order;
    for (Sim::Switched const& change : sim.switches())
        if (!change.to->is_idle())
            order.push_back(change.to);
    for (std::size_t i = 1; i < order.size(); ++i)
        ASSERT_NE(order[i], order[i - 1]);
    EXPECT_EQ(ping.missed.load() + pong.missed.load(), 0u);
}

// The upstream weakness that this kind was made for: no tick ever sees it.
TEST(Guests, GridSleepIsAsleepAtEveryTick)
{
    Sim sim{1};
    Guest& guest{sim.guest(sim.domain(), 0, test::gridsleep(ms(10), us(300)))};
    sim.start(guest);
    int ticks_seen{0};
    for (int i = 1; i <= 100; ++i) {
        sim.run_to(ms(10) * i);
        ticks_seen += sim.runs(guest.vcpu) ? 1 : 0;
    }
    EXPECT_EQ(ticks_seen, 0);
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::running), ms(1000) - us(300) * 200 + us(300));
}

TEST(Guests, ASwitchCostsTheIncomingVcpuProgressButCountsAsItsRunTime)
{
    Sim sim{1, {.context_switch = us(10)}};
    Guest& guest{sim.guest(sim.domain(), 0, test::burst(ms(1), ms(1), ms(1), ms(1)))};
    sim.start(guest);
    sim.run(ms(1));
    EXPECT_EQ(guest.phases, 0u);
    sim.run(us(10));
    EXPECT_EQ(guest.phases, 1u);
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::running), ms(1) + us(10));
}

// Its end fell on the very instant of the switch: a nanosecond stays, so that the phase ends when it next runs.
TEST(Guests, APhaseThatIsSwitchedOutAtItsVeryEndEndsANanosecondAfterItRunsAgain)
{
    Sim sim{1};
    Domain& domain{sim.domain()};
    Guest& guest{sim.guest(domain, 0, test::burst(ms(30), ms(30), ms(500), ms(500)))};
    Guest& hog{sim.hog(domain, 0)};
    sim.start(guest);
    sim.start(hog);
    // At 30 ms slice and phase end; the slice was armed first.
    sim.run_to(ms(30));
    ASSERT_TRUE(sim.runs(hog.vcpu));
    EXPECT_EQ(guest.phases, 0u);
    EXPECT_EQ(guest.left, Duration::from_ns(1));
    sim.run_to(ms(60) + Duration::from_ns(1));
    EXPECT_EQ(guest.phases, 1u);
    EXPECT_EQ(sim.spent(guest.vcpu, RunState::running), ms(30) + Duration::from_ns(1));
}

TEST(Guests, TheSameSeedGivesTheSameRunAndAnotherSeedAnother)
{
    auto const run = [](std::uint64_t seed) {
        Sim sim{2};
        Domain& domain{sim.domain()};
        for (unsigned i = 0; i < 4; ++i)
            sim.start(sim.guest(domain, i % 2, test::burst(us(100), ms(3), us(100), ms(5)), seed));
        sim.run(ms(300));
        std::vector<std::pair<std::int64_t, std::uint16_t>> result;
        for (Sim::Switched const& change : sim.switches())
            result.emplace_back(change.when.ns(), change.to->index.value());
        return result;
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

TEST(Guests, AFullTableRefusesAnotherGuest)
{
    Sim sim{1};
    Domain& domain{sim.domain()};
    std::size_t added{0};
    auto const vcpu = sim.core().create_vcpu(cpu(0), domain, cpu(0), sim.now());
    ASSERT_TRUE(vcpu.ok());
    while (added < 1000 && sim.system().guests().add(**vcpu, {}, 1) != nullptr)
        ++added;
    EXPECT_EQ(added, 257u); // asked for 256; one more is the table's own
    EXPECT_EQ(sim.system().guests().all().size(), added);
}

} // namespace
} // namespace hv::sched::guest
