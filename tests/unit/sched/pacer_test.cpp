// What guests get done by the memory cost model: phases, refills, siblings and accesses, counted by the pacer.
#include "sched/guest/pacer.hpp"

#include "tests/unit/sched/memory_model_support.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hv::sched::guest {
namespace {

using sched::test::cpu;
using sched::test::ms;
using sched::test::Sim;
using sched::test::us;
using test::on;
using test::params;
using test::quiet;
using test::striped;

Workload of_kind(WorkloadKind kind, Duration run = forever, Duration block = ms(1))
{
    Workload work;
    work.kind = kind;
    work.run_min = work.run_max = run;
    work.block_min = work.block_max = block;
    return work;
}

// Two nodes of one core with two threads, a pCPU a thread.
class Paced {
public:
    explicit Paced(ModelParams const& p = quiet(params()), sched::test::SimOptions options = {})
        : sim{arch::MachineShape::regular(2, 1, 2), 2, options}
    {
        EXPECT_TRUE(sim.system().guests().use_model(p));
    }

    Guest& add(unsigned home, MemoryShares const& memory, Workload const& work, CpuMask const& hard)
    {
        Domain& domain{sim.domain()};
        Guest& guest{sim.guest(domain, home, work)};
        sim.system().guests().set_memory(domain, memory);
        sim.on(home, [&](CpuId self, Instant now) {
            EXPECT_TRUE(sim.core().set_hard_affinity(self, guest.vcpu, hard, now).ok());
        });
        return guest;
    }
    Tally tally(Guest& guest) { return sim.system().guests().pacer()->tally_of(*guest.progress, sim.now()); }

