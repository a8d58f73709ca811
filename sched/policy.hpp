// The seam between the scheduler core and a policy. To add a policy: write one class, end its .cpp with
// HV_REGISTER_POLICY, boot with sched=NAME. No other file changes. sched/null/null.cpp is the smallest one; copy it.
//
// A policy decides and the core acts: hooks get `self` (the pCPU they run on) and `now`, and return what is to be done.
// They run with interrupts off and must not wait for anything but the policy's own lock (locking.hpp has the order). A
// policy keeps its queues and per-object data in the types PcpuData{Pcpu&}, VcpuData{Vcpu&} and DomainData{Domain&},
// each optional, whose storage the core allocates on the right node and frees. Floor: sched.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/result.hpp"
#include "sched/pool.hpp"

#include <concepts>
#include <new>
#include <optional>
#include <span>
#include <string_view>

namespace hv::sched {

class Core;

// Whom to run next, and for how long at most; no slice means until something happens. There always is a next vCPU: the
// idle vCPU is one. `migrated`: it was taken from another pCPU.
struct Decision {
    Vcpu* next;
    std::optional<Duration> slice;
    bool migrated{false};
    // What runs there would rather run here: once this decision is made, the core makes it find itself a pCPU anew.
    std::optional<CpuId> pull_from{};
};

// What is to become of a vCPU that woke up.
struct WakeDecision {
    CpuId queue_on{}; // whose run queue; another pCPU than the vCPU's own makes the core take both locks and ask again
    bool queue{true}; // false: it is queued already, do nothing
    CpuMask tickle;   // pCPUs that shall reschedule
    bool push_current{false}; // and the vCPU that runs on queue_on shall find itself another pCPU
};

// Park: keep a vCPU from running although it could (a cap). One pause each, to be undone by exactly one unpark.
class Parking {
public:
    Parking(Core& core, CpuId self, Instant now) : core_{core}, self_{self}, now_{now} {}
    void park(Vcpu& vcpu) noexcept;
    void unpark(Vcpu& vcpu) noexcept;

private:
    Core& core_;
    CpuId self_;
    Instant now_;
};

// Why a parameter was not taken: what is wrong and what is allowed, as a phrase.
struct ParamError {
    std::string_view text;
};

// Mandatory hooks, checked here, at compile time, with the policy's own name in the message.
template <typename P>
concept Policy =
    std::constructible_from<P, Pool&> && requires(P& policy, CpuId self, Vcpu& vcpu, Instant now, bool force_idle) {
        { std::string_view{P::name} };
        // Caller: a reschedule on `self`, whose lock is held. `current` ran until now and may be anything but
        // queued. force_idle: the idle vCPU has work that must be done.
        { policy.schedule(self, vcpu, now, force_idle) } noexcept -> std::same_as<Decision>;
        // A vCPU that can run woke up; its run-queue lock (and that of queue_on, the second time) is held.
        // Never called for the vCPU that is current on its pCPU.
        { policy.wake(self, vcpu, now) } noexcept -> std::same_as<WakeDecision>;
        // Put it on the queue of its processor, as wake() wished. Lock of that pCPU held.
        { policy.enqueue(self, vcpu, now) } noexcept -> std::same_as<void>;
        // It may not run any more; take it off the queue if it is on one. Never the current vCPU. Lock held.
        { policy.sleep(self, vcpu, now) } noexcept -> std::same_as<void>;
        // Where shall it go? Only members of the pool in its hard affinity are right. Its own lock is held.
        { policy.pick_cpu(self, vcpu, now) } noexcept -> std::same_as<CpuId>;
    };

struct Storage {
    std::size_t size{0}, align{1};
};

// Shared, read-only, one per policy. An optional hook that the policy does not have is null.
struct PolicyOps {
    std::string_view name;
    Storage self, pcpu, vcpu, domain;
    // What the conformance suite may expect beyond what holds for all.
    bool has_credit{false};
    Duration work_conserving_within; // zero: makes no such promise
    // As Xen 4.3.0: an explicit node affinity loses, for good, the nodes that no vCPU may run on any more (mended
    // in 4.3.2).
    bool shrinks_node_affinity{false};

