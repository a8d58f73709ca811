// The part of the core that builds and steers: pCPUs, domains and vCPUs made, affinities and parameters set.
#include "sched/core.hpp"

#include <new>

namespace hv::sched {

namespace {

// Memory for an object and, beside it, for the policy's data on the same: both or neither. A policy without such data
// gets none.
struct Block {
    void* object{nullptr};
    void* data{nullptr};
};

[[nodiscard]] Block allocate(arch::Env& env, NodeId node, Storage const& object, Storage const& data)
{
    Block block{.object = env.allocate(node, object.size, object.align)};
    if (block.object == nullptr || data.size == 0)
        return block;
    block.data = env.allocate(node, data.size, data.align);
    if (block.data == nullptr) {
        env.release(block.object, object.size);
        block.object = nullptr;
    }
    return block;
}

} // namespace

Result<Vcpu*, CoreError> Core::make_idle_vcpu(CpuId cpu)
{
    NodeId const node{pool_.topology().node_of(cpu)};
    PolicyOps const& ops{pool_.ops()};
    Block const block{allocate(pool_.env(), node, detail::storage_of<Vcpu>(), ops.vcpu)};
    if (block.object == nullptr)
        return fail(CoreError::no_memory);
    void* const pcpu_data{ops.pcpu.size == 0 ? nullptr : pool_.env().allocate(node, ops.pcpu.size, ops.pcpu.align)};
    if (ops.pcpu.size != 0 && pcpu_data == nullptr)
        return fail(CoreError::no_memory); // The machine does not come up.
    Vcpu* const vcpu{::new (block.object) Vcpu{idle_domain_, VcpuIndex{cpu.value()}, cpu}};
    vcpu->hard_affinity = CpuMask::of(cpu);
    vcpu->soft_affinity = vcpu->hard_affinity;
    vcpu->pool = &pool_;
    ops.attach_vcpu(block.data, *vcpu);
    Pcpu& pcpu{pool_.pcpu(cpu)};
    pcpu.idle = vcpu;
    pcpu.pool = &pool_;
    ++pool_.pcpus_in_;
    ops.attach_pcpu(pcpu_data, pcpu);
    return vcpu;
}

void Core::pcpu_up(CpuId self, Instant now)
{
    Pcpu& pcpu{pool_.pcpu(self)};
    HV_ASSERT(pcpu.idle != nullptr);
    Guard steering{steering_lock_, irqs_off};
    up_.set(self);
    take_up_pool(pcpu);
    Pool& pool{*pcpu.pool};
    {
        Guard guard{pcpu.lock, irqs_off};
        if (pcpu.idle->run_state.state != RunState::running) { // else it comes back
            pcpu.current = pcpu.idle;
            pcpu.idle->set_running(true);
            pcpu.idle->run_state = {.state = RunState::runnable, .entered = now, .counted = now};
            // Readers of a trace want to see a pCPU's idle vCPU arrive before anything else happens there.
            change_state(self, *pcpu.idle, RunState::running, now);
            pool_.tracer().ring(self).set_current(idle_domain_id.value(), self.value());
            pool_.tracer().hello(self, now);
        }
    }
    // Before it is a member: then peers look at what the policy keeps for it.
    if (pool.ops().pcpu_joins != nullptr)
        pool.ops().pcpu_joins(pool.policy(), self, now);
    publish_member(pool, self, true);
    restore_affinities(self, pool, now);
}

// What left for a while with the last pCPU that it allowed, and has one of them back. And the nodes of the pCPUs in the
// pool are others now.
void Core::restore_affinities(CpuId self, Pool& pool, Instant now)
{
    for (Domain& domain : domains_) {
        if (domain.pool != &pool)
            continue;
        for (Vcpu& vcpu : domain.vcpus) {
            CpuId const cpu{lock_processor(vcpu)};
            bool const restores{vcpu.affinity_broken && vcpu.saved_affinity.intersects(pool.members())};
            if (restores)
                change_affinity(self, vcpu, vcpu.saved_affinity, now);
            unlock_pair(cpu, cpu);
            if (restores)
                finish_migration(self, vcpu, now);
        }
        recompute_node_affinity(domain);
        spread_node_affinity(domain, now);
    }
}

// Upstream: cpu_disable_scheduler. First nobody picks the pCPU any more; then its vCPUs are sent away, one by one;
// whoever still runs there leaves when its context is saved, so the caller comes back until all have.
Status<CoreError> Core::pcpu_down(CpuId self, CpuId cpu, Instant now, Absence absence)
{
    Guard steering{steering_lock_, irqs_off};
    Pool& pool{*pool_.pcpu(cpu).pool};
    CpuMask members{pool.members()};
    members.clear(cpu);
    if (members.empty() && pool.members().test(cpu) && (&pool == &pool_ || pool.domains_ != 0))
        return fail(CoreError::last_pcpu);
    // Not anew when asked again: a version's readers have it to themselves for so many changes only.
    if (pool.members().test(cpu))
        publish_member(pool, cpu, false);
    bool somebody_is_left{false};
    for (Domain& domain : domains_)
        for (Vcpu& vcpu : domain.vcpus)
            somebody_is_left |= domain.pool == &pool && !leave_pcpu(self, vcpu, cpu, absence, now);
    if (somebody_is_left)
        return fail(CoreError::busy);
    Pcpu& pcpu{pool_.pcpu(cpu)};
    {
        Guard guard{pcpu.lock, irqs_off};
        if (pcpu.current != pcpu.idle)
            return fail(CoreError::busy);
        pool_.env().disarm(cpu,
                           timer::slice); // Its idle vCPU goes on to run: the pCPU halts and reschedules when asked.
    }
    if (pool.ops().pcpu_leaves != nullptr)
        pool.ops().pcpu_leaves(pool.policy(), self, cpu, now);
    for (Domain& domain : domains_) {
        if (domain.pool != &pool)
            continue;
        recompute_node_affinity(domain);
        spread_node_affinity(domain, now);
    }
    return done;
}

// false: it still belongs to the pCPU.
bool Core::leave_pcpu(CpuId self, Vcpu& vcpu, CpuId cpu, Absence absence, Instant now)
{
    CpuId const owner{lock_processor(vcpu)};
    // Nowhere left to go: its affinity is broken, all pCPUs will do.
    if (vcpu.hard_affinity.test(cpu) && !vcpu.hard_affinity.intersects(vcpu.pool->members())) {
        if (absence == Absence::for_a_while && !vcpu.affinity_broken) {
            vcpu.saved_affinity = vcpu.hard_affinity;
            vcpu.affinity_broken = true;
        }
        vcpu.hard_affinity = CpuMask::first_n(pool_.pcpu_limit());
        tell_affinity(vcpu, now);
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

Result<Domain*, CoreError> Core::create_domain(DomainId id, PoolId of)
{
    HV_ASSERT(id < idle_domain_id);
    Pool* const pool{find_pool(of)};
    if (pool == nullptr)
        return fail(CoreError::ending);
    Block const block{allocate(pool_.env(), NodeId{0}, detail::storage_of<Domain>(), pool->ops().domain)};
    if (block.object == nullptr)
        return fail(CoreError::no_memory);
    CoreError error{CoreError::exists};
    {
        Guard guard{steering_lock_, irqs_off};
        bool in_use{grace_.knows(id)};
        if (pool->ends_)
            error = CoreError::ending;
        else if (pool != &pool_ && pool->members().empty())
            error = CoreError::no_pcpu;
        for (Domain const& domain : domains_)
            in_use |= domain.id == id;
        if (!in_use && error == CoreError::exists) {
            Domain* const domain{::new (block.object) Domain{id, ++last_serial_}};
            pool->ops().attach_domain(block.data, *domain);
            domain->pool = pool;
            ++pool->domains_;
            domains_.push_back(*domain);
            return domain;
        }
    }
    pool_.env().release(block.object, sizeof(Domain));
    if (block.data != nullptr)
        pool_.env().release(block.data, pool->ops().domain.size);
    return fail(error);
}

Result<Vcpu*, CoreError> Core::create_vcpu(CpuId self, Domain& domain, CpuId initial, Instant now)
{
    NodeId const node{pool_.topology().node_of(initial)};
    // Whoever makes a domain is the only one who could move it, until it is made.
    Pool& pool{*pool_of(domain)};
    PolicyOps const& ops{pool.ops()};
    Block const block{allocate(pool_.env(), node, detail::storage_of<Vcpu>(), ops.vcpu)};
    if (block.object == nullptr)
        return fail(CoreError::no_memory);
    Guard guard{steering_lock_, irqs_off};
    if (domain.stage != LifeStage::alive || domain.pool != &pool || domain.moves_to != nullptr) {
        pool_.env().release(block.object, sizeof(Vcpu));
        if (block.data != nullptr)
            pool_.env().release(block.data, ops.vcpu.size);
        return fail(domain.stage != LifeStage::alive ? CoreError::ending : CoreError::busy);
    }
    // Under the lock: a pCPU that leaves takes it for each domain once it is out of the pool.
    if (CpuMask const& members{pool.members()}; !members.test(initial) && !members.empty()) [[unlikely]]
        initial = members.cycle(initial);
    Vcpu* const vcpu{::new (block.object) Vcpu{domain, VcpuIndex{domain.vcpu_count}, initial}};
    vcpu->set_flag(PauseFlag::down);
    vcpu->run_state.entered = vcpu->run_state.counted = now;
    vcpu->last_run_time = now;
    vcpu->hard_affinity = CpuMask::first_n(pool_.pcpu_limit());
    vcpu->soft_affinity = vcpu->hard_affinity;
    vcpu->pool = &pool;
    ops.attach_vcpu(block.data, *vcpu);
    // A domain begins to count with its first vCPU.
    if (domain.vcpus.empty()) {
        pool_.tracer().emit(self, now, trace::Event::domain_create, domain.id.value());
        pool_.tracer().emit(self, now, trace::Event::domain_add, domain.id.value());
    }
    domain.vcpus.push_back(*vcpu);
    ++domain.vcpu_count;
    if (ops.vcpu_added != nullptr)
        ops.vcpu_added(pool.policy(), *vcpu, now);
    recompute_node_affinity(domain);
    spread_node_affinity(domain, now);
    return vcpu;
}

void Core::set_params(Domain& domain, DomainParams params)
{
    // Held over both, so that the policy's copy and ours end the same however many set them at once.
    Guard guard{steering_lock_, irqs_off};
    if (domain.stage == LifeStage::unlinked)
        return; // The policy has forgotten it.
    if (Pool & pool{*domain.pool}; pool.ops().params_changed != nullptr)
        pool.ops().params_changed(pool.policy(), domain, params);
    domain.params = params;
}

Status<ParamError> Core::set_policy_param(Pool& pool, std::string_view key, std::int64_t value)
{
    if (pool.ops().set_param == nullptr)
        return fail(ParamError{"this policy has no parameters"});
    return pool.ops().set_param(pool.policy(), key, value);
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
    if (domain.vcpus.empty() || (!domain.auto_node_affinity && !domain.pool->ops().shrinks_node_affinity))
        return;
    NodeMask nodes;
    for (Vcpu const& vcpu : domain.vcpus) {
        CpuId const cpu{lock_processor(vcpu)};
        CpuMask const allowed{vcpu.hard_affinity & domain.pool->members()};
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

// Lock held.
void Core::tell_affinity(Vcpu& vcpu, Instant now)
{
    if (Pool & pool{*vcpu.pool}; pool.ops().affinity_changed != nullptr)
        pool.ops().affinity_changed(pool.policy(), vcpu, now);
}

// Lock held; finish_migration comes after it. Always placed anew, even where it is allowed already: the wider mask may
// hold a better place.
void Core::change_affinity(CpuId self, Vcpu& vcpu, CpuMask const& mask, Instant now)
{
    vcpu.hard_affinity = mask;
    vcpu.affinity_broken = false;
    tell_affinity(vcpu, now);
    mark_migrating(self, vcpu, now);
}

Status<CoreError> Core::set_hard_affinity(CpuId self, Vcpu& vcpu, CpuMask const& mask, Instant now)
{
    CpuId const cpu{lock_processor(vcpu)};
    // Under the lock: a pCPU that leaves is out of the pool before it asks for the locks of the vCPUs whose affinity it
    // breaks.
    if (!mask.intersects(vcpu.pool->members())) {
        unlock_pair(cpu, cpu);
        return fail(CoreError::empty_affinity);
    }
    change_affinity(self, vcpu, mask, now);
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
            tell_affinity(vcpu, now);
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
    tell_affinity(vcpu, now);
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

void Core::describe(Sink& sink)
{
    Guard guard{steering_lock_, irqs_off};
    for (Pool const* const pool : pools_) {
        if (pool == nullptr)
            continue;
        if (pool != &pool_)
            print(sink, "pool {}: ", pool->name());
        print(sink, "scheduler: {}\n", pool->ops().name);
        if (pool->ops().describe != nullptr)
            pool->ops().describe(pool->policy(), sink);
    }
}

} // namespace hv::sched