    Sim sim;
};

TEST(Pacer, PhasesOfWorkTakeLongerWhereMemoryIsRemote)
{
    Paced paced;
    Guest& local{paced.add(0, on(0), of_kind(WorkloadKind::jbb, ms(10), ms(1)), CpuMask::of(cpu(0)))};
    Guest& remote{paced.add(2, on(0), of_kind(WorkloadKind::jbb, ms(10), ms(1)), CpuMask::of(cpu(2)))};
    paced.sim.start(local);
    paced.sim.start(remote);
    paced.sim.run(ms(1100));
    EXPECT_EQ(local.phases, 100u);
    EXPECT_EQ(remote.phases, 85u); // 10 ms take 11.95 ms
    EXPECT_NEAR(static_cast<double>(paced.tally(remote).run.ns()) / static_cast<double>(paced.tally(remote).work.ns()),
                1.195, 1e-4);
}

TEST(Pacer, ARunningPhaseSlowsDownWhileItsSiblingIsBusyAndNoLonger)
{
    Paced paced;
    Guest& guest{paced.add(0, on(0), of_kind(WorkloadKind::cpu), CpuMask::of(cpu(0)))};
    Guest& sibling{paced.add(1, on(0), of_kind(WorkloadKind::cpu), CpuMask::of(cpu(1)))};
    paced.sim.start(guest);
    paced.sim.run(ms(100));
    paced.sim.start(sibling);
    paced.sim.run(ms(100));
    paced.sim.on(1, [&](CpuId self, Instant now) { paced.sim.core().pause_nosync(self, sibling.vcpu, now); });
    paced.sim.run(ms(100));
    EXPECT_NEAR(static_cast<double>(paced.tally(guest).work.ns()), 100e6 + 65e6 + 100e6, 1e4);
    EXPECT_NEAR(static_cast<double>(paced.tally(sibling).work.ns()), 65e6, 1e4);
}

TEST(Pacer, APhaseEndsWhenItsWorkIsDoneHoweverOftenThePaceChanged)
{
    Paced paced;
    Guest& guest{paced.add(0, on(0), of_kind(WorkloadKind::jbb, ms(20), ms(1000)), CpuMask::of(cpu(0)))};
    Guest& sibling{paced.add(1, on(0), sched::test::burst(us(300), us(300), us(700), us(700)), CpuMask::of(cpu(1)))};
    paced.sim.start(sibling);
    paced.sim.start(guest);
    while (guest.phases == 0)
        paced.sim.run(us(1));
    EXPECT_EQ(paced.tally(guest).work, ms(20));
    // 30 % of the time at 1 / (.7/.62 + .3*2.3), 70 % at full speed.
    double const mean{0.7 + 0.3 / (0.7 / 0.62 + 0.69)};
    EXPECT_NEAR(static_cast<double>(paced.tally(guest).run.ns()), 20e6 / mean, 0.3e6);
}

TEST(Pacer, AMoveCostsARefillByHowFarItWent)
{
    ModelParams p{quiet(params())};
    sched::test::SimOptions const options{};
    Paced paced{p, options};
    Guest& guest{paced.add(0, striped(), of_kind(WorkloadKind::jbb), CpuMask::of(cpu(0)))};
    paced.sim.start(guest);
    auto const move_to = [&](unsigned to) {
        paced.sim.on(to, [&](CpuId self, Instant now) {
            ASSERT_TRUE(paced.sim.core().set_hard_affinity(self, guest.vcpu, CpuMask::of(cpu(to)), now).ok());
        });
        paced.sim.run(ms(10));
    };
    paced.sim.run(ms(10));
    EXPECT_EQ(paced.tally(guest).refill, Duration{}); // The first dispatch moves nothing.
    move_to(1);
    EXPECT_EQ(paced.tally(guest).refill, Duration{}); // The sibling has the same caches.
    move_to(2);
    EXPECT_EQ(paced.tally(guest).refill, us(500));
    move_to(1);
    EXPECT_EQ(paced.tally(guest).refill, us(1000));
    EXPECT_EQ(paced.tally(guest).node_moves, 2u);
    EXPECT_EQ(paced.tally(guest).core_moves, 0u);
    Tally const tally{paced.tally(guest)};
    EXPECT_NEAR(static_cast<double>(tally.work.ns()) * (1 + 0.3 * 0.325),
                static_cast<double>((tally.run - tally.refill).ns()), 2e4);
}

TEST(Pacer, ContextSwitchesCostTimeBeforeProgress)
{
    Paced paced{quiet(params()), {.context_switch = us(10)}};
    Guest& guest{paced.add(0, on(0), of_kind(WorkloadKind::jbb, ms(1), ms(1)), CpuMask::of(cpu(0)))};
    paced.sim.start(guest);
    paced.sim.run(ms(1));
    EXPECT_EQ(guest.phases, 0u);
    paced.sim.run(us(10));
    EXPECT_EQ(guest.phases, 1u);
}

TEST(Pacer, EveryAccessIssuedIsLocalOrRemote)
{
    Paced paced{params()};
    std::vector<Guest*> guests;
    for (unsigned i = 0; i < 6; ++i) {
        std::vector<std::uint64_t> const pages{i, 7 - i, 0};
        guests.push_back(&paced.add(i % 4, MemoryShares::of_pages(pages),
                                    of_kind(i % 2 == 0 ? WorkloadKind::jbb : WorkloadKind::memory, ms(2), us(300)),
                                    CpuMask::first_n(4)));
        paced.sim.start(*guests.back());
    }
    paced.sim.run(ms(500));
    for (Guest* const guest : guests) {
        Tally const tally{paced.tally(*guest)};
        EXPECT_GT(tally.remote, 0u);
        EXPECT_EQ(tally.local + tally.remote, tally.issued);
        EXPECT_EQ(tally.issued, static_cast<std::uint64_t>(tally.work.ns()) << share_bits);
    }
}

TEST(Pacer, StripedMemoryIsHalfRemoteFromAnywhere)
{
    Paced paced;
    Guest& guest{paced.add(0, striped(), of_kind(WorkloadKind::memory, ms(3), us(100)), CpuMask::first_n(4))};
    paced.sim.start(guest);
    paced.sim.run(ms(300));
    Tally const tally{paced.tally(guest)};
    EXPECT_EQ(tally.local, tally.remote);
}

TEST(Pacer, ACpuTaskGetsAsMuchDoneWhereverItsMemoryIs)
{
    Paced paced{params()};
    Guest& local{paced.add(0, on(0), of_kind(WorkloadKind::cpu), CpuMask::of(cpu(0)))};
    Guest& remote{paced.add(2, on(0), of_kind(WorkloadKind::cpu), CpuMask::of(cpu(2)))};
    paced.sim.start(local);
    paced.sim.start(remote);
    paced.sim.run(ms(1000));
    EXPECT_EQ(paced.tally(local).work, ms(1000));
    EXPECT_EQ(paced.tally(remote).work, ms(1000));
    EXPECT_EQ(paced.tally(remote).stall, Duration{});
}

TEST(Pacer, ContentionSlowsThoseWhoShareAController)
{
    auto const work = [](unsigned tasks) {
        ModelParams p{params()};
        p.node_mbps = 4'000;
        Paced paced{p};
        std::vector<Guest*> guests;
        for (unsigned i = 0; i < tasks; ++i) {
            guests.push_back(
                &paced.add(2 * i, on(0), of_kind(WorkloadKind::jbb, ms(100), us(1)), CpuMask::of(cpu(2 * i))));
            paced.sim.start(*guests.back());
        }
        paced.sim.run(ms(300));
        return paced.tally(*guests.front()).work;
    };
    EXPECT_LT(work(2), work(1));
}

TEST(Pacer, ParentAndChildWorkSideBySide)
{
    Paced paced;
    Domain& domain{paced.sim.domain()};
    Workload child{of_kind(WorkloadKind::fork, us(300), us(500))};
    Workload parent{child};
    parent.partner = VcpuIndex{1};
    parent.has_token = true;
    Guest& first{paced.sim.guest(domain, 0, parent)};
    Guest& second{paced.sim.guest(domain, 2, child)};
    paced.sim.system().guests().set_memory(domain, striped());
    paced.sim.on(0, [&](CpuId self, Instant now) {
        ASSERT_TRUE(paced.sim.core().set_hard_affinity(self, first.vcpu, CpuMask::of(cpu(0)), now).ok());
        ASSERT_TRUE(paced.sim.core().set_hard_affinity(self, second.vcpu, CpuMask::of(cpu(2)), now).ok());
    });
    paced.sim.start(first);
    paced.sim.start(second);
    paced.sim.run(ms(852));
    // A cycle is 800 us of work in a row, at (1 + .2 * .325); 852 us.
    EXPECT_NEAR(static_cast<double>(first.phases) / 2, 1000, 2);
    EXPECT_NEAR(static_cast<double>(second.phases), 1000, 2);
    EXPECT_EQ(first.missed.load() + second.missed.load(), 0u);
}

TEST(Pacer, GuestsOutsideTheModelRunAsIfThereWereNone)
{
    Paced paced;
    Guest& plain{paced.add(0, striped(), sched::test::burst(ms(1), ms(1), ms(3), ms(3)), CpuMask::of(cpu(0)))};
    Guest& sibling{paced.add(1, striped(), of_kind(WorkloadKind::cpu), CpuMask::of(cpu(1)))};
    paced.sim.start(sibling);
    paced.sim.start(plain);
    paced.sim.run(ms(400));
    EXPECT_EQ(plain.phases, 100u);
    EXPECT_EQ(plain.progress, nullptr);
    EXPECT_LT(paced.tally(sibling).work, ms(400)); // but they are siblings
}

// Both kinds of phases use the same timer of the pCPU: who leaves must not disarm the one of who comes.
TEST(Pacer, PhasesInAndOutsideTheModelAlternateOnOnePcpu)
{
    Paced paced;
    Guest& plain{paced.add(0, on(0), {}, CpuMask::of(cpu(0)))};
    Guest& guest{paced.add(0, on(0), of_kind(WorkloadKind::jbb, ms(2), ms(20)), CpuMask::of(cpu(0)))};
    paced.sim.start(plain);
    paced.sim.start(guest);
    paced.sim.run(ms(500));
    EXPECT_GT(guest.phases, 15u);
    // No phase ran on until somebody looked at it.
    EXPECT_LE(paced.tally(guest).run, ms(2) * static_cast<std::int64_t>(guest.phases + 1));
}

TEST(Pacer, EqualSeedsGiveEqualWork)
{
    auto const run = [](std::uint64_t seed) {
        Paced paced{params()};
        std::vector<Guest*> guests;
        for (unsigned i = 0; i < 6; ++i) {
            Domain& domain{paced.sim.domain()};
            Workload work{of_kind(WorkloadKind::jbb, ms(3), us(600))};
            work.run_min = ms(1);
            work.block_min = us(200);
            guests.push_back(&paced.sim.guest(domain, i % 4, work, seed));
            paced.sim.system().guests().set_memory(domain, i % 2 == 0 ? striped() : on(1));
        }
        for (Guest* const guest : guests)
            paced.sim.start(*guest);
        paced.sim.run(ms(500));
        std::vector<std::int64_t> result;
        for (Guest* const guest : guests)
            result.push_back(paced.tally(*guest).work.ns());
        return result;
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

} // namespace
} // namespace hv::sched::guest
