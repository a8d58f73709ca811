// The part of the core that builds and steers: pCPUs, domains and vCPUs made, affinities and parameters set.
#include "sched/core.hpp"

#include <new>

namespace hv::sched {

namespace {

// An object on `node`, in memory of the machine's; nullptr when there is none.
template <typename T, typename... Args>
[[nodiscard]] T* make(arch::Env& env, NodeId node, Args&&... args)
{
    void* const memory{env.allocate(node, sizeof(T), alignof(T))};
    return memory == nullptr ? nullptr : ::new (memory) T(static_cast<Args&&>(args)...);
}

// Storage for the policy's data; a policy without any gets none. false: no memory.
[[nodiscard]] bool storage_for(arch::Env& env, NodeId node, Storage const& storage, void*& memory)
{
    memory = storage.size == 0 ? nullptr : env.allocate(node, storage.size, storage.align);
    return storage.size == 0 || memory != nullptr;
}

} // namespace

Result<Vcpu*, CoreError> Core::make_idle_vcpu(CpuId cpu)
{
    NodeId const node{pool_.topology().node_of(cpu)};
    void* vcpu_data{nullptr};
    void* pcpu_data{nullptr};
    Vcpu* const vcpu{make<Vcpu>(pool_.env(), node, idle_domain_, VcpuIndex{cpu.value()}, cpu)};
    if (vcpu == nullptr || !storage_for(pool_.env(), node, ops_.vcpu, vcpu_data) ||
        !storage_for(pool_.env(), node, ops_.pcpu, pcpu_data))
        return fail(CoreError::no_memory);
    vcpu->hard_affinity = CpuMask::of(cpu);
    vcpu->soft_affinity = vcpu->hard_affinity;
    ops_.attach_vcpu(vcpu_data, *vcpu);
    Pcpu& pcpu{pool_.pcpu(cpu)};
    pcpu.idle = vcpu;
    ops_.attach_pcpu(pcpu_data, pcpu);
    return vcpu;
}

void Core::pcpu_up(CpuId self, Instant now)
{
    Pcpu& pcpu{pool_.pcpu(self)};
    HV_ASSERT(pcpu.idle != nullptr);
    {
        Guard guard{pcpu.lock, irqs_off};
        pcpu.current = pcpu.idle;
        pcpu.idle->set_running(true);
        pcpu.idle->run_state = {.state = RunState::runnable, .entered = now, .counted = now};
        // Readers of a trace want to see a pCPU's idle vCPU arrive before anything else happens there.
        change_state(self, *pcpu.idle, RunState::running, now);
        pool_.tracer().ring(self).set_current(idle_domain_id.value(), self.value());
        pool_.tracer().hello(self, now);
        CpuMask members{pool_.members()};
        members.set(self);
        pool_.publish_members(members);
    }
    if (ops_.pcpu_joins != nullptr)
        ops_.pcpu_joins(policy_, self, now);
}

// Upstream: cpu_disable_scheduler. First nobody picks the pCPU any more; then its vCPUs are sent away, one by one;
// whoever still runs there leaves when its context is saved, so the caller comes back until all have.
Status<CoreError> Core::pcpu_down(CpuId self, CpuId cpu, Instant now)
{
    CpuMask members{pool_.members()};
    members.clear(cpu);
    if (members.empty())
        return fail(CoreError::last_pcpu);
    // Not anew when asked again: a version's readers have it to themselves for so many changes only.
    if (pool_.members().test(cpu))
        pool_.publish_members(members);
    bool somebody_left{false};
    for (Domain& domain : domains_)
        for (Vcpu& vcpu : domain.vcpus)
            somebody_left |= !leave_pcpu(self, vcpu, cpu, now);
    if (somebody_left)
        return fail(CoreError::busy);
    Pcpu& pcpu{pool_.pcpu(cpu)};
    {
        Guard guard{pcpu.lock, irqs_off};
        if (pcpu.current != pcpu.idle)
            return fail(CoreError::busy);
        pool_.env().disarm(cpu, timer::slice);
        change_state(self, *pcpu.idle, RunState::runnable, now);
    }
    if (ops_.pcpu_leaves != nullptr)
        ops_.pcpu_leaves(policy_, self, cpu, now);
    for (Domain& domain : domains_)
        update_node_affinity(domain, now);
    return done;
}

// false: it still belongs to the pCPU.
bool Core::leave_pcpu(CpuId self, Vcpu& vcpu, CpuId cpu, Instant now)
{
    CpuId const owner{lock_processor(vcpu)};
    // Nowhere left to go: its affinity is broken, all pCPUs will do.
    if (vcpu.hard_affinity.test(cpu) && !vcpu.hard_affinity.intersects(pool_.members())) {
        vcpu.hard_affinity = CpuMask::first_n(pool_.pcpu_limit());
        if (ops_.affinity_changed != nullptr)
            ops_.affinity_changed(policy_, vcpu, now);
    }
    if (owner == cpu)
        mark_migrating(self, vcpu, now);
    unlock_pair(owner, owner);
    if (owner == cpu)
        finish_migration(self, vcpu, now);
    return vcpu.processor() != cpu;
}

void Core::set_idle_work(CpuId cpu, bool pending)
{
    constexpr std::uint8_t enqueued{1};
    if (pending)
        pool_.pcpu(cpu).idle_work.fetch_or(enqueued);
    else
        pool_.pcpu(cpu).idle_work.fetch_and(static_cast<std::uint8_t>(~enqueued));
    pool_.env().tickle(cpu);
}

Result<Domain*, CoreError> Core::create_domain(DomainId id)
{
    HV_ASSERT(id < idle_domain_id);
    void* data{nullptr};
    Domain* const domain{make<Domain>(pool_.env(), NodeId{0}, id)};
    if (domain == nullptr || !storage_for(pool_.env(), NodeId{0}, ops_.domain, data))
        return fail(CoreError::no_memory);
    ops_.attach_domain(data, *domain);
    domains_.push_back(*domain);
    return domain;
}

Result<Vcpu*, CoreError> Core::create_vcpu(CpuId self, Domain& domain, CpuId initial, Instant now)
{
    NodeId const node{pool_.topology().node_of(initial)};
    void* data{nullptr};
    Vcpu* const vcpu{make<Vcpu>(pool_.env(), node, domain, VcpuIndex{domain.vcpu_count}, initial)};
    if (vcpu == nullptr || !storage_for(pool_.env(), node, ops_.vcpu, data))
        return fail(CoreError::no_memory);
    vcpu->set_flag(PauseFlag::down);
    vcpu->run_state.entered = vcpu->run_state.counted = now;
    vcpu->last_run_time = now;
    vcpu->hard_affinity = CpuMask::first_n(pool_.pcpu_limit());
    vcpu->soft_affinity = vcpu->hard_affinity;
    ops_.attach_vcpu(data, *vcpu);
    // A domain begins to count with its first vCPU.
    if (domain.vcpus.empty()) {
        pool_.tracer().emit(self, now, trace::Event::domain_create, domain.id.value());
        pool_.tracer().emit(self, now, trace::Event::domain_add, domain.id.value());
    }
    domain.vcpus.push_back(*vcpu);
    ++domain.vcpu_count;
    if (ops_.vcpu_added != nullptr)
        ops_.vcpu_added(policy_, *vcpu, now);
    update_node_affinity(domain, now);
    return vcpu;
}

void Core::set_params(Domain& domain, DomainParams params)
{
    // Held over both, so that the policy's copy and ours end the same however many set them at once.
    Guard guard{steering_lock_, irqs_off};
    if (ops_.params_changed != nullptr)
        ops_.params_changed(policy_, domain, params);
    domain.params = params;
}

Status<ParamError> Core::set_policy_param(std::string_view key, std::int64_t value)
{
    if (ops_.set_param == nullptr)
        return fail(ParamError{"this policy has no parameters"});
    return ops_.set_param(policy_, key, value);
}

// After anything that changes where vCPUs may run, or who they are.
void Core::update_node_affinity(Domain& domain, Instant now)
{
    Guard guard{steering_lock_, irqs_off};
    recompute_node_affinity(domain);
    spread_node_affinity(domain, now);
}

// Automatic: the nodes of all pCPUs that some vCPU may run on. Explicit: stays, unless the policy wants it to shrink.
void Core::recompute_node_affinity(Domain& domain)
{
    if (domain.vcpus.empty() || (!domain.auto_node_affinity && !ops_.shrinks_node_affinity))
        return;
    NodeMask nodes;
    for (Vcpu const& vcpu : domain.vcpus) {
        CpuId const cpu{lock_processor(vcpu)};
        CpuMask const allowed{vcpu.hard_affinity & pool_.members()};
        unlock_pair(cpu, cpu);
        for (NodeId const node : pool_.topology().nodes())
            if (allowed.intersects(pool_.topology().pcpus_of(node)))
                nodes.set(node);
    }
    if (domain.auto_node_affinity)
        domain.node_affinity = nodes;
    else if (domain.node_affinity.intersects(nodes))
        domain.node_affinity = domain.node_affinity & nodes;
}

Status<CoreError> Core::set_hard_affinity(CpuId self, Vcpu& vcpu, CpuMask const& mask, Instant now)
{
    CpuId const cpu{lock_processor(vcpu)};
    // Under the lock: a pCPU that leaves is out of the pool before it asks for the locks of the vCPUs whose affinity it
    // breaks.
    if (!mask.intersects(pool_.members())) {
        unlock_pair(cpu, cpu);
        return fail(CoreError::empty_affinity);
    }
    vcpu.hard_affinity = mask;
    if (ops_.affinity_changed != nullptr)
        ops_.affinity_changed(policy_, vcpu, now);
    // Always placed anew, even where it is allowed already: the wider mask may hold a better place.
    mark_migrating(self, vcpu, now);
    unlock_pair(cpu, cpu);
    update_node_affinity(vcpu.domain, now);
    finish_migration(self, vcpu, now);
    return done;
}

Status<CoreError> Core::set_node_affinity(Domain& domain, NodeMask nodes, Instant now)
{
    if (nodes.empty())
        return fail(CoreError::empty_affinity);
    Guard guard{steering_lock_, irqs_off};
    domain.auto_node_affinity = nodes == NodeMask::all();
    domain.node_affinity = nodes;
    recompute_node_affinity(domain);
    spread_node_affinity(domain, now);
    return done;
}

// The domain's node affinity is what its vCPUs prefer by default.
void Core::spread_node_affinity(Domain& domain, Instant now)
{
    CpuMask preferred;
    for (NodeId const node : domain.node_affinity & pool_.topology().nodes())
        preferred |= pool_.topology().pcpus_of(node);
    for (Vcpu& vcpu : domain.vcpus) {
        CpuId const cpu{lock_processor(vcpu)};
        if (!vcpu.has_own_preference) {
            vcpu.soft_affinity = preferred;
            vcpu.prefers = !domain.auto_node_affinity;
            if (ops_.affinity_changed != nullptr)
                ops_.affinity_changed(policy_, vcpu, now);
        }
        unlock_pair(cpu, cpu);
    }
}

Status<CoreError> Core::set_soft_affinity(Vcpu& vcpu, CpuMask const& mask, Instant now)
{
    if (mask.empty())
        return fail(CoreError::empty_affinity);
    CpuId const cpu{lock_processor(vcpu)};
    vcpu.soft_affinity = mask;
    vcpu.prefers = true;
    vcpu.has_own_preference = true;
    if (ops_.affinity_changed != nullptr)
        ops_.affinity_changed(policy_, vcpu, now);
    unlock_pair(cpu, cpu);
    return done;
}

void Core::start(CpuId self, Vcpu& vcpu, bool blocked, Instant now)
{
    if (blocked) // An event that came before the start ends the waiting at once.
        static_cast<void>(becomes_blocked(vcpu));
    vcpu.clear_flag(PauseFlag::down);
    wake(self, vcpu, now);
}

void Core::describe(Sink& sink) const
{
    print(sink, "scheduler: {}\n", ops_.name);
    if (ops_.describe != nullptr)
        ops_.describe(policy_, sink);
}

} // namespace hv::sched
