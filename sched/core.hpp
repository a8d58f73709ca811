// The scheduler core: what is the same under every policy. It owns pCPUs, domains, vCPUs and their run states, does all
// the locking, and carries out what the policy decides.
//
// Up from the machine come: pcpu_up, timer, schedule (somebody tickled this pCPU) and context_saved; everything else is
// called on behalf of a guest or of whoever builds and steers VMs. All of it runs with interrupts off. `self` is the
// calling pCPU and `now` its time, sampled not earlier than the call's cause.
//
// A domain lives in steps. destroy() marks it and its vCPUs `ending`; as soon as the last of them has stopped, it
// leaves every list (`unlinked`), of the policy, too; and when every pCPU has rescheduled since then, so that nobody
// can refer to it any more (grace.hpp), whoever hung something on it is told, and its memory goes. So a reference to a
// domain or a vCPU is good until the pCPU that got it reschedules; who wants to remember one keeps its id and serial,
// and asks find().
//
// Locking: vcpu.hpp and locking.hpp. Public functions take the locks they need and must be called with none held. Two
// orders matter beyond the locks: block and notify change one word (vcpu.hpp, PauseFlag), so that one of them sees the
// other; and "context saved: running = false, then look for migrating" stands against "set migrating, then look at
// running", seq_cst on both sides. Floor: sched.
#pragma once

#include "arch/generic/list.hpp"
#include "arch/generic/result.hpp"
#include "sched/grace.hpp"
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
    last_pcpu,      // the pool would be empty, and is the boot pool or has domains
    busy,           // not yet: the pCPU still runs something of its own; ask again
    exists,         // the id is in use, perhaps by a domain that ends
    ending,         // the domain, or the pool, ends
    in_use,         // the pool has domains, or is the boot pool
    no_pcpu,        // the pool has none, so no domain may go there
    too_many,       // pools
};

// Whoever hangs something on domains and vCPUs is told when they go: nobody else refers to them by then, all vCPUs of a
// domain come before it, interrupts are off, no lock is held, and it may be on any pCPU. After `domain` its id is free.
struct Farewell {
    void* self{nullptr};
    // Before that, when destroy() was called: whatever could still find it shall not from now on. Steering lock held.
    void (*ends)(void* self, Domain& domain) noexcept {nullptr};
    void (*vcpu)(void* self, Vcpu& vcpu) noexcept {nullptr};
    void (*domain)(void* self, Domain& domain) noexcept {nullptr};
};

// A vCPU as it was at one moment.
struct VcpuView {
    VcpuIndex index{};
    CpuId processor{};
    RunState state{RunState::offline};
    std::array<Duration, 4> spent{}; // by RunState; the state that lasts counts up to that moment
    std::uint32_t pause_flags{0}, pause_count{0};
    bool is_down{false};
    bool prefers{false}; // else soft_affinity is merely the default
    CpuMask hard_affinity, soft_affinity;

    [[nodiscard]] Duration spent_in(RunState which) const { return spent[static_cast<unsigned>(which)]; }
};

// A pool as it was at one moment.
struct PoolView {
    PoolId id{};
    std::array<char, Pool::name_limit> text{};
    std::size_t text_size{0};
    std::string_view policy;
    CpuMask members;
    std::uint32_t domains{0}; // those that move there, and those that are gone but not released, included
    bool ends{false};

    [[nodiscard]] std::string_view name() const { return {text.data(), text_size}; }
};

// A domain as it was at one moment.
struct DomainView {
    DomainParams params{};
    NodeMask node_affinity{};
    bool auto_node_affinity{true};
    bool is_paused{false}, is_ending{false};
    PoolId pool{};
    bool moves{false}; // to another pool, as soon as it has stopped
};

class Core {
public:
    // `pool` is the boot pool, with this policy.
    Core(Pool& pool, PolicyOps const& ops, void* policy);
    Core(Core const&) = delete;
    Core& operator=(Core const&) = delete;

