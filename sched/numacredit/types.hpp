// What `numacredit` keeps for each pCPU, vCPU and domain, and its parameters.
//
// Credit here is a vCPU's distance from its fair share, in ns of run time: what it has got too little (positive) or too
// much. A vCPU on a queue, running or waiting, has a virtual time instead, its run time divided by its weight; credit
// is what it lags behind its queue's clock, the mean of those times by weight. While it sleeps, credit is what is
// stored.
//
// Locking: a vCPU's data are guarded by its run-queue lock, a pCPU's by its own; atomics are read without. Floor:
// sched.
#pragma once

#include "arch/generic/list.hpp"
#include "sched/policy.hpp"
#include "sched/tunable.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace hv::sched::numacredit {

// Run time by weight: ns * 2^16 / weight. Only differences mean anything, so it may wrap.
class VirtualTime {
public:
    static constexpr unsigned fraction_bits = 16;

    constexpr VirtualTime() = default;
    friend constexpr std::int64_t operator-(VirtualTime a, VirtualTime b)
    {
        return static_cast<std::int64_t>(a.value_ - b.value_);
    }
    friend constexpr VirtualTime operator+(VirtualTime a, std::int64_t distance)
    {
        return VirtualTime{a.value_ + static_cast<std::uint64_t>(distance)};
    }
    friend constexpr bool operator<(VirtualTime a, VirtualTime b) { return a - b < 0; }

private:
    constexpr explicit VirtualTime(std::uint64_t value) : value_{value} {}
    std::uint64_t value_{0};
};

// How far so much run time moves somebody (or a queue) of this weight, and back.
[[nodiscard]] constexpr std::int64_t virtual_of(Duration ran, std::int64_t weight)
{
    return (ran.ns() << VirtualTime::fraction_bits) / weight;
}
[[nodiscard]] constexpr Duration real_of(std::int64_t distance, std::int64_t weight)
{
    return Duration::from_ns((distance * weight) >> VirtualTime::fraction_bits);
}

inline constexpr std::memory_order relaxed{std::memory_order_relaxed};
inline constexpr std::int64_t default_weight = 256;

struct Params {
    Tunable<Duration> tslice{Duration::from_ms(30)};
    Tunable<Duration> ratelimit{Duration::from_ms(1)};
    Tunable<Duration> boost{Duration::from_ms(2)};
    Tunable<Duration> allowance{Duration::from_ms(4)};
    Tunable<Duration> credit_limit{Duration::from_ms(10)};
    Tunable<Duration> steal_gain{Duration::from_ms(30)};
    Tunable<Duration> away_gain{Duration::from_ms(120)};
    Tunable<Duration> patience{Duration::from_ms(1)};
    // What can be switched off, each by itself, to see what it is good for.
    Tunable<bool> wake_placement{true};
    Tunable<bool> steal_by_benefit{true};
    Tunable<bool> precise{true};
    Tunable<bool> boost_budget{true};
    Tunable<bool> cap_budget{true};
    Tunable<bool> ordered{true};
};

inline constexpr Duration accounting_period{Duration::from_ms(10)};
// A sleeper gains credit for so long at most.
inline constexpr Duration longest_gain{Duration::from_ms(100)};
inline constexpr Duration shortest_slice{Duration::from_us(100)};
// How far a queue may be from the machine's mean: those who may run only here get no more, and owe no less.
inline constexpr Duration longest_lag{Duration::from_ms(500)};

struct RunQueueTag;
struct SleeperTag;
struct DomainMemberTag;
struct CappedTag;

struct VcpuState : ListNode<RunQueueTag>, ListNode<SleeperTag>, ListNode<DomainMemberTag> {
    explicit VcpuState(Vcpu& owner) : vcpu{owner}, is_idle{owner.is_idle()}, capped{owner.domain.params.cap != 0} {}

