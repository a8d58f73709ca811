// The part of the core that only looks: what consoles and reports show of domains and vCPUs while everything runs.
#include "sched/core.hpp"

namespace hv::sched {

void Core::look_at(Vcpu const& vcpu, Instant now, VcpuView& view)
{
    CpuId const cpu{lock_processor(vcpu)};
    view.index = vcpu.index;
    view.processor = cpu;
    view.state = vcpu.run_state.state;
    view.spent = vcpu.run_state.spent;
    if (now > vcpu.run_state.counted)
        view.spent[static_cast<unsigned>(view.state)] += now - vcpu.run_state.counted;
    view.pause_flags = vcpu.pause_flags.load();
    view.pause_count = vcpu.pause_count.load();
    view.is_down = vcpu.has_flag(PauseFlag::down);
    view.prefers = vcpu.prefers;
    view.hard_affinity = vcpu.hard_affinity;
    view.soft_affinity = vcpu.soft_affinity;
    unlock_pair(cpu, cpu);
}

DomainView Core::look_at(Domain const& domain)
{
    Guard guard{steering_lock_, irqs_off};
    return {.params = domain.params,
            .node_affinity = domain.node_affinity,
            .auto_node_affinity = domain.auto_node_affinity,
            .is_paused = domain.pause_count.load() != 0,
            .is_ending = domain.stage != LifeStage::alive,
            .pool = domain.pool->id(),
            .moves = domain.moves_to != nullptr};
}

// Its reschedules do not count as the point behind which it knows nothing; the next one after that does.
void Core::hold_domains(CpuId self, bool holds)
{
    pool_.pcpu(self).holds_domains = holds;
    if (!holds && grace_.running() != 0)
        pool_.env().tickle(self);
}

Domain* Core::next_domain(std::uint64_t serial)
{
    Guard guard{steering_lock_, irqs_off};
    for (Domain& domain : domains_)
        if (domain.serial > serial)
            return &domain;
    return nullptr;
}

void Core::describe_state(Pool& pool, Sink& sink)
{
    if (pool.ops().describe_state != nullptr)
        pool.ops().describe_state(pool.policy(), sink);
}

// The lock keeps it in its pool meanwhile.
void Core::describe_queue(CpuId cpu, Sink& sink)
{
    Guard guard{steering_lock_, irqs_off};
    Pool& pool{*pool_.pcpu(cpu).pool};
    if (pool.ops().describe_queue != nullptr)
        pool.ops().describe_queue(pool.policy(), cpu, sink);
}

} // namespace hv::sched