    // The boot pool.
    [[nodiscard]] Pool& pool() { return pool_; }
    [[nodiscard]] PolicyOps const& policy() const { return pool_.ops(); }
    // For while nobody comes or goes: set-up, the end of a run, tests. Else for_each_domain().
    [[nodiscard]] List<Domain, AllDomainsTag> const& domains() const HV_NO_THREAD_SAFETY_ANALYSIS { return domains_; }
    // Each policy's own check of its data; true if it has none. For while nobody runs.
    [[nodiscard]] bool is_consistent() const;
    void describe(Sink& sink) HV_EXCLUDES(steering_lock_);

    // From the machine.
    // Make the pCPU's idle vCPU (number = pCPU) with memory on its node. Before pcpu_up; on any pCPU.
    [[nodiscard]] Result<Vcpu*, CoreError> make_idle_vcpu(CpuId cpu);
    void pcpu_up(CpuId self, Instant now);
    // Takes `cpu` out of the pool and moves its vCPUs away; one that has no pCPU left may run anywhere from then on,
    // or, if the absence is for a while, until one of its pCPUs is back. Errors: last_pcpu; busy, to be asked again
    // when `cpu` has rescheduled. After success `cpu` may stop, or come up again. System::offline() does all of it.
    [[nodiscard]] Status<CoreError> pcpu_down(CpuId self, CpuId cpu, Instant now, Absence absence = Absence::for_good);
    // Whether `cpu` has work that only its idle vCPU can do; while it has, it runs nothing else.
    void set_idle_work(CpuId cpu, bool pending);
    // true if the timer was the core's or the policy's.
    bool timer(CpuId self, TimerId id, Instant now);
    [[nodiscard]] Switch schedule(CpuId self, Instant now);
    void context_saved(CpuId self, Vcpu& previous, Instant now);

    // pCPUs between pools (core_pools.cpp); System does all of it.
    // Which pCPUs are members of any pool: wherever a timer shall go off that is for all.
    [[nodiscard]] AtomicCpuMask const& in_pools() const { return in_pools_; }
    [[nodiscard]] bool is_in_no_pool(CpuId cpu) HV_EXCLUDES(steering_lock_);
    // Memory for `cpu` to join; it must be free. Errors: ending, no_memory.
    [[nodiscard]] Status<CoreError> prepare_join(CpuId cpu, PoolId pool) HV_EXCLUDES(steering_lock_);
    // After pcpu_down(): `forgotten` is set, and the pCPU tickled, when nobody can look at it any more.
    void begin_parting(CpuId cpu) HV_EXCLUDES(steering_lock_);
    // On the pCPU itself, which idles: it is free then. false: somebody came meanwhile, it is to be asked again.
    [[nodiscard]] bool part(CpuId self, Instant now) HV_EXCLUDES(steering_lock_);

    // Pools. A reference is good until the pCPU that got it reschedules, as with domains.
    // Without pCPUs. Errors: exists (the name is taken, empty or too long), too_many, no_memory.
    [[nodiscard]] Result<PoolId, CoreError> create_pool(PolicyOps const& ops, std::string_view name)
        HV_EXCLUDES(steering_lock_);
    // No domain and no pCPU gets in any more, and it goes with the last one of `pcpus`, which are those that it has,
    // off or not. Errors: in_use, ending, busy (a pCPU is about to come).
    [[nodiscard]] Status<CoreError> end_pool(PoolId pool, CpuMask& pcpus) HV_EXCLUDES(steering_lock_);
    [[nodiscard]] Status<CoreError> rename_pool(PoolId pool, std::string_view name) HV_EXCLUDES(steering_lock_);
    // nullptr: there is none, or it ends.
    [[nodiscard]] Pool* find_pool(PoolId id) HV_EXCLUDES(steering_lock_);
    [[nodiscard]] Pool* find_pool(std::string_view name) HV_EXCLUDES(steering_lock_);
    // The one with this id or, if there is none, the next one that there is; nullopt: none. Those that end included.
    [[nodiscard]] std::optional<PoolView> look_at_pool(PoolId from) HV_EXCLUDES(steering_lock_);
    // Never waits: each of its vCPUs stops, and the last one to do so takes all of them over. What is set for it stays,
    // but a hard affinity without a pCPU there becomes all pCPUs. Errors: ending, busy (it moves already), no_pcpu,
    // no_memory; nothing has changed then.
    [[nodiscard]] Status<CoreError> move_domain(CpuId self, Domain& domain, PoolId to, Instant now)
        HV_EXCLUDES(steering_lock_);

