// The part of the core that makes and ends pools, and moves pCPUs and domains between them. A pCPU moves from a pool to
// none and from there to a pool, always on its own account, while it idles; what a policy kept for it goes when nobody
// in the old pool can look at it any more (grace.hpp). A domain moves when all its vCPUs have stopped.
#include "sched/core.hpp"

#include <new>
#include <utility>

namespace hv::sched {

namespace {

// What decides on a pCPU that is in no pool. Nobody belongs to it, so it is never asked anything else.
constexpr PolicyOps idling_ops{[] {
    PolicyOps ops{};
    ops.name = "idle";
    ops.attach_pcpu = [](void*, Pcpu&) noexcept {};
    ops.detach_pcpu = [](Pcpu&) noexcept {};
    ops.attach_vcpu = [](void*, Vcpu&) noexcept {};
    ops.detach_vcpu = [](Vcpu&) noexcept {};
    ops.schedule = [](void* self, CpuId cpu, Vcpu&, Instant, bool) noexcept -> Decision {
        return {.next = static_cast<Pool*>(self)->pcpu(cpu).idle, .slice = std::nullopt};
    };
    return ops;
}()};

// Memory for what a policy keeps; nullptr is right where that is nothing.
[[nodiscard]] bool allocate_data(arch::Env& env, NodeId node, Storage const& storage, void*& data)
{
    data = storage.size == 0 ? nullptr : env.allocate(node, storage.size, storage.align);
    return data != nullptr || storage.size == 0;
}

void release_data(arch::Env& env, Storage const& storage, void* data)
{
    if (data != nullptr)
        env.release(data, storage.size);
}

} // namespace

Core::Core(Pool& pool, PolicyOps const& ops, void* policy) HV_NO_THREAD_SAFETY_ANALYSIS // nobody knows it yet
    : pool_{pool},
      free_{pool.env(), pool.tracer(), pool.pcpus_}
{
    pool_.ops_ = &ops;
    pool_.policy_ = policy;
    pool_.set_name("Pool-0");
    pools_[0] = &pool_;
    free_.ops_ = &idling_ops;
    free_.policy_ = &free_;
}

bool Core::is_consistent() const HV_NO_THREAD_SAFETY_ANALYSIS // Nobody runs.
{
    for (Pool const* const pool : pools_)
        if (pool != nullptr && pool->ops().is_consistent != nullptr && !pool->ops().is_consistent(pool->policy()))
            return false;
    return true;
}

// --- which there are

Pool* Core::pool_of(PoolId id)
{
    Pool* const pool{id.value() < pools_.size() ? pools_[id.value()] : nullptr};
    return pool != nullptr && !pool->ends_ ? pool : nullptr;
}

Pool* Core::pool_of(Domain const& domain)
{
    Guard guard{steering_lock_, irqs_off};
    return domain.pool;
}

bool Core::is_free_name(std::string_view name) const
{
    for (Pool const* const pool : pools_)
        if (pool != nullptr && pool->name() == name)
            return false;
    return !name.empty() && name.size() <= Pool::name_limit;
}

Pool* Core::find_pool(PoolId id)
{
    Guard guard{steering_lock_, irqs_off};
    return pool_of(id);
}

Pool* Core::find_pool(std::string_view name)
{
    Guard guard{steering_lock_, irqs_off};
    for (Pool* const pool : pools_)
        if (pool != nullptr && pool->name() == name)
            return pool->ends_ ? nullptr : pool;
    return nullptr;
}

std::optional<PoolView> Core::look_at_pool(PoolId from)
{
    Guard guard{steering_lock_, irqs_off};
    for (std::size_t i = from.value(); i < pools_.size(); ++i) {
        if (pools_[i] == nullptr)
            continue;
        Pool const& pool{*pools_[i]};
        return PoolView{.id = pool.id(),
                        .text = pool.name_,
                        .text_size = pool.name_size_,
                        .policy = pool.ops().name,
                        .members = pool.members(),
                        .domains = pool.domains_,
                        .ends = pool.ends_};
    }
    return std::nullopt;
}

Result<PoolId, CoreError> Core::create_pool(PolicyOps const& ops, std::string_view name)
{
    arch::Env& env{pool_.env()};
    void* const memory{env.allocate(NodeId{0}, sizeof(Pool), alignof(Pool))};
    if (memory == nullptr)
        return fail(CoreError::no_memory);
    CoreError error{CoreError::no_memory};
    if (void* const policy{env.allocate(NodeId{0}, ops.self.size, ops.self.align)}; policy != nullptr) {
        Guard guard{steering_lock_, irqs_off};
        std::size_t id{0};
        while (id < pools_.size() && pools_[id] != nullptr)
            ++id;
        if (id < pools_.size() && is_free_name(name)) {
            Pool* const pool{::new (memory) Pool{env, pool_.tracer(), pool_.pcpus_}};
            pool->id_ = PoolId{static_cast<PoolId::Rep>(id)};
            pool->ops_ = &ops;
            pool->policy_ = ops.create(policy, *pool);
            pool->set_name(name);
            pools_[id] = pool;
            return pool->id_;
        }
        env.release(policy, ops.self.size);
        error = id == pools_.size() ? CoreError::too_many : CoreError::exists;
    }
    env.release(memory, sizeof(Pool));
    return fail(error);
}

Status<CoreError> Core::rename_pool(PoolId id, std::string_view name)
{
    Guard guard{steering_lock_, irqs_off};
    Pool* const pool{pool_of(id)};
    if (pool == nullptr)
        return fail(CoreError::ending);
    if (pool->name() != name && !is_free_name(name))
        return fail(CoreError::exists);
    pool->set_name(name);
    return done;
}

Status<CoreError> Core::end_pool(PoolId id, CpuMask& pcpus)
{
    Guard guard{steering_lock_, irqs_off};
    Pool* const pool{pool_of(id)};
    if (pool == nullptr)
        return fail(CoreError::ending);
    if (pool == &pool_ || pool->domains_ != 0)
        return fail(CoreError::in_use);
    for (Pcpu const* const pcpu : pool_.pcpus_) {
        if (pcpu->joining.pool == pool)
            return fail(CoreError::busy);
        if (pcpu->pool == pool)
            pcpus.set(pcpu->id);
    }
    pool->ends_ = true;
    end_if_empty(*pool);
    return done;
}

void Core::end_if_empty(Pool& pool)
{
    if (!pool.ends_ || pool.pcpus_in_ != 0)
        return;
    pools_[pool.id().value()] = nullptr;
    grace_.add(pool);
    begin_grace();
}

void Core::release(Pool& pool)
{
    PolicyOps const& ops{pool.ops()};
    void* const policy{pool.policy()};
    ops.destroy(policy);
    pool_.env().release(policy, ops.self.size);
    pool.~Pool();
    pool_.env().release(&pool, sizeof(Pool));
}

// --- pCPUs

void Core::publish_member(Pool& pool, CpuId cpu, bool is_member)
{
    CpuMask members{pool.members()};
    is_member ? members.set(cpu) : members.clear(cpu);
    pool.publish_members(members);
    is_member ? in_pools_.set(cpu) : in_pools_.clear(cpu);
}

bool Core::is_in_no_pool(CpuId cpu)
{
    Guard guard{steering_lock_, irqs_off};
    return pool_.pcpu(cpu).pool == &free_;
}

Status<CoreError> Core::prepare_join(CpuId cpu, PoolId id)
{
    Guard guard{steering_lock_, irqs_off};
    Pool* const pool{pool_of(id)};
    if (pool == nullptr)
        return fail(CoreError::ending);
    Pcpu& pcpu{pool_.pcpu(cpu)};
    HV_ASSERT(pcpu.joining.pool == nullptr);
    arch::Env& env{pool_.env()};
    NodeId const node{pool_.topology().node_of(cpu)};
    Joining joining{.pool = pool};
    if (!allocate_data(env, node, pool->ops().pcpu, joining.pcpu_data))
        return fail(CoreError::no_memory);
    if (!allocate_data(env, node, pool->ops().vcpu, joining.idle_data)) {
        release_data(env, pool->ops().pcpu, joining.pcpu_data);
        return fail(CoreError::no_memory);
    }
    pcpu.joining = joining;
    return done;
}

// On the pCPU itself, which comes up: it may have been asked into another pool than the one that it is in.
void Core::take_up_pool(Pcpu& pcpu)
{
    Joining const joining{std::exchange(pcpu.joining, {})};
    if (joining.pool == nullptr)
        return;
    Guard guard{pcpu.lock, irqs_off};
    pcpu.pool = pcpu.idle->pool = joining.pool;
    ++joining.pool->pcpus_in_;
    joining.pool->ops().attach_vcpu(joining.idle_data, *pcpu.idle);
    joining.pool->ops().attach_pcpu(joining.pcpu_data, pcpu);
}

void Core::begin_parting(CpuId cpu)
{
    Guard guard{steering_lock_, irqs_off};
    pool_.pcpu(cpu).forgotten.store(false);
    grace_.add(cpu);
    begin_grace();
}

bool Core::part(CpuId self, Instant now)
{
    Guard steering{steering_lock_, irqs_off};
    Pcpu& pcpu{pool_.pcpu(self)};
    Pool& pool{*pcpu.pool};
    // A wake-up that had looked before the pCPU left may have put somebody here.
    bool somebody_came{false};
    for (Domain& domain : domains_)
        for (Vcpu& vcpu : domain.vcpus)
            somebody_came |= domain.pool == &pool && !leave_pcpu(self, vcpu, self, Absence::for_good, now);
    if (somebody_came)
        return false;
    for (TimerId const id : {timer::slice, timer::tick, timer::accounting})
        pool_.env().disarm(self, id); // one that had gone off when the pCPU left may have been armed again
    void* const pcpu_data{pcpu.policy_data};
    void* const idle_data{pcpu.idle->policy_data};
    {
        Guard guard{pcpu.lock, irqs_off};
        if (pcpu.current != pcpu.idle)
            return false;
        pool.ops().detach_pcpu(pcpu);
        pool.ops().detach_vcpu(*pcpu.idle);
        pcpu.policy_data = pcpu.idle->policy_data = nullptr;
        pcpu.pool = pcpu.idle->pool = &free_;
        pcpu.tick_suspended = false;
    }
    release_data(pool_.env(), pool.ops().pcpu, pcpu_data);
    release_data(pool_.env(), pool.ops().vcpu, idle_data);
    --pool.pcpus_in_;
    end_if_empty(pool);
    return true;
}

// A grace period is over, or perhaps none.
void Core::forget_pcpus()
{
    CpuMask pcpus;
    {
        Guard guard{steering_lock_, irqs_off};
        pcpus = grace_.take_pcpus();
    }
    for (CpuId const cpu : pcpus) {
        pool_.pcpu(cpu).forgotten.store(true);
        pool_.env().tickle(cpu);
    }
    auto const take = [&] {
        Guard guard{steering_lock_, irqs_off};
        return grace_.take_pool();
    };
    while (Pool* const pool = take())
        release(*pool);
}

// --- domains

void Core::drop_data(Domain& domain)
{
    PolicyOps const& ops{domain.pool->ops()};
    ops.detach_domain(domain);
    release_data(pool_.env(), ops.domain, std::exchange(domain.policy_data, nullptr));
}

void Core::drop_data(Vcpu& vcpu)
{
    PolicyOps const& ops{vcpu.pool->ops()};
    ops.detach_vcpu(vcpu);
    release_data(pool_.env(), ops.vcpu, std::exchange(vcpu.policy_data, nullptr));
}

// A domain that is gone, for good: until now its pool had to stay.
void Core::leave_pools(Domain& domain)
{
    Guard guard{steering_lock_, irqs_off};
    --domain.pool->domains_;
    if (domain.moves_to != nullptr)
        --domain.moves_to->domains_;
}

// What the move was to be made with; it does not take place.
void Core::drop_next_data(Domain& domain, Pool& to)
{
    release_data(pool_.env(), to.ops().domain, std::exchange(domain.next_data, nullptr));
    for (Vcpu& vcpu : domain.vcpus)
        release_data(pool_.env(), to.ops().vcpu, std::exchange(vcpu.next_data, nullptr));
}

bool Core::prepare_move(Domain& domain, Pool& to)
{
    arch::Env& env{pool_.env()};
    CpuId home{*to.members().first()};
    bool complete{allocate_data(env, NodeId{0}, to.ops().domain, domain.next_data)};
    for (Vcpu& vcpu : domain.vcpus) {
        complete = complete && allocate_data(env, pool_.topology().node_of(home), to.ops().vcpu, vcpu.next_data);
        home = to.members().cycle(home);
    }
    if (!complete)
        drop_next_data(domain, to);
    return complete;
}

Status<CoreError> Core::move_domain(CpuId self, Domain& domain, PoolId id, Instant now)
{
    {
        Guard guard{steering_lock_, irqs_off};
        Pool* const to{pool_of(id)};
        if (domain.stage != LifeStage::alive || to == nullptr)
            return fail(CoreError::ending);
        if (domain.moves_to != nullptr)
            return fail(CoreError::busy);
        if (domain.pool == to)
            return done;
        if (to->members().empty())
            return fail(CoreError::no_pcpu);
        if (!prepare_move(domain, *to))
            return fail(CoreError::no_memory);
        domain.moves_to = to;
        ++to->domains_;
        for (Vcpu& vcpu : domain.vcpus) {
            // The same order as when a domain ends (destroy).
            vcpu.set_flag(PauseFlag::changes_pool);
            sleep_nosync(self, vcpu, now);
        }
    }
    move_if_stopped(self, domain, now);
    return done;
}

// The last one to stop takes all of them over; who comes later finds that done.
void Core::move_if_stopped(CpuId self, Domain& domain, Instant now)
{
    Guard guard{steering_lock_, irqs_off};
    if (domain.stage != LifeStage::alive || domain.moves_to == nullptr || !nobody_runs(domain))
        return;
    leave_policy(self, domain, now);
    drop_data(domain);
    Pool& from{*domain.pool};
    Pool& to{*domain.moves_to};
    domain.pool = &to;
    domain.moves_to = nullptr;
    --from.domains_;
    to.ops().attach_domain(std::exchange(domain.next_data, nullptr), domain);
    CpuId home{*to.members().first()};
    for (Vcpu& vcpu : domain.vcpus) {
        carry_over(self, vcpu, to, home, now);
        if (to.ops().vcpu_added != nullptr)
            to.ops().vcpu_added(to.policy(), vcpu, now);
        home = to.members().cycle(home);
    }
    if (to.ops().params_changed != nullptr)
        to.ops().params_changed(to.policy(), domain, domain.params);
    recompute_node_affinity(domain);
    spread_node_affinity(domain, now);
    for (Vcpu& vcpu : domain.vcpus) {
        vcpu.clear_flag(PauseFlag::changes_pool);
        // Its new policy says where it goes. A peer may have asked already, and found it stopped.
        if (vcpu.has_flag(PauseFlag::migrating))
            finish_migration(self, vcpu, now);
        else
            wake(self, vcpu, now);
    }
}

// None of its vCPUs runs. They are on none of the policy's lists afterwards, though what it keeps for them is there.
void Core::leave_policy(CpuId self, Domain& domain, Instant now)
{
    PolicyOps const& ops{domain.pool->ops()};
    void* const policy{domain.pool->policy()};
    for (Vcpu& vcpu : domain.vcpus) {
        CpuId const cpu{lock_processor(vcpu)};
        ops.sleep(policy, self, vcpu, now); // Policies have lists of those that sleep, too.
        if (domain.stage == LifeStage::unlinked)
            leave_trace(self, vcpu, now);
        unlock_pair(cpu, cpu);
        if (ops.vcpu_removed != nullptr)
            ops.vcpu_removed(policy, self, vcpu, now);
    }
    if (ops.domain_removed != nullptr)
        ops.domain_removed(policy, self, domain, now);
}

// One that no policy knows for the moment. Peers may steer it meanwhile: what they do, they do under its lock.
void Core::carry_over(CpuId self, Vcpu& vcpu, Pool& to, CpuId home, Instant now) HV_NO_THREAD_SAFETY_ANALYSIS
{
    CpuId from{vcpu.processor()};
    for (lock_pair(from, home); vcpu.processor() != from; lock_pair(from, home)) {
        unlock_pair(from, home);
        from = vcpu.processor();
    }
    drop_data(vcpu);
    vcpu.pool = &to;
    to.ops().attach_vcpu(std::exchange(vcpu.next_data, nullptr), vcpu);
    if (!vcpu.hard_affinity.intersects(to.members())) {
        vcpu.hard_affinity = CpuMask::first_n(pool_.pcpu_limit());
        vcpu.affinity_broken = false;
    }
    pool_.tracer().emit(self, now, trace::Event::migrate, vcpu.packed(), from.value(), home.value());
    vcpu.set_processor(home);
    vcpu.set_flag(PauseFlag::migrating);
    tell_affinity(vcpu, now);
    unlock_pair(from, home);
}

} // namespace hv::sched
