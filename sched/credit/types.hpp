// What `credit` keeps for each pCPU, vCPU and domain, and its parameters. Names are upstream's
// (docs/upstream-names.md).
//
// Locking: "private lock" is Credit's own, before any run-queue lock; "run-queue lock" that of the pCPU whose queue it
// is. Floor: sched.
#pragma once

#include "sched/policy.hpp"
#include "sched/run_queue.hpp"
#include "sched/tunable.hpp"

#include <atomic>
#include <cstdint>

namespace hv::sched::credit {

// 1 credit is 100 us of one pCPU.
inline constexpr std::int64_t credits_per_ms = 10;

struct Params {
    Tunable<Duration> tslice{Duration::from_ms(30)};   // slice and accounting period, 1..1000 ms
    Tunable<Duration> ratelimit{Duration::from_ms(1)}; // least run time before a preemption; 0 = none
    Tunable<Duration> migration_delay{Duration{}};     // how long a vCPU counts as cache hot; 0 = never
    Tunable<bool> tickle_one_idle{true};               // wake one idle pCPU, or all that would do
    Tunable<bool> smt_power_savings{false};            // prefer siblings of busy threads

    [[nodiscard]] std::int64_t credits_per_tslice() const
    {
        return credits_per_ms * (Duration{tslice}.ns() / 1'000'000);
    }
    [[nodiscard]] Duration tick_period() const
    {
        std::int64_t const ticks = tslice < Duration::from_ms(3) ? 1 : 3;
        return Duration::from_us(Duration{tslice}.ns() / 1'000 / ticks); // whole microseconds, as upstream
    }
};

// Upstream's statistics, a set a pCPU, counted by the pCPU that does the thing.
struct Counters {
    std::uint64_t schedule{0}, delay_ms{0};
    std::uint64_t acct_run{0}, acct_no_work{0}, acct_balance{0}, acct_reorder{0}, acct_min_credit{0};
    std::uint64_t acct_vcpu_active{0}, acct_vcpu_idle{0}, vcpu_park{0}, vcpu_unpark{0}, vcpu_boost{0};
    std::uint64_t tickle_idlers_none{0}, tickle_idlers_some{0};
    std::uint64_t load_balance_idle{0}, load_balance_over{0}, load_balance_other{0};
    std::uint64_t steal_trylock_failed{0}, steal_peer_idle{0}, vcpu_hot{0};
    std::uint64_t migrate_queued{0}, migrate_running{0}, migrate_kicked_away{0};
};

struct ActiveVcpuTag;
struct ActiveDomainTag;
struct CreditDomain;

enum class Flag : std::uint32_t {
    parked = 1u << 0, // paused by the cap
    yield = 1u << 1,  // asked to yield; used up at the next queueing
};

struct CreditVcpu : ListNode<RunQueueTag>, ListNode<ActiveVcpuTag> {
    explicit CreditVcpu(Vcpu& owner)
        : vcpu{owner}, is_idle{owner.is_idle()}, prio_{owner.is_idle() ? Prio::idle : Prio::under}
    {
    }

    [[nodiscard]] Prio prio() const noexcept { return prio_.load(std::memory_order_relaxed); }
    // relaxed: accounting writes it without the run-queue lock; readers take either value, and the queue is sorted
    // later.
    void set_prio(Prio prio) { prio_.store(prio, std::memory_order_relaxed); }

    [[nodiscard]] bool is_queued() const { return ListNode<RunQueueTag>::is_linked(); }
    // Written under the private lock. relaxed: the tick looks without it; whoever is to be made active is looked at
    // again.
    [[nodiscard]] bool is_active() const { return active_.load(std::memory_order_relaxed); }
    void set_active(bool active) { active_.store(active, std::memory_order_relaxed); }

    [[nodiscard]] bool has(Flag flag) const { return (flags_.load() & static_cast<std::uint32_t>(flag)) != 0; }
    // Both return whether it was set. Atomic: flags are written under different locks (upstream lost a PARKED once).
    bool set(Flag flag)
    {
        return (flags_.fetch_or(static_cast<std::uint32_t>(flag)) & static_cast<std::uint32_t>(flag)) != 0;
    }
    bool clear(Flag flag)
    {
        return (flags_.fetch_and(~static_cast<std::uint32_t>(flag)) & static_cast<std::uint32_t>(flag)) != 0;
    }

    Vcpu& vcpu;
    bool const is_idle; // not to be told from the priority: with idle work to do it is boosted
    // relaxed everywhere: burning and earning commute, and nothing else hangs on it.
    std::atomic<std::int32_t> credit{0};
    std::int64_t residual{0};      // what charging left over, in 1e-6 credits; 0..999999
    std::int64_t start_ns{0};      // running: charged up to here; else the same minus the time it stopped
    bool useful_preference{false}; // run-queue lock; see affinity.hpp

private:
    std::atomic<std::uint32_t> flags_{0};
    std::atomic<Prio> prio_;
    std::atomic<bool> active_{false};
};

struct CreditDomain : ListNode<ActiveDomainTag> {
    explicit CreditDomain(Domain& owner) : domain{owner} {}

    Domain& domain;
    // Private lock.
    List<CreditVcpu, ActiveVcpuTag> active;
    std::int64_t active_count{0};
    std::int64_t weight{256};
    std::int64_t cap{0};
};

struct CreditPcpu {
    explicit CreditPcpu(Pcpu& owner) : pcpu{owner} {}

    Pcpu& pcpu;
    RunQueue<CreditVcpu> queue HV_GUARDED_BY(pcpu.lock);
    // This pCPU's own. relaxed: others only show it.
    std::atomic<std::uint32_t> sorted_epoch{0};
    // Where the last pick of an idle neighbour ended. relaxed: picks for vCPUs of other pCPUs use it too, under those
    // pCPUs' locks; of two at once either may be remembered.
    std::atomic<CpuId> idle_bias{CpuId{}};
    CpuId last_tickled{};                              // rotor of the wakes that this pCPU carries out
    std::uint32_t waiting HV_GUARDED_BY(pcpu.lock){0}; // queued, the idle vCPU not counted
    Counters counters;                                 // this pCPU's own
};

// Charging run time. Credits are whole; what is left over is kept, so that the sum over any number of short runs is
// exact to one credit. Upstream: burn_credits.
struct Charge {
    std::int64_t credits;
    std::int64_t residual;
};

[[nodiscard]] constexpr Charge charge(Duration ran, std::int64_t residual)
{
    // 10 * 119 h in ns still fits 63 bits by far; upstream asserts that the quotient fits 32.
    std::int64_t const millionths = credits_per_ms * ran.ns() + residual;
    return {.credits = millionths / 1'000'000, .residual = millionths % 1'000'000};
}

inline constexpr std::int64_t ns_per_credit = 1'000'000 / credits_per_ms;

} // namespace hv::sched::credit
