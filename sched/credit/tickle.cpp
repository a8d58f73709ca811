// Whom a wake-up disturbs. Upstream: __runq_tickle.
#include "sched/credit/credit.hpp"

namespace hv::sched::credit {

// One of the candidates, going round from wake to wake so that the same one is not always disturbed; or all of them.
CpuMask Credit::one_of(CpuId self, CpuMask const& candidates)
{
    if (!params_.tickle_one_idle)
        return candidates;
    if (!is_mine(self)) [[unlikely]]
        return CpuMask::of(candidates.cycle(self)); // of another pool: it has no turns here
    CreditPcpu& executing{at(self)};
    executing.last_tickled = candidates.cycle(executing.last_tickled);
    return CpuMask::of(executing.last_tickled);
}

// `woken` is about to be queued on decision.queue_on, whose lock is held.
void Credit::choose_tickles(CpuId self, CreditVcpu& woken, WakeDecision& decision)
{
    CpuId const cpu{decision.queue_on};
    Prio const current{data(*pool_.pcpu(cpu).current).prio()};
    bool const beats_current{woken.prio() > current};
    if (current == Prio::idle) { // whatever the preference says: upstream's weakness at wake-up starts here
        decision.tickle = CpuMask::of(cpu);
        count(self, &Counters::tickle_idlers_some);
        return;
    }
    CpuMask const idlers{idlers_.snapshot()};
    if (idlers.empty()) {
        if (beats_current) {
            decision.tickle = CpuMask::of(cpu);
            count(self, &Counters::tickle_idlers_none);
        }
        return;
    }
    for (BalanceStep const step : balance_steps) {
        if (step == BalanceStep::soft && !woken.useful_preference)
            continue;
        CpuMask const candidates{idlers & step_mask(woken.vcpu, step)};
        if (!candidates.empty()) {
            // Not `cpu`, whatever the priorities: what runs there is cache hot, what wakes is not.
            decision.tickle = one_of(self, candidates);
            count(self, &Counters::tickle_idlers_some);
            return;
        }
        if (step == BalanceStep::hard && beats_current) {
            // Idle pCPUs exist, but not for this one: let the running vCPU try its luck with them.
            decision.push_current = true;
            count(self, &Counters::migrate_kicked_away);
            count(self, &Counters::tickle_idlers_none);
            decision.tickle = CpuMask::of(cpu);
        }
    }
}

} // namespace hv::sched::credit