    // Building and steering VMs.
    // Errors: exists, no_memory; with a pool: ending (there is no such pool).
    [[nodiscard]] Result<Domain*, CoreError> create_domain(DomainId id, PoolId pool = {});
    // nullptr: there is none, or it ends. With a serial: that one and no later one of the same id.
    [[nodiscard]] Domain* find(DomainId id) HV_EXCLUDES(steering_lock_);
    [[nodiscard]] Domain* find(DomainId id, std::uint64_t serial);
    // look(Domain&) with each, in order of creation, those that end included. None comes or goes meanwhile; `look` must
    // not call what steers.
    template <typename Look>
    void for_each_domain(Look const& look) HV_EXCLUDES(steering_lock_)
    {
        Guard guard{steering_lock_, irqs_off};
        for (Domain& domain : domains_)
            look(domain);
    }
    // For who looks for longer than one call, with interrupts on in between: while `self` holds them, domains that it
    // knows may end but stay where they are. On `self`, not nested.
    void hold_domains(CpuId self, bool holds);
    // The first domain made after that one (0: of all), those that end included; nullptr: there is none.
    [[nodiscard]] Domain* next_domain(std::uint64_t serial) HV_EXCLUDES(steering_lock_);
    // It never runs again and goes as soon as it can; never waits. Also from one of its own vCPUs. Error: ending.
    [[nodiscard]] Status<CoreError> destroy(CpuId self, Domain& domain, Instant now) HV_EXCLUDES(steering_lock_);
    // One listener, before the first domain.
    void set_farewell(Farewell farewell) { farewell_ = farewell; }
    // Pauses are counted: it may run when each has been undone. Does not wait until it has stopped.
    void pause(CpuId self, Domain& domain, Instant now) HV_EXCLUDES(steering_lock_);
    void unpause(CpuId self, Domain& domain, Instant now) HV_EXCLUDES(steering_lock_);
    // No vCPU of it runs. Of a domain that is paused or ends it stays true.
    [[nodiscard]] bool has_stopped(Domain const& domain) HV_EXCLUDES(steering_lock_);
    // Born down on `initial`, or on another pCPU if that has left; start() makes it able to run. Numbered in order of
    // creation within the domain. Who makes domains also sees to it that nobody ends one while it is being made.
    // Errors: no_memory, ending, busy (it moves to another pool).
    [[nodiscard]] Result<Vcpu*, CoreError> create_vcpu(CpuId self, Domain& domain, CpuId initial, Instant now);
    void set_params(Domain& domain, DomainParams params);
    [[nodiscard]] static Status<ParamError> set_policy_param(Pool& pool, std::string_view key, std::int64_t value);
    [[nodiscard]] Status<ParamError> set_policy_param(std::string_view key, std::int64_t value)
    {
        return set_policy_param(pool_, key, value);
    }
    // As it is now; nothing: the policy has no such parameter.
    [[nodiscard]] static std::optional<std::int64_t> policy_param(Pool const& pool, std::string_view key)
    {
        return pool.ops().param == nullptr ? std::nullopt : pool.ops().param(pool.policy(), key);
    }
    [[nodiscard]] std::optional<std::int64_t> policy_param(std::string_view key) const
    {
        return policy_param(pool_, key);
    }
    // Where the vCPU may run; it is placed anew. The mask must have a member of the pool.
    [[nodiscard]] Status<CoreError> set_hard_affinity(CpuId self, Vcpu& vcpu, CpuMask const& mask, Instant now);
    // Explicit node affinity: the preference of all the domain's vCPUs. Moves nothing by itself. All 64 nodes: back to
    // automatic.
    [[nodiscard]] Status<CoreError> set_node_affinity(Domain& domain, NodeMask nodes, Instant now);
    [[nodiscard]] Status<CoreError> set_soft_affinity(Vcpu& vcpu, CpuMask const& mask, Instant now);