    [[nodiscard]] bool is_queued() const { return ListNode<RunQueueTag>::is_linked(); }
    [[nodiscard]] bool is_asleep() const { return ListNode<SleeperTag>::is_linked(); }
    [[nodiscard]] bool is_boosted() const { return boost > Duration{}; }
    [[nodiscard]] bool is_away(CpuId cpu) const { return !home.empty() && !vcpu.soft_affinity.test(cpu); }

    Vcpu& vcpu;
    bool const is_idle;
    bool joined{false}; // counts in the weight of `member_of`: it runs, waits, or has slept but for a while
    CpuId member_of{};
    bool blocked{true};  // waited for an event when it last left
    bool ran_out{false}; // or was paused for want of budget: what it gets then it has been given
    bool yields{false};  // lets one other pass
    bool movable{true};  // more than one pCPU will do
    NodeMask home;       // nodes where it would rather run; empty if it does not mind
    std::int64_t weight{default_weight};
    VirtualTime at;     // joined: its run time by weight
    Duration credit;    // not joined: what it has too little
    Duration unmoved;   // ran since it last looked for a core with more room
    Duration boost;     // boosted: how much longer
    Duration allowance; // what it may run boosted; grows at the rate of its share, whether it runs or not
    Instant allowed;    // up to when that is counted
    Instant charged;    // running: charged up to here
    Instant fell_asleep;
    Duration credit_before; // asleep: its credit when it fell asleep
    // What is left to run of a capped domain's budget. relaxed: only sums count.
    std::atomic<std::int64_t> budget{shortest_slice.ns()};
    std::atomic<bool> capped;
    std::atomic<bool> parked{false}; // out of budget, paused
};

struct DomainState : ListNode<CappedTag> {
    explicit DomainState(Domain& owner) : domain{owner} {}

    Domain& domain;
    std::atomic<std::int64_t> weight{default_weight};
    // The policy's lock.
    std::int64_t cap{0};
    std::int64_t count{0};
    List<VcpuState, DomainMemberTag> members;
};

struct Counters {
    std::uint64_t schedule{0}, stolen{0}, stolen_better{0}, came_home{0};
};

struct PcpuState {
    explicit PcpuState(Pcpu& owner) : pcpu{owner} {}

    Pcpu& pcpu;
    NodeId node{}; // this and `near`: set when it first joins
    bool is_known{false};
    List<VcpuState, RunQueueTag>
        queue HV_GUARDED_BY(pcpu.lock); // the boosted, then by virtual time; never the idle vCPU
    List<VcpuState, SleeperTag> sleepers HV_GUARDED_BY(pcpu.lock); // the longest asleep first
    std::int64_t weight HV_GUARDED_BY(pcpu.lock){0};   // of all members: who runs, waits, or sleeps since a while
    std::int64_t heaviest HV_GUARDED_BY(pcpu.lock){0}; // of them
    std::uint32_t heaviest_count HV_GUARDED_BY(pcpu.lock){0};
    std::int64_t members HV_GUARDED_BY(pcpu.lock){0};
    std::uint32_t waiting HV_GUARDED_BY(pcpu.lock){0}, movable HV_GUARDED_BY(pcpu.lock){0};
    Instant until HV_GUARDED_BY(pcpu.lock); // end of the current slice
    // For peers, who look before they lock. relaxed: hints.
    std::atomic<VirtualTime> clock{}; // mean virtual time, by weight, of those who run or wait here
    std::atomic<VirtualTime> first{}; // of the one that waits first
    std::atomic<std::int64_t> first_weight{default_weight};
    std::atomic<std::uint32_t> load{0}; // how many run or wait here
    std::atomic<CpuId> rotor{CpuId{}};
    CpuId near_rotor{}, far_rotor{};               // this pCPU's own
    std::array<NodeId, NodeMask::capacity> near{}; // all nodes, the nearest first
    Counters counters;
};

} // namespace hv::sched::numacredit
