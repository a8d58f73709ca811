// `credit`: Xen's credit scheduler as of 4.3 with NUMA node affinity, decision for decision, quirks included.
//
// Every vCPU has credit, which running burns and a periodic accounting hands out by weight. Who has credit left is
// UNDER, who has not is OVER; who wakes up UNDER is BOOSTed for a while. A pCPU runs the best of its queue, and when
// that is worse than UNDER looks for better on others, first for vCPUs that would rather run here. Its weaknesses are
// kept: this is the control group. One file a matter: accounting.cpp who earns what, tickle.cpp whom a wake disturbs,
// pick.cpp where a vCPU goes, balance.cpp what an unemployed pCPU takes, credit.cpp the hooks.
//
// Locking: private_lock_ guards what accounting works on and comes before any run-queue lock. Floor: sched.
#pragma once

#include "sched/affinity.hpp"
#include "sched/credit/types.hpp"

namespace hv::sched::credit {

class Credit {
public:
    static constexpr std::string_view name{"credit"};
    static constexpr bool has_credit = true;
    static constexpr bool shrinks_node_affinity = true;

    using PcpuData = CreditPcpu;
    using VcpuData = CreditVcpu;
    using DomainData = CreditDomain;

    explicit Credit(Pool& pool) : pool_{pool} {}

    Decision schedule(CpuId self, Vcpu& current, Instant now, bool force_idle) noexcept;
    WakeDecision wake(CpuId self, Vcpu& vcpu, Instant now) noexcept;
    void enqueue(CpuId self, Vcpu& vcpu, Instant now) noexcept;
    void sleep(CpuId self, Vcpu& vcpu, Instant now) noexcept;
    CpuId pick_cpu(CpuId self, Vcpu& vcpu, Instant now) noexcept;

    void pcpu_joins(CpuId cpu, Instant now) noexcept;
    void pcpu_leaves(CpuId by, CpuId cpu, Instant now) noexcept;
    void vcpu_removed(CpuId by, Vcpu& vcpu, Instant now) noexcept;
    void affinity_changed(Vcpu& vcpu, Instant now) noexcept;
    void params_changed(Domain& domain, DomainParams params) noexcept;
    Status<ParamError> set_param(std::string_view key, std::int64_t value) noexcept;
    std::optional<std::int64_t> param(std::string_view key) const noexcept;
    void yield(CpuId self, Vcpu& current) noexcept;
    bool tick(CpuId self, Vcpu& current, Instant now) noexcept;
    void tick_resumes(CpuId self, Instant now) noexcept;
    void account(CpuId self, Instant now, Parking& parking) noexcept;
    void describe(Sink& sink) const noexcept;
    void describe_state(Sink& sink) noexcept;
    void describe_queue(CpuId cpu, Sink& sink) noexcept;
    [[nodiscard]] bool is_consistent() const noexcept;

private:
    struct Period;

    static CreditVcpu& data(Vcpu& vcpu) { return *static_cast<CreditVcpu*>(vcpu.policy_data); }
    static CreditDomain& data(Domain& domain) { return *static_cast<CreditDomain*>(domain.policy_data); }
    // Whoever wakes or ends a vCPU of this pool may be a pCPU of another one, which keeps nothing here.
    [[nodiscard]] bool is_mine(CpuId self) const { return pool_.pcpu(self).pool == &pool_; }
    void count(CpuId self, std::uint64_t Counters::* what)
    {
        if (is_mine(self)) [[likely]]
            ++(at(self).counters.*what);
        else
            by_others_.fetch_add(1, std::memory_order_relaxed);
    }
    CreditPcpu& at(CpuId cpu) { return *static_cast<CreditPcpu*>(pool_.pcpu(cpu).policy_data); }

    // The only ways onto a queue and off it; the pCPU's lock is held.
    void insert(CreditPcpu& pcpu, CreditVcpu& vcpu) HV_REQUIRES(pcpu.pcpu.lock)
    {
        pcpu.queue.insert(vcpu, vcpu.has(Flag::yield));
        if (!vcpu.is_idle && pcpu.waiting++ == 0)
            waiters_.set(pcpu.pcpu.id);
    }
    void remove(CreditPcpu& pcpu, CreditVcpu& vcpu) HV_REQUIRES(pcpu.pcpu.lock)
    {
        pcpu.queue.remove(vcpu);
        if (!vcpu.is_idle && --pcpu.waiting == 0)
            waiters_.clear(pcpu.pcpu.id);
    }