    // For who only wants to see. describe_state and describe_queue: nothing, where the policy has nothing to tell.
    static void describe_state(Pool& pool, Sink& sink);
    void describe_queue(CpuId cpu, Sink& sink) HV_EXCLUDES(steering_lock_);
    void look_at(Vcpu const& vcpu, Instant now, VcpuView& view);
    [[nodiscard]] DomainView look_at(Domain const& domain);

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

    // core_life.cpp
    [[nodiscard]] static bool nobody_runs(Domain const& domain);
    void unlink(CpuId self, Domain& domain, Instant now) HV_REQUIRES(steering_lock_);
    void leave_trace(CpuId self, Vcpu& vcpu, Instant now);
    void end_if_stopped(CpuId self, Domain& domain, Instant now) HV_EXCLUDES(steering_lock_);
    void pass_grace(Pcpu& pcpu, std::uint32_t period) HV_EXCLUDES(steering_lock_);
    void begin_grace() HV_REQUIRES(steering_lock_);
    void release(Domain& domain);
    void release(Vcpu& vcpu);

    // core_pools.cpp
    [[nodiscard]] Pool* pool_of(Domain const& domain) HV_EXCLUDES(steering_lock_);
    [[nodiscard]] Pool* pool_of(PoolId id) HV_REQUIRES(steering_lock_);
    [[nodiscard]] bool is_free_name(std::string_view name) const HV_REQUIRES(steering_lock_);
    void publish_member(Pool& pool, CpuId cpu, bool is_member) HV_REQUIRES(steering_lock_);
    void take_up_pool(Pcpu& pcpu) HV_REQUIRES(steering_lock_);
    void end_if_empty(Pool& pool) HV_REQUIRES(steering_lock_);
    void forget_pcpus() HV_EXCLUDES(steering_lock_);
    void release(Pool& pool);
    void drop_data(Domain& domain);
    void drop_data(Vcpu& vcpu);
    void leave_pools(Domain& domain) HV_EXCLUDES(steering_lock_);
    [[nodiscard]] bool prepare_move(Domain& domain, Pool& to) HV_REQUIRES(steering_lock_);
    void drop_next_data(Domain& domain, Pool& to);
    void move_if_stopped(CpuId self, Domain& domain, Instant now) HV_EXCLUDES(steering_lock_);
    void leave_policy(CpuId self, Domain& domain, Instant now) HV_REQUIRES(steering_lock_);
    void carry_over(CpuId self, Vcpu& vcpu, Pool& to, CpuId home, Instant now);

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
    [[nodiscard]] bool leave_pcpu(CpuId self, Vcpu& vcpu, CpuId cpu, Absence absence, Instant now);
    void tell_affinity(Vcpu& vcpu, Instant now);
    void change_affinity(CpuId self, Vcpu& vcpu, CpuMask const& mask, Instant now);
    void restore_affinities(CpuId self, Pool& pool, Instant now) HV_REQUIRES(steering_lock_);
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

    Pool& pool_; // the boot pool
    Pool free_;  // of the pCPUs that are in none: no members, and a policy that only idles
    // Guards which domains and vCPUs there are, and what domains are set to: weight, cap, node affinity.
    TicketLock steering_lock_{steering_lock_key()};
    Domain idle_domain_{idle_domain_id, 0};
    List<Domain, AllDomainsTag> domains_ HV_GUARDED_BY(steering_lock_); // in order of creation
    std::uint64_t last_serial_ HV_GUARDED_BY(steering_lock_){0};
    // By id; 0 is the boot pool.
    std::array<Pool*, most_pools> pools_ HV_GUARDED_BY(steering_lock_){};
    AtomicCpuMask in_pools_;
    CpuMask up_ HV_GUARDED_BY(steering_lock_); // pCPUs that have ever come up: they reschedule when tickled
    Grace grace_;
    Farewell farewell_;
};

} // namespace hv::sched
