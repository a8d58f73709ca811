// The scheduler core: what is the same under every policy. It owns pCPUs, domains, vCPUs and their run states, does all
// the locking, and carries out what the policy decides.
//
// Up from the machine come: pcpu_up, timer, schedule (somebody tickled this pCPU) and context_saved; everything else is
// called on behalf of a guest or of whoever builds and steers VMs. All of it runs with interrupts off. `self` is the
// calling pCPU and `now` its time, sampled not earlier than the call's cause.
//
// Locking: vcpu.hpp and locking.hpp. Public functions take the locks they need and must be called with none held. Two
// orders matter beyond the locks: block and notify change one word (vcpu.hpp, PauseFlag), so that one of them sees the
// other; and "context saved: running = false, then look for migrating" stands against "set migrating, then look at
// running", seq_cst on both sides. Floor: sched.
#pragma once

#include "arch/generic/list.hpp"
#include "arch/generic/result.hpp"
#include "sched/policy.hpp"

namespace hv::sched {

// A reschedule's outcome. Where the two differ, the machine switches contexts, then calls context_saved(previous).
struct Switch {
    Vcpu* previous;
    Vcpu* next;
};

enum class CoreError : std::uint8_t {
    no_memory,
    empty_affinity, // no pCPU, or no node, would be left
    last_pcpu,      // the pool would be empty
    busy,           // not yet: the pCPU still runs something of its own; ask again
};

class Core {
public:
    Core(Pool& pool, PolicyOps const& ops, void* policy) : pool_{pool}, ops_{ops}, policy_{policy} {}
    Core(Core const&) = delete;
    Core& operator=(Core const&) = delete;

    [[nodiscard]] Pool& pool() { return pool_; }
    [[nodiscard]] PolicyOps const& policy() const { return ops_; }
    [[nodiscard]] List<Domain, AllDomainsTag> const& domains() const { return domains_; }
    // The policy's own check of its data; true if it has none.
    [[nodiscard]] bool is_consistent() const { return ops_.is_consistent == nullptr || ops_.is_consistent(policy_); }
    void describe(Sink& sink) const;

    // From the machine.
    // Make the pCPU's idle vCPU (number = pCPU) with memory on its node. Before pcpu_up; on any pCPU.
    [[nodiscard]] Result<Vcpu*, CoreError> make_idle_vcpu(CpuId cpu);
    void pcpu_up(CpuId self, Instant now);
    // Takes `cpu` out of the pool and moves its vCPUs away; one that has no pCPU left may run anywhere from then on.
    // Errors: last_pcpu; busy, to be asked again when `cpu` has rescheduled. After success `cpu` may stop, or come up
    // again.
    [[nodiscard]] Status<CoreError> pcpu_down(CpuId self, CpuId cpu, Instant now);
    // Whether `cpu` has work that only its idle vCPU can do; while it has, it runs nothing else.
    void set_idle_work(CpuId cpu, bool pending);
    // true if the timer was the core's or the policy's.
    bool timer(CpuId self, TimerId id, Instant now);
    [[nodiscard]] Switch schedule(CpuId self, Instant now);
    void context_saved(CpuId self, Vcpu& previous, Instant now);

    // Building and steering VMs.
    [[nodiscard]] Result<Domain*, CoreError> create_domain(DomainId id);
    // Born down; start() makes it able to run. Numbered in order of creation within the domain.
    [[nodiscard]] Result<Vcpu*, CoreError> create_vcpu(CpuId self, Domain& domain, CpuId initial, Instant now);
    void set_params(Domain& domain, DomainParams params);
    [[nodiscard]] Status<ParamError> set_policy_param(std::string_view key, std::int64_t value);
    // Where the vCPU may run; it is placed anew. The mask must have a member of the pool.
    [[nodiscard]] Status<CoreError> set_hard_affinity(CpuId self, Vcpu& vcpu, CpuMask const& mask, Instant now);
    // Explicit node affinity: the preference of all the domain's vCPUs. Moves nothing by itself. All 64 nodes: back to
    // automatic.
    [[nodiscard]] Status<CoreError> set_node_affinity(Domain& domain, NodeMask nodes, Instant now);
    [[nodiscard]] Status<CoreError> set_soft_affinity(Vcpu& vcpu, CpuMask const& mask, Instant now);

