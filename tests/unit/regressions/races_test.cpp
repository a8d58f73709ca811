// Faults of locks, memory order and life cycle. Threads play pCPUs where it takes two; each steers vCPUs of its own.
// docs/regressions.md has the table.
#include "tests/unit/regressions/support.hpp"

#include <chrono>
#include <functional>
#include <thread>

namespace hv::sched {
namespace {

using namespace test;

// Runs body(0), body(1), ... at once.
void at_once(unsigned threads, std::function<void(unsigned)> const& body)
{
    std::vector<std::thread> running;
    for (unsigned i = 0; i < threads; ++i)
        running.emplace_back(body, i);
    for (std::thread& thread : running)
        thread.join();
}

// The same, over and over: so many times do not help if one thread is done before the next one begins.
void for_a_while(unsigned threads, std::function<void(unsigned)> const& body)
{
    auto const end = std::chrono::steady_clock::now() + std::chrono::milliseconds{200};
    at_once(threads, [&](unsigned self) {
        while (std::chrono::steady_clock::now() < end)
            body(self);
    });
}

Instant later(std::atomic<std::int64_t>& clock) { return Instant::at_ns(clock.fetch_add(1'000)); }

// Every vCPU that can run either runs or is queued, on its own pCPU and once.
void expect_in_order(Bare& bare, std::vector<Vcpu*> const& vcpus)
{
    EXPECT_TRUE(bare.core().is_consistent());
    for (Vcpu* const vcpu : vcpus) {
        bool const runs{&bare.current(vcpu->processor()) == vcpu};
        EXPECT_EQ(runs, vcpu->is_running());
        EXPECT_EQ(!runs && vcpu->is_runnable(), credit_of(*vcpu).is_queued());
        EXPECT_FALSE(vcpu->has_flag(PauseFlag::migrating));
    }
}

// What a pCPU of the storm does next.
void storm_step(Bare& bare, CpuId self, Vcpu& mine, std::uint32_t draw, Instant now)
{
    Core& core{bare.core()};
    switch (draw % 6) {
    case 0: {
        CpuMask mask{CpuMask::of(CpuId{static_cast<CpuId::Rep>(draw / 6 % 3)})};
        mask.set(CpuId{static_cast<CpuId::Rep>(draw / 18 % 3)});
        static_cast<void>(core.set_hard_affinity(self, mine, mask, now));
        break;
    }
    case 1:
        core.pause_nosync(self, mine, now);
        core.unpause(self, mine, now);
        break;
    case 2:
        core.unblock(self, mine, now);
        break;
    case 3:
        if (!bare.current(self).is_idle())
            static_cast<void>(core.block(self, bare.current(self), now));
        break;
    default:
        break;
    }
    bare.reschedule(self, now);
}

void storm(unsigned seed, unsigned steps)
{
    Bare bare{3, 3};
    std::vector<Vcpu*> vcpus;
    for (unsigned i = 0; i < 9; ++i) {
        vcpus.push_back(&bare.vcpu(i % 3));
        bare.core().start(cpu(0), *vcpus.back(), false, Instant{});
    }
    std::atomic<std::int64_t> clock{1};
    at_once(3, [&](unsigned self) {
        std::mt19937 random{seed + self};
        for (unsigned i = 0; i < steps; ++i) {
            std::uint32_t const draw{static_cast<std::uint32_t>(random())};
            storm_step(bare, cpu(self), *vcpus[self * 3 + draw / 64 % 3], draw, later(clock));
        }
    });
    for (Vcpu* const vcpu : vcpus)
        bare.core().unblock(cpu(0), *vcpu, later(clock));
    for (unsigned round = 0; round < 9; ++round)
        bare.reschedule(cpu(round % 3), later(clock));
    expect_in_order(bare, vcpus);
}

// The vCPU moves while somebody waits for the lock of the pCPU that it leaves. (If that thread is not waiting yet after
// 50 ms, it finds the new pCPU at once: then this shows nothing, but it does not fail either.)
TEST(Regression, E10_AVcpuIsLockedByTheLockOfThePcpuThatItBelongsToWhenItIsGot)
{
    Bare bare{2, 2};
    Vcpu& moving{bare.vcpu(0)};
    TicketLock& left{bare.core().pool().pcpu(cpu(0)).lock};
    TicketLock& entered{bare.core().pool().pcpu(cpu(1)).lock};
    left.lock();
    entered.lock();
    std::atomic<bool> began{false}, finished{false};
    std::thread sleeper{[&] {
        began.store(true);
        bare.core().sleep_nosync(cpu(1), moving, Instant{});
        finished.store(true);
    }};
    while (!began.load())
        arch::relax();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    moving.set_processor(cpu(1));
    left.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    EXPECT_FALSE(finished.load()) << "it went on with the lock of a pCPU that the vCPU had left";
    entered.unlock();
    sleeper.join();
    EXPECT_FALSE(left.is_locked() || entered.is_locked());
}

TEST(Regression, E12_MigrationsThatCrossEachOtherNeverWaitForEachOther)
{
    Bare bare{2, 2};
    std::array<Vcpu*, 2> const vcpus{&bare.vcpu(0), &bare.vcpu(1)};
    std::atomic<std::int64_t> clock{1};
    at_once(2, [&](unsigned self) {
        for (unsigned i = 0; i < 10'000; ++i)
            static_cast<void>(
                bare.core().set_hard_affinity(cpu(self), *vcpus[self], cpus({(self + i + 1) % 2}), later(clock)));
    });
    EXPECT_EQ(vcpus[0]->processor(), cpu(0));
    EXPECT_EQ(vcpus[1]->processor(), cpu(1));
}

TEST(Regression, E28_APolicysFlagIsNotLostToAnotherOneChangedAtTheSameTime)
{
    Domain domain{DomainId{1}};
    Vcpu vcpu{domain, VcpuIndex{0}, cpu(0)};
    credit::CreditVcpu data{vcpu};
    std::array const flags{credit::Flag::parked, credit::Flag::yield};
    std::atomic<unsigned> lost{0};
    for_a_while(2, [&](unsigned self) {
        for (unsigned i = 0; i < 1000; ++i) {
            lost.fetch_add(data.set(flags[self]));
            lost.fetch_add(!data.clear(flags[self]));
        }
    });
    EXPECT_EQ(lost.load(), 0u);
}

TEST(Regression, E47_QueueingAndUnqueueingWithoutTheRunQueueLockIsCaught_Safe)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    EXPECT_DEATH(sim.policy<credit::Credit>().enqueue(cpu(0), vcpu, sim.now()), "is_locked");
    EXPECT_DEATH(sim.policy<credit::Credit>().sleep(cpu(0), vcpu, sim.now()), "is_locked");
}

TEST(Regression, E56_LookingAtAQueueWithoutItsLockToPickAPcpuIsCaught_Safe)
{
    Sim sim{1};
    Vcpu& vcpu{sim.vcpu(0)};
    EXPECT_DEATH(static_cast<void>(sim.policy<credit::Credit>().pick_cpu(cpu(0), vcpu, sim.now())), "is_locked");
}

TEST(Regression, E66_QueuesAndProcessorsAgreeAfterAStormOfAffinityChanges_Safe)
{
    for (unsigned seed = 0; seed < 3; ++seed)
        storm(660 + 10 * seed, 4000);
}

TEST(Regression, E73_APauseFlagIsNotLostToAnotherOneChangedAtTheSameTime_Safe)
{
    Domain domain{DomainId{1}};
    Vcpu vcpu{domain, VcpuIndex{0}, cpu(0)};
    std::array const flags{PauseFlag::blocked, PauseFlag::migrating};
    std::atomic<unsigned> lost{0};
    for_a_while(2, [&](unsigned self) {
        for (unsigned i = 0; i < 1000; ++i) {
            lost.fetch_add(vcpu.set_flag(flags[self]));
            lost.fetch_add(!vcpu.clear_flag(flags[self]));
        }
    });
    EXPECT_EQ(lost.load(), 0u);
}

// One pCPU's vCPU blocks for each event, another pCPU sends the next when the last has come. Once one is lost, both
// wait.
TEST(Regression, E74_AnEventThatComesWhileAVcpuBlocksIsNotLost)
{
    using Clock = std::chrono::steady_clock;
    Bare bare{2, 2};
    Vcpu& waiter{bare.vcpu(0)};
    ASSERT_TRUE(bare.core().set_hard_affinity(cpu(0), waiter, cpus({0}), Instant{}).ok());
    bare.core().start(cpu(0), waiter, false, Instant{});
    bare.reschedule(cpu(0), Instant{});
    std::atomic<std::int64_t> clock{1};
    std::atomic<unsigned> sent{0}, received{0};
    std::atomic<bool> over{false};
    at_once(2, [&](unsigned self) {
        if (self == 1) {
            auto const last = Clock::now() + std::chrono::seconds{1};
            for (auto t = Clock::now();
                 t < last || (sent.load() != received.load() && t < last + std::chrono::seconds{10});
                 t = Clock::now()) {
                if (sent.load() == received.load()) {
                    sent.fetch_add(1);
                    EXPECT_TRUE(bare.core().notify(cpu(1), waiter, later(clock)));
                }
                arch::relax();
            }
            over.store(true);
            return;
        }
        while (!over.load()) {
            bool waits{bare.core().block(cpu(0), waiter, later(clock))};
            while (waits && !over.load()) {
                bare.reschedule(cpu(0), later(clock));
                waits = &bare.current(cpu(0)) != &waiter;
                arch::relax();
            }
            received.fetch_add(waits ? 0 : 1);
        }
    });
    EXPECT_GT(sent.load(), 50u);
    EXPECT_EQ(received.load(), sent.load());
}

TEST(Regression, E77_NothingIsAllocatedOnceTheVcpusAreThere_Safe)
{
    Bare bare{3, 3};
    std::vector<Vcpu*> vcpus;
    for (unsigned i = 0; i < 6; ++i) {
        vcpus.push_back(&bare.vcpu(i % 3));
        bare.core().start(cpu(0), *vcpus.back(), false, Instant{});
    }
    std::size_t const before{bare.machine().allocations()};
    std::mt19937 random{77};
    std::atomic<std::int64_t> clock{1};
    for (unsigned i = 0; i < 5000; ++i) {
        std::uint32_t const draw{static_cast<std::uint32_t>(random())};
        storm_step(bare, cpu(i % 3), *vcpus[draw / 64 % 6], draw, later(clock));
    }
    EXPECT_EQ(bare.machine().allocations(), before);
}

TEST(Regression, E97_TheAccountingTimerIsDisarmedUnderThePrivateLockWithoutAnyWaiting)
{
    Sim sim{2};
    auto const leave = [&](unsigned who) {
        sim.on(who, [&](CpuId self, Instant now) { sim.policy<credit::Credit>().pcpu_leaves(self, self, now); });
    };
    auto const events_in_a_second = [&] {
        std::uint64_t const before{sim.machine().events_handled()};
        sim.run(ms(1000));
        return sim.machine().events_handled() - before;
    };
    leave(0);
    EXPECT_EQ(events_in_a_second(), 33u) << "the accounting goes on, on pCPU 1";
    leave(1);
    EXPECT_EQ(events_in_a_second(), 0u);
    EXPECT_TRUE(arch::held_locks().none());
}

} // namespace
} // namespace hv::sched
