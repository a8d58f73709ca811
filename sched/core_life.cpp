// The part of the core that pauses domains and vCPUs and lets domains end. core.hpp has the steps.
#include "sched/core.hpp"

namespace hv::sched {

// --- pausing

void Core::pause_nosync(CpuId self, Vcpu& vcpu, Instant now)
{
    vcpu.pause_count.fetch_add(1);
    sleep_nosync(self, vcpu, now);
}

void Core::unpause(CpuId self, Vcpu& vcpu, Instant now)
{
    std::uint32_t const before = vcpu.pause_count.fetch_sub(1);
    HV_ASSERT(before > 0);
    if (before == 1)
        wake(self, vcpu, now);
}

void Core::pause(CpuId self, Domain& domain, Instant now)
{
    Guard guard{steering_lock_, irqs_off};
    domain.pause_count.fetch_add(1);
    for (Vcpu& vcpu : domain.vcpus)
        sleep_nosync(self, vcpu, now);
}

void Core::unpause(CpuId self, Domain& domain, Instant now)
{
    Guard guard{steering_lock_, irqs_off};
    std::uint32_t const before = domain.pause_count.fetch_sub(1);
    HV_ASSERT(before > 0);
    if (before != 1)
        return;
    for (Vcpu& vcpu : domain.vcpus)
        wake(self, vcpu, now);
}

bool Core::nobody_runs(Domain const& domain)
{
    for (Vcpu const& vcpu : domain.vcpus)
        if (vcpu.is_running())
            return false;
    return true;
}

bool Core::has_stopped(Domain const& domain)
{
    Guard guard{steering_lock_, irqs_off};
    return nobody_runs(domain);
}

// --- looking for one

Domain* Core::find(DomainId id)
{
    Guard guard{steering_lock_, irqs_off};
    for (Domain& domain : domains_)
        if (domain.id == id)
            return domain.stage == LifeStage::alive ? &domain : nullptr;
    return nullptr;
}

Domain* Core::find(DomainId id, std::uint64_t serial)
{
    Domain* const found{find(id)};
    return found != nullptr && found->serial == serial ? found : nullptr;
}

// --- the end

Status<CoreError> Core::destroy(CpuId self, Domain& domain, Instant now)
{
    {
        Guard guard{steering_lock_, irqs_off};
        if (domain.stage != LifeStage::alive)
            return fail(CoreError::ending);
        domain.stage = LifeStage::ending;
        if (farewell_.ends != nullptr)
            farewell_.ends(farewell_.self, domain);
        for (Vcpu& vcpu : domain.vcpus) {
            // Before the look at is_running in end_if_stopped, as "not running" comes before the look at this flag in
            // context_saved: one of the two sees the other.
            vcpu.set_flag(PauseFlag::ending);
            sleep_nosync(self, vcpu, now);
        }
    }
    end_if_stopped(self, domain, now);
    return done;
}

// The last one to stop takes its domain off the lists; who comes later finds that done.
void Core::end_if_stopped(CpuId self, Domain& domain, Instant now)
{
    Guard guard{steering_lock_, irqs_off};
    if (domain.stage != LifeStage::ending || !nobody_runs(domain))
        return;
    unlink(self, domain, now);
    begin_grace();
}

// None of its vCPUs runs or will; a peer may still be about to wake or to move one, in vain.
void Core::unlink(CpuId self, Domain& domain, Instant now)
{
    domain.stage = LifeStage::unlinked;
    leave_policy(self, domain, now);
    if (!domain.vcpus.empty()) {
        pool_.tracer().emit(self, now, trace::Event::domain_remove, domain.id.value());
        pool_.tracer().emit(self, now, trace::Event::domain_destroy, domain.id.value());
    }
    domains_.erase(domain);
    grace_.add(domain);
}

// Lock held.
void Core::leave_trace(CpuId self, Vcpu& vcpu, Instant now)
{
    // What it did on a pCPU that is not traced, the trace does not know, so it cannot tell the end of it.
    if (pool_.tracer().ring(vcpu.processor()).is_muted())
        enter_state(self, vcpu, RunState::offline, now, std::nullopt);
    else
        change_state(self, vcpu, RunState::offline, now);
}

void Core::begin_grace()
{
    for (CpuId const cpu : grace_.begin(up_))
        pool_.env().tickle(cpu);
}

// At a reschedule, before anything else: here this pCPU refers to nothing but what is current.
void Core::pass_grace(Pcpu& pcpu, std::uint32_t period)
{
    if (pcpu.passed == period)
        return;
    {
        Guard guard{steering_lock_, irqs_off};
        pcpu.passed = period;
        if (grace_.running() != period)
            return; // It has ended without us: this pCPU has only just come up.
        grace_.pass(pcpu.id);
        begin_grace();
    }
    auto const take = [&] {
        Guard guard{steering_lock_, irqs_off};
        return grace_.take();
    };
    while (Domain* const domain = take())
        release(*domain);
    forget_pcpus();
}

void Core::release(Domain& domain)
{
    if (domain.moves_to != nullptr)
        drop_next_data(domain, *domain.moves_to);
    while (Vcpu* const vcpu = domain.vcpus.pop_front())
        release(*vcpu);
    if (farewell_.domain != nullptr)
        farewell_.domain(farewell_.self, domain);
    drop_data(domain);
    leave_pools(domain);
    domain.~Domain();
    pool_.env().release(&domain, sizeof(Domain));
}

void Core::release(Vcpu& vcpu)
{
    if (farewell_.vcpu != nullptr)
        farewell_.vcpu(farewell_.self, vcpu);
    drop_data(vcpu);
    vcpu.~Vcpu();
    pool_.env().release(&vcpu, sizeof(Vcpu));
}

} // namespace hv::sched