    static std::int64_t burn(CreditVcpu& vcpu, Instant now);
    void sort_if_stale(CreditPcpu& pcpu);

    // tracing.cpp. Called only if is_traced(): all of it is of the same subclass.
    [[nodiscard]] bool is_traced() { return pool_.tracer().wants(trace::Event::credit); }
    void trace_decision(CreditPcpu& mine, CreditVcpu const& outgoing, bool force_idle, std::int64_t burnt, Instant now)
        HV_REQUIRES(mine.pcpu.lock);
    void trace_prio(CpuId self, CreditVcpu const& vcpu, Prio before, Instant now);
    void trace_credit(CpuId self, CreditVcpu const& vcpu, std::int64_t change, trace::CreditReason reason, Instant now);
    void trace_queue(CpuId self, CreditPcpu& pcpu, Instant now) HV_REQUIRES(pcpu.pcpu.lock);
    void trace_account(CpuId self, std::int64_t weight, Instant now) HV_REQUIRES(private_lock_);
    void trace_share(CpuId self, CreditVcpu const& vcpu, Prio before, std::int64_t earned, Instant now);

    // tickle.cpp
    void choose_tickles(CpuId self, CreditVcpu& woken, WakeDecision& decision);
    CpuMask one_of(CpuId self, CpuMask const& candidates);
    // pick.cpp
    CpuId pick(CpuId self, Vcpu& vcpu, bool commit, Instant now);
    // balance.cpp
    CreditVcpu& balance(CpuId self, CreditVcpu& best_here, bool& migrated, Instant now);
    CreditVcpu* steal_from(CpuId self, CpuMask const& victims, Prio floor, BalanceStep step, Instant now);
    CreditVcpu* steal(CpuId self, CreditPcpu& victim, Prio floor, BalanceStep step, Instant now);
    // accounting.cpp
    void activate(CpuId self, CreditVcpu& vcpu, Instant now);
    void deactivate(CpuId self, CreditVcpu& vcpu, Instant now) HV_REQUIRES(private_lock_);
    std::int64_t share_of(CreditDomain& domain, Period& period) HV_REQUIRES(private_lock_);
    std::int64_t hand_out(CpuId self, Period& period, Parking& parking, Instant now) HV_REQUIRES(private_lock_);
    void park(CpuId self, CreditVcpu& vcpu, Parking& parking, Instant now);
    void unpark(CpuId self, CreditVcpu& vcpu, Parking& parking, Instant now);
    std::int64_t limit_debt(CpuId self, CreditVcpu& vcpu, std::int64_t slice, Instant now);
    std::int64_t retire(CpuId self, CreditVcpu& vcpu, std::int64_t credit, Instant now) HV_REQUIRES(private_lock_);

    Pool& pool_;
    Params params_;
    // Worked out when the first pCPU joins and kept, also when the slice is changed later: upstream 4.3 did not work
    // them out anew (mended in 4.4), so shares and caps scale wrongly then.
    std::int64_t credits_per_tslice_{0};
    Duration tick_period_;
    AtomicCpuMask idlers_;  // pCPUs that run idle and may be tickled
    AtomicCpuMask waiters_; // pCPUs with somebody queued: a thief need not lock the others to find nothing there
    std::atomic<std::uint32_t> sort_epoch_{0};
    std::atomic<std::uint64_t> by_others_{0}; // what pCPUs of other pools would have counted

    TicketLock private_lock_{policy_lock_key()};
    List<CreditDomain, ActiveDomainTag> active_ HV_GUARDED_BY(private_lock_);
    CpuMask cpus_ HV_GUARDED_BY(private_lock_);
    CpuId master_ HV_GUARDED_BY(private_lock_){};         // hosts the accounting timer
    std::int64_t weight_ HV_GUARDED_BY(private_lock_){0}; // sum over active vCPUs of their domain's weight
    std::int64_t credit_ HV_GUARDED_BY(private_lock_){0}; // handed out per period: pCPUs x credits per slice
    std::int64_t credit_balance_ HV_GUARDED_BY(private_lock_){
        0}; // sum of active vCPUs' credits after the last accounting
};

} // namespace hv::sched::credit
