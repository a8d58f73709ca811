// What a pCPU without anything better than OVER takes from others. Upstream: csched_load_balance, csched_runq_steal.
#include "sched/credit/credit.hpp"

namespace hv::sched::credit {

// Own lock held. `best_here` is what the own queue offers; returns what to run, taken off its queue.
CreditVcpu& Credit::balance(CpuId self, CreditVcpu& best_here, bool& migrated, Instant now)
{
    CreditPcpu& mine{at(self)};
    mine.pcpu.lock.assert_held();
    Topology const& topology{pool_.topology()};
    ++(best_here.prio() == Prio::idle   ? mine.counters.load_balance_idle
       : best_here.prio() == Prio::over ? mine.counters.load_balance_over
                                        : mine.counters.load_balance_other);
    if (pool_.members().test(self)) {
        NodeId const own{topology.node_of(self)};
        CpuMask busy{pool_.members() - idlers_.snapshot()};
        busy.clear(self);
        // Upstream 4.3 locks every busy peer; where nobody waits it finds nothing, which is known without.
        CpuMask const victims{busy & waiters_.snapshot()};
        if (victims.empty()) {
            mine.counters.steal_peer_idle += 2 * busy.count(); // once a step
            remove(mine, best_here);
            return best_here;
        }
        // First all nodes for vCPUs that would rather be here, then all nodes for any: upstream's order, by node
        // number.
        for (BalanceStep const step : balance_steps) {
            NodeId node{own};
            do {
                if (CreditVcpu* const stolen =
                        steal_from(self, victims & topology.pcpus_of(node), best_here.prio(), step, now)) {
                    migrated = true;
                    return *stolen;
                }
                node = topology.nodes().cycle(node);
            } while (node != own);
        }
    }
    remove(mine, best_here);
    return best_here;
}

// From the busy pCPUs of one node, lowest id first.
CreditVcpu* Credit::steal_from(CpuId self, CpuMask const& victims, Prio floor, BalanceStep step,
                               Instant now) HV_NO_THREAD_SAFETY_ANALYSIS
{
    for (CpuId const peer : victims) {
        CreditPcpu& victim{at(peer)};
        bool const locked{victim.pcpu.lock.try_lock()};
        pool_.tracer().emit(self, now, trace::Event::steal_check, peer.value(), locked ? 1u : 0u);
        if (!locked) {
            ++at(self).counters.steal_trylock_failed;
            continue; // Never wait: two thieves would wait for each other.
        }
        CreditVcpu* const stolen{pool_.members().test(peer) ? steal(self, victim, floor, step, now) : nullptr};
        victim.pcpu.lock.unlock();
        if (stolen != nullptr)
            return stolen;
        ++at(self).counters.steal_peer_idle; // upstream counts here whenever nothing is found
    }
    return nullptr;
}

// Own and victim's lock held. The first in the victim's queue that is better than `floor` and may come.
CreditVcpu* Credit::steal(CpuId self, CreditPcpu& victim, Prio floor, BalanceStep step, Instant now)
{
    victim.pcpu.lock.assert_held();
    if (victim.pcpu.current->is_idle())
        return nullptr; // It is about to serve itself.
    for (CreditVcpu& candidate : victim.queue) {
        if (candidate.prio() <= floor)
            return nullptr;
        Vcpu& vcpu{candidate.vcpu};
        if (vcpu.is_running()) // Its context is not saved yet.
            continue;
        if (step == BalanceStep::soft && !candidate.useful_preference)
            continue;
        if (now - vcpu.last_run_time < params_.migration_delay) {
            ++at(self).counters.vcpu_hot;
            continue;
        }
        if (!step_allows(vcpu, step, self))
            continue;
        pool_.tracer().emit(self, now, trace::Event::stolen_vcpu, victim.pcpu.id.value(), vcpu.domain.id.value(),
                            vcpu.index.value());
        ++at(self).counters.migrate_queued;
        remove(victim, candidate);
        vcpu.set_processor(self);
        return &candidate;
    }
    return nullptr;
}

} // namespace hv::sched::credit