    void* (*create)(void* memory, Pool&) noexcept;
    void (*destroy)(void* self) noexcept;
    void (*attach_pcpu)(void* memory, Pcpu&) noexcept;
    void (*detach_pcpu)(Pcpu&) noexcept;
    void (*attach_vcpu)(void* memory, Vcpu&) noexcept;
    void (*attach_domain)(void* memory, Domain&) noexcept;
    void (*detach_vcpu)(Vcpu&) noexcept;
    void (*detach_domain)(Domain&) noexcept;

    Decision (*schedule)(void* self, CpuId, Vcpu& current, Instant, bool force_idle) noexcept;
    WakeDecision (*wake)(void* self, CpuId, Vcpu&, Instant) noexcept;
    void (*enqueue)(void* self, CpuId, Vcpu&, Instant) noexcept;
    void (*sleep)(void* self, CpuId, Vcpu&, Instant) noexcept;
    CpuId (*pick_cpu)(void* self, CpuId, Vcpu&, Instant) noexcept;

    // pcpu_joins: on `cpu`, its idle vCPU current, before its first decision and before it is a member. pcpu_leaves:
    // nothing of `cpu` is left to run.
    void (*pcpu_joins)(void* self, CpuId cpu, Instant) noexcept {nullptr};
    void (*pcpu_leaves)(void* self, CpuId by, CpuId cpu, Instant) noexcept {nullptr};
    void (*vcpu_added)(void* self, Vcpu&, Instant) noexcept {nullptr};
    // Its domain ends: it is on no queue and never runs again. Forget it; its data go soon.
    void (*vcpu_removed)(void* self, CpuId by, Vcpu&, Instant) noexcept {nullptr};
    void (*domain_removed)(void* self, CpuId by, Domain&, Instant) noexcept {nullptr}; // after all its vCPUs
    void (*affinity_changed)(void* self, Vcpu&, Instant) noexcept {nullptr};           // its lock held
    void (*params_changed)(void* self, Domain&, DomainParams) noexcept {nullptr}; // new weight and cap, to be stored
    Status<ParamError> (*set_param)(void* self, std::string_view key, std::int64_t value) noexcept {nullptr};
    // A parameter as it is; nothing: unknown.
    std::optional<std::int64_t> (*param)(void const* self, std::string_view key) noexcept {nullptr};
    void (*yield)(void* self, CpuId, Vcpu& current) noexcept {nullptr}; // lock held
    // The policy arms timer::tick and timer::accounting itself. tick: true asks that `current` finds another pCPU.
    bool (*tick)(void* self, CpuId, Vcpu& current, Instant) noexcept {nullptr};
    void (*tick_resumes)(void* self, CpuId, Instant) noexcept {nullptr}; // the core stopped timer::tick while idle
    void (*account)(void* self, CpuId, Instant, Parking&) noexcept {nullptr};
    void (*describe)(void const* self, Sink&) noexcept {nullptr};
    // What somebody who looks for a fault wants to see: of the policy as a whole, and of what runs and waits on a pCPU.
    // No lock is held; they take those that they need.
    void (*describe_state)(void* self, Sink&) noexcept {nullptr};
    void (*describe_queue)(void* self, CpuId, Sink&) noexcept {nullptr};
    bool (*is_consistent)(void const* self) noexcept {nullptr};
};

namespace detail {

template <typename Data>
constexpr Storage storage_of()
{
    return {.size = sizeof(Data), .align = alignof(Data)};
}

template <Policy P>
consteval void add_storage(PolicyOps& ops)
{
    ops.attach_pcpu = [](void*, Pcpu&) noexcept {};
    ops.detach_pcpu = [](Pcpu&) noexcept {};
    ops.attach_vcpu = [](void*, Vcpu&) noexcept {};
    ops.attach_domain = [](void*, Domain&) noexcept {};
    ops.detach_vcpu = [](Vcpu&) noexcept {};
    ops.detach_domain = [](Domain&) noexcept {};
    if constexpr (requires { typename P::PcpuData; }) {
        using Data = typename P::PcpuData;
        ops.pcpu = storage_of<Data>();
        ops.attach_pcpu = [](void* memory, Pcpu& pcpu) noexcept { pcpu.policy_data = ::new (memory) Data{pcpu}; };
        ops.detach_pcpu = [](Pcpu& pcpu) noexcept { static_cast<Data*>(pcpu.policy_data)->~Data(); };
    }
    if constexpr (requires { typename P::VcpuData; }) {
        using Data = typename P::VcpuData;
        ops.vcpu = storage_of<Data>();
        ops.attach_vcpu = [](void* memory, Vcpu& vcpu) noexcept { vcpu.policy_data = ::new (memory) Data{vcpu}; };
        ops.detach_vcpu = [](Vcpu& vcpu) noexcept { static_cast<Data*>(vcpu.policy_data)->~Data(); };
    }
    if constexpr (requires { typename P::DomainData; }) {
        using Data = typename P::DomainData;
        ops.domain = storage_of<Data>();
        ops.attach_domain = [](void* memory, Domain& domain) noexcept {
            domain.policy_data = ::new (memory) Data{domain};
        };
        ops.detach_domain = [](Domain& domain) noexcept { static_cast<Data*>(domain.policy_data)->~Data(); };
    }
}

template <Policy P>
consteval void add_life_cycle(PolicyOps& ops)
{
    if constexpr (requires(P& p, CpuId c, Instant t) { p.pcpu_joins(c, t); })
        ops.pcpu_joins = [](void* self, CpuId c, Instant t) noexcept { static_cast<P*>(self)->pcpu_joins(c, t); };
    if constexpr (requires(P& p, CpuId c, Instant t) { p.pcpu_leaves(c, c, t); })
        ops.pcpu_leaves = [](void* self, CpuId by, CpuId c, Instant t) noexcept {
            static_cast<P*>(self)->pcpu_leaves(by, c, t);
        };
    if constexpr (requires(P& p, Vcpu& v, Instant t) { p.vcpu_added(v, t); })
        ops.vcpu_added = [](void* self, Vcpu& v, Instant t) noexcept { static_cast<P*>(self)->vcpu_added(v, t); };
    if constexpr (requires(P& p, CpuId c, Vcpu& v, Instant t) { p.vcpu_removed(c, v, t); })
        ops.vcpu_removed = [](void* self, CpuId by, Vcpu& v, Instant t) noexcept {
            static_cast<P*>(self)->vcpu_removed(by, v, t);
        };
    if constexpr (requires(P& p, CpuId c, Domain& d, Instant t) { p.domain_removed(c, d, t); })
        ops.domain_removed = [](void* self, CpuId by, Domain& d, Instant t) noexcept {
            static_cast<P*>(self)->domain_removed(by, d, t);
        };
    if constexpr (requires(P& p, Vcpu& v, Instant t) { p.affinity_changed(v, t); })
        ops.affinity_changed = [](void* self, Vcpu& v, Instant t) noexcept {
            static_cast<P*>(self)->affinity_changed(v, t);
        };
    if constexpr (requires(P& p, Domain& d, DomainParams n) { p.params_changed(d, n); })
        ops.params_changed = [](void* self, Domain& d, DomainParams n) noexcept {
            static_cast<P*>(self)->params_changed(d, n);
        };
    if constexpr (requires(P& p, std::string_view k, std::int64_t n) { p.set_param(k, n); })
        ops.set_param = [](void* self, std::string_view k, std::int64_t n) noexcept {
            return static_cast<P*>(self)->set_param(k, n);
        };
    if constexpr (requires(P const& p, std::string_view k) { p.param(k); })
        ops.param = [](void const* self, std::string_view k) noexcept { return static_cast<P const*>(self)->param(k); };
}

template <Policy P>
consteval void add_running(PolicyOps& ops)
{
    if constexpr (requires(P& p, CpuId c, Vcpu& v) { p.yield(c, v); })
        ops.yield = [](void* self, CpuId c, Vcpu& v) noexcept { static_cast<P*>(self)->yield(c, v); };
    if constexpr (requires(P& p, CpuId c, Vcpu& v, Instant t) { p.tick(c, v, t); })
        ops.tick = [](void* self, CpuId c, Vcpu& v, Instant t) noexcept {
            return static_cast<P*>(self)->tick(c, v, t);
        };
    if constexpr (requires(P& p, CpuId c, Instant t) { p.tick_resumes(c, t); })
        ops.tick_resumes = [](void* self, CpuId c, Instant t) noexcept { static_cast<P*>(self)->tick_resumes(c, t); };
    if constexpr (requires(P& p, CpuId c, Instant t, Parking& k) { p.account(c, t, k); })
        ops.account = [](void* self, CpuId c, Instant t, Parking& k) noexcept {
            static_cast<P*>(self)->account(c, t, k);
        };
    if constexpr (requires(P const& p, Sink& s) { p.describe(s); })
        ops.describe = [](void const* self, Sink& s) noexcept { static_cast<P const*>(self)->describe(s); };
    if constexpr (requires(P& p, Sink& s) { p.describe_state(s); })
        ops.describe_state = [](void* self, Sink& s) noexcept { static_cast<P*>(self)->describe_state(s); };
    if constexpr (requires(P& p, CpuId c, Sink& s) { p.describe_queue(c, s); })
        ops.describe_queue = [](void* self, CpuId c, Sink& s) noexcept { static_cast<P*>(self)->describe_queue(c, s); };
    if constexpr (requires(P const& p) { p.is_consistent(); })
        ops.is_consistent = [](void const* self) noexcept { return static_cast<P const*>(self)->is_consistent(); };
    if constexpr (requires { P::has_credit; })
        ops.has_credit = P::has_credit;
    if constexpr (requires { P::shrinks_node_affinity; })
        ops.shrinks_node_affinity = P::shrinks_node_affinity;
    if constexpr (requires { P::work_conserving_within; })
        ops.work_conserving_within = P::work_conserving_within;
}

} // namespace detail

template <Policy P>
consteval PolicyOps make_ops()
{
    PolicyOps ops{};
    ops.name = P::name;
    ops.self = detail::storage_of<P>();
    ops.create = [](void* memory, Pool& pool) noexcept -> void* { return ::new (memory) P{pool}; };
    ops.destroy = [](void* self) noexcept { static_cast<P*>(self)->~P(); };
    ops.schedule = [](void* self, CpuId c, Vcpu& v, Instant t, bool idle) noexcept {
        return static_cast<P*>(self)->schedule(c, v, t, idle);
    };
    ops.wake = [](void* self, CpuId c, Vcpu& v, Instant t) noexcept { return static_cast<P*>(self)->wake(c, v, t); };
    ops.enqueue = [](void* self, CpuId c, Vcpu& v, Instant t) noexcept { static_cast<P*>(self)->enqueue(c, v, t); };
    ops.sleep = [](void* self, CpuId c, Vcpu& v, Instant t) noexcept { static_cast<P*>(self)->sleep(c, v, t); };
    ops.pick_cpu = [](void* self, CpuId c, Vcpu& v, Instant t) noexcept {
        return static_cast<P*>(self)->pick_cpu(c, v, t);
    };
    detail::add_storage<P>(ops);
    detail::add_life_cycle<P>(ops);
    detail::add_running<P>(ops);
    return ops;
}

// Every registered policy, in no particular order: linkers disagree on it, so look policies up by name only.
[[nodiscard]] std::span<PolicyOps const* const> policies();
[[nodiscard]] PolicyOps const* find_policy(std::string_view name);
// Writes the names in alphabetical order, separated by ", ".
void list_policies(Sink& sink);

} // namespace hv::sched

// The linker collects these pointers between __start_ and __stop_hv_policies, in the kernel and on the host alike.
#define HV_REGISTER_POLICY(P) \
    static constexpr ::hv::sched::PolicyOps P##_ops{::hv::sched::make_ops<P>()}; \
    [[gnu::used, gnu::retain, \
      gnu::section("hv_policies")]] static constinit ::hv::sched::PolicyOps const* const P##_entry \
    { \
        &P##_ops \
    }