    // A vCPU's life. `start` ends `down`; with `blocked` it begins by waiting for an event.
    void start(CpuId self, Vcpu& vcpu, bool blocked, Instant now);
    void wake(CpuId self, Vcpu& vcpu, Instant now);
    void sleep_nosync(CpuId self, Vcpu& vcpu, Instant now);
    // Also waits until it has stopped running. Never for a vCPU on the calling pCPU.
    void sleep_sync(CpuId self, Vcpu& vcpu, Instant now);
    void pause_nosync(CpuId self, Vcpu& vcpu, Instant now);
    void unpause(CpuId self, Vcpu& vcpu, Instant now);
    // For the current vCPU of `self`: wait for an event. false: one was pending, it is consumed and the vCPU goes on.
    [[nodiscard]] bool block(CpuId self, Vcpu& vcpu, Instant now);
    // End the waiting. false: it was not blocked.
    bool unblock(CpuId self, Vcpu& vcpu, Instant now);
    // An event for it: ends its waiting, or stays pending. false: one was pending already, this one is lost.
    bool notify(CpuId self, Vcpu& vcpu, Instant now);
    void yield(CpuId self, Vcpu& vcpu, Instant now);

    // Ends the trace: every vCPU goes offline in it, every domain goes, and losses are told. Nothing runs any more.
    void close_trace(CpuId self, Instant now);

private:
    friend class Parking;

    void attach_policy_data(Vcpu& vcpu);
    void enter_state(CpuId self, Vcpu& vcpu, RunState to, Instant now, std::optional<std::uint64_t> stamp);
    void change_state(CpuId self, Vcpu& vcpu, RunState to, Instant now);
    void mark_migrating(CpuId self, Vcpu& vcpu, Instant now);
    void sleep_locked(CpuId self, Vcpu& vcpu, Instant now);
    [[nodiscard]] static bool becomes_blocked(Vcpu& vcpu);
    bool becomes_runnable(CpuId self, Vcpu& vcpu, Instant now);
    void queue_woken(CpuId self, Vcpu& vcpu, WakeDecision const& decision, Instant now);
    void finish_migration(CpuId self, Vcpu& vcpu, Instant now);
    [[nodiscard]] Switch decide(CpuId self, Instant now, std::optional<CpuId>& pull_from);
    void pull(CpuId self, CpuId from, Instant now);
    [[nodiscard]] bool leave_pcpu(CpuId self, Vcpu& vcpu, CpuId cpu, Instant now);
    [[nodiscard]] static bool take_idle_work(Pcpu& pcpu);
    void update_node_affinity(Domain& domain, Instant now) HV_EXCLUDES(steering_lock_);
    void recompute_node_affinity(Domain& domain) HV_REQUIRES(steering_lock_);
    void spread_node_affinity(Domain& domain, Instant now) HV_REQUIRES(steering_lock_);
    // Tickles `cpu` and tells the trace, where it is another pCPU.
    void ask_to_reschedule(CpuId self, CpuId cpu, trace::IpiReason reason, Instant now);
    void trace_continue(CpuId self, Vcpu& current, std::optional<Duration> slice, Instant now);
    void trace_switch(CpuId self, Vcpu& previous, Vcpu& next, std::optional<Duration> slice, Instant now);
    void suspend_or_resume_tick(Pcpu& pcpu, bool resume, Instant now);

    CpuId lock_processor(Vcpu const& vcpu);
    void lock_pair(CpuId a, CpuId b);
    void unlock_pair(CpuId a, CpuId b);

    Pool& pool_;
    PolicyOps const& ops_;
    void* policy_;
    // Guards what domains are set to: weight, cap, node affinity.
    TicketLock steering_lock_{steering_lock_key()};
    Domain idle_domain_{idle_domain_id};
    List<Domain, AllDomainsTag> domains_; // in order of creation
};

} // namespace hv::sched
