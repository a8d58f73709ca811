#include "sched/core.hpp"

#include <arch/cpu.hpp>

namespace hv::sched {

void Parking::park(Vcpu& vcpu) noexcept { core_.pause_nosync(self_, vcpu, now_); }
void Parking::unpark(Vcpu& vcpu) noexcept { core_.unpause(self_, vcpu, now_); }

// --- locks

// The lock of the vCPU's pCPU, which may change until we have it. Returns the pCPU that it turned out to be.
CpuId Core::lock_processor(Vcpu const& vcpu) HV_NO_THREAD_SAFETY_ANALYSIS
{
    HV_ASSERT_SLOW(arch::irqs_are_off());
    while (true) {
        CpuId const cpu{vcpu.processor()};
        pool_.pcpu(cpu).lock.lock();
        if (vcpu.processor() == cpu)
            return cpu;
        pool_.pcpu(cpu).lock.unlock();
    }
}

// Both locks in ascending order, one if they are the same.
void Core::lock_pair(CpuId a, CpuId b) HV_NO_THREAD_SAFETY_ANALYSIS
{
    HV_ASSERT_SLOW(arch::irqs_are_off());
    pool_.pcpu(a < b ? a : b).lock.lock();
    if (a != b)
        pool_.pcpu(a < b ? b : a).lock.lock();
}

void Core::unlock_pair(CpuId a, CpuId b) HV_NO_THREAD_SAFETY_ANALYSIS
{
    pool_.pcpu(a).lock.unlock();
    if (a != b)
        pool_.pcpu(b).lock.unlock();
}

// --- run states

// Lock held. Time spent is added to the state that ends; a clock that went backwards adds nothing. `stamp`: of the
// change's record in the trace, if it has one.
void Core::enter_state(CpuId self, Vcpu& vcpu, RunState to, Instant now, std::optional<std::uint64_t> stamp)
{
    arch::Env& env{pool_.env()};
    RunStateClock& clock{vcpu.run_state};
    if (now > clock.entered)
        clock.entered = now;
    if (Instant const counted{env.counted_at(now, stamp ? *stamp : env.trace_clock(self))}; counted > clock.counted) {
        clock.spent[static_cast<unsigned>(clock.state)] += counted - clock.counted;
        clock.counted = counted;
    }
    clock.state = to;
}

// Lock held.
void Core::change_state(CpuId self, Vcpu& vcpu, RunState to, Instant now)
{
    RunState const from{vcpu.run_state.state};
    if (from == to)
        return;
    enter_state(self, vcpu, to, now, pool_.tracer().runstate(self, now, from, to, vcpu.packed()));
}

// Lock held. What is left to do once the vCPU may not run: leave the queue, or stop running.
void Core::sleep_locked(CpuId self, Vcpu& vcpu, Instant now)
{
    if (vcpu.run_state.state == RunState::runnable)
        change_state(self, vcpu, RunState::offline, now);
    if (pool_.pcpu(vcpu.processor()).current == &vcpu)
        ask_to_reschedule(self, vcpu.processor(), trace::IpiReason::sleep, now);
    else
        vcpu.pool->ops().sleep(vcpu.pool->policy(), self, vcpu, now);
}

void Core::ask_to_reschedule(CpuId self, CpuId cpu, trace::IpiReason reason, Instant now)
{
    if (cpu != self)
        pool_.tracer().emit(self, now, trace::Event::ipi, cpu.value(), static_cast<std::uint32_t>(reason));
    pool_.env().tickle(cpu);
}

void Core::sleep_nosync(CpuId self, Vcpu& vcpu, Instant now)
{
    HV_ASSERT(!vcpu.is_idle());
    CpuId const cpu{lock_processor(vcpu)};
    // Runnable by now: somebody woke it in between, and nothing is to be done.
    if (!vcpu.is_runnable())
        sleep_locked(self, vcpu, now);
    unlock_pair(cpu, cpu);
    pool_.tracer().emit(self, now, trace::Event::sleep, vcpu.domain.id.value(), vcpu.index.value());
}

void Core::sleep_sync(CpuId self, Vcpu& vcpu, Instant now)
{
    sleep_nosync(self, vcpu, now);
    while (!vcpu.is_runnable() && vcpu.is_running())
        arch::relax();
}

// Lock held. Whether the vCPU, awake now, has to be queued; its run state is brought up to date.
bool Core::becomes_runnable(CpuId self, Vcpu& vcpu, Instant now)
{
    RunState const state{vcpu.run_state.state};
    if (vcpu.is_runnable()) {
        if (state == RunState::blocked || state == RunState::offline)
            change_state(self, vcpu, RunState::runnable, now);
        return pool_.pcpu(vcpu.processor()).current != &vcpu;
    }
    if (!vcpu.has_flag(PauseFlag::blocked) && state == RunState::blocked)
        change_state(self, vcpu, RunState::offline, now);
    return false;
}

void Core::wake(CpuId self, Vcpu& vcpu, Instant now)
{
    HV_ASSERT(!vcpu.is_idle());
    pool_.tracer().emit(self, now, trace::Event::wake, vcpu.domain.id.value(), vcpu.index.value());
    CpuId own{lock_processor(vcpu)};
    CpuId other{own};
    // A policy that names another pCPU is asked again once both locks are held, since all it saw may have changed.
    // Wishes that differ each time are granted three rounds; then the vCPU stays at home.
    for (unsigned round = 0; becomes_runnable(self, vcpu, now); ++round) {
        WakeDecision decision{vcpu.pool->ops().wake(vcpu.pool->policy(), self, vcpu, now)};
        if (!decision.queue)
            break;
        // Its context is still being saved on its own pCPU, so nobody else may pick it up yet.
        if (decision.queue_on != own && (vcpu.is_running() || round == 3)) {
            decision.queue_on = own;
            decision.tickle.set(own); // The policy tickled for the other place, and its own pCPU may idle.
        }
        if (decision.queue_on == own || decision.queue_on == other) {
            queue_woken(self, vcpu, decision, now);
            break;
        }
        CpuId const wanted{decision.queue_on};
        unlock_pair(own, other);
        own = vcpu.processor();
        other = wanted;
        lock_pair(own, other);
        if (vcpu.processor() == own)
            continue;
        unlock_pair(own, other);
        own = other = lock_processor(vcpu);
    }
    unlock_pair(own, other);
}

// Locks of the vCPU's pCPU and of decision.queue_on held.
void Core::queue_woken(CpuId self, Vcpu& vcpu, WakeDecision const& decision, Instant now)
{
    vcpu.set_processor(decision.queue_on);
    vcpu.pool->ops().enqueue(vcpu.pool->policy(), self, vcpu, now);
    if (decision.push_current)
        pool_.pcpu(decision.queue_on).current->set_flag(PauseFlag::migrating);
    for (CpuId const cpu : decision.tickle) {
        pool_.tracer().emit(self, now, trace::Event::tickle, cpu.value());
        ask_to_reschedule(self, cpu, trace::IpiReason::wake, now);
    }
}

// --- events

// Blocked from here on, unless an event is pending: then it is consumed instead, and false returned.
bool Core::becomes_blocked(Vcpu& vcpu)
{
    constexpr auto blocked = static_cast<std::uint32_t>(PauseFlag::blocked);
    constexpr auto pending = static_cast<std::uint32_t>(PauseFlag::event_pending);
    std::uint32_t flags{vcpu.pause_flags.load()};
    while (true) {
        std::uint32_t const desired = (flags & pending) != 0 ? flags & ~pending : flags | blocked;
        if (vcpu.pause_flags.compare_exchange_weak(flags, desired))
            return (flags & pending) == 0;
    }
}

bool Core::block(CpuId self, Vcpu& vcpu, Instant now)
{
    if (!becomes_blocked(vcpu))
        return false;
    pool_.tracer().emit(self, now, trace::Event::block, vcpu.domain.id.value(), vcpu.index.value());
    pool_.env().tickle(self);
    return true;
}

bool Core::unblock(CpuId self, Vcpu& vcpu, Instant now)
{
    if (!vcpu.clear_flag(PauseFlag::blocked))
        return false;
    wake(self, vcpu, now);
    return true;
}

bool Core::notify(CpuId self, Vcpu& vcpu, Instant now)
{
    constexpr auto blocked = static_cast<std::uint32_t>(PauseFlag::blocked);
    constexpr auto pending = static_cast<std::uint32_t>(PauseFlag::event_pending);
    std::uint32_t flags{vcpu.pause_flags.load()};
    while (true) {
        std::uint32_t const desired = (flags & blocked) != 0 ? flags & ~blocked : flags | pending;
        if (vcpu.pause_flags.compare_exchange_weak(flags, desired))
            break;
    }
    if ((flags & blocked) != 0)
        wake(self, vcpu, now);
    return (flags & blocked) != 0 || (flags & pending) == 0;
}

void Core::yield(CpuId self, Vcpu& vcpu, Instant now)
{
    CpuId const cpu{lock_processor(vcpu)};
    if (Pool & pool{*vcpu.pool}; pool.ops().yield != nullptr)
        pool.ops().yield(pool.policy(), self, vcpu);
    unlock_pair(cpu, cpu);
    pool_.tracer().emit(self, now, trace::Event::yield, vcpu.domain.id.value(), vcpu.index.value());
    pool_.env().tickle(self);
}

// --- dispatch

bool Core::timer(CpuId self, TimerId id, Instant now)
{
    if (id == timer::slice) {
        pool_.env().tickle(self);
        return true;
    }
    Pool& pool{*pool_.pcpu(self).pool};
    if (id == timer::tick && pool.ops().tick != nullptr) {
        // Only this pCPU changes its current vCPU, and it is here, so no lock is needed to read it.
        Vcpu& current{*pool_.pcpu(self).current};
        pool_.tracer().emit(self, now, trace::Event::tick, current.packed());
        if (pool.ops().tick(pool.policy(), self, current, now)) {
            current.set_flag(PauseFlag::migrating);
            pool_.env().tickle(self);
        }
        return true;
    }
    if (id == timer::accounting && pool.ops().account != nullptr) {
        Parking parking{*this, self, now};
        pool.ops().account(pool.policy(), self, now, parking);
        return true;
    }
    return false;
}

// The tick serves vCPUs that run: an idle pCPU's is stopped, and goes on when the pCPU reschedules again.
void Core::suspend_or_resume_tick(Pcpu& pcpu, bool resume, Instant now)
{
    PolicyOps const& ops{pcpu.pool->ops()};
    if (ops.tick == nullptr)
        return;
    if (resume && pcpu.tick_suspended && ops.tick_resumes != nullptr)
        ops.tick_resumes(pcpu.pool->policy(), pcpu.id, now);
    if (!resume)
        pool_.env().disarm(pcpu.id, timer::tick);
    pcpu.tick_suspended = !resume;
}

// Upstream's tasklet word: {enqueued} becomes {enqueued, scheduled}; what is left when the work is done is cleared
// here.
bool Core::take_idle_work(Pcpu& pcpu)
{
    constexpr std::uint8_t enqueued{1}, scheduled{2};
    // relaxed: set_idle_work tickles after its change, so a change that we miss now brings us here again.
    if (pcpu.idle_work.load(std::memory_order_relaxed) == 0)
        return false;
    if ((pcpu.idle_work.load() & enqueued) != 0) {
        pcpu.idle_work.fetch_or(scheduled);
        return true;
    }
    pcpu.idle_work.fetch_and(static_cast<std::uint8_t>(~scheduled));
    return false;
}

Switch Core::schedule(CpuId self, Instant now)
{
    if (std::uint32_t const period = grace_.running(); period != 0 && !pool_.pcpu(self).holds_domains) [[unlikely]]
        pass_grace(pool_.pcpu(self), period);
    std::optional<CpuId> pull_from;
    Switch const change{decide(self, now, pull_from)};
    if (pull_from) [[unlikely]]
        pull(self, *pull_from, now);
    return change;
}

Switch Core::decide(CpuId self, Instant now, std::optional<CpuId>& pull_from)
{
    Pcpu& pcpu{pool_.pcpu(self)};
    arch::Env& env{pool_.env()};
    Guard guard{pcpu.lock, irqs_off};
    Vcpu& previous{*pcpu.current};
    if (previous.is_idle())
        suspend_or_resume_tick(pcpu, true, now);

    Pool& pool{*pcpu.pool};
    Decision const decision{pool.ops().schedule(pool.policy(), self, previous, now, take_idle_work(pcpu))};
    Vcpu& next{*decision.next};
    pull_from = decision.pull_from;
    if (next.is_idle())
        suspend_or_resume_tick(pcpu, false, now);
    if (decision.slice)
        env.arm(self, timer::slice, now + *decision.slice);
    else
        env.disarm(self, timer::slice);
    pcpu.current = &next;
    if (&next == &previous) {
        trace_continue(self, next, decision.slice, now);
        return {&previous, &next};
    }
    HV_ASSERT(!next.is_running());
    HV_ASSERT_SLOW(next.processor() == self);
    trace_switch(self, previous, next, decision.slice, now);
    next.set_running(true);
    return {&previous, &next};
}

void Core::context_saved(CpuId self, Vcpu& previous, Instant now)
{
    constexpr auto interesting = static_cast<std::uint32_t>(PauseFlag::migrating) |
                                 static_cast<std::uint32_t>(PauseFlag::ending) |
                                 static_cast<std::uint32_t>(PauseFlag::changes_pool);
    previous.set_running(false);
    if ((previous.pause_flags.load() & interesting) == 0) [[likely]]
        return;
    if (previous.has_flag(PauseFlag::migrating))
        finish_migration(self, previous, now);
    if (previous.has_flag(PauseFlag::ending))
        end_if_stopped(self, previous.domain, now);
    if (previous.has_flag(PauseFlag::changes_pool))
        move_if_stopped(self, previous.domain, now);
}

// --- migration

// `self` idles, and what runs on `from` would rather run here: it finds itself a pCPU anew. No lock held; whatever has
// changed since the policy looked is looked at again.
void Core::pull(CpuId self, CpuId from, Instant now)
{
    Pcpu& there{pool_.pcpu(from)};
    Guard guard{there.lock, irqs_off};
    Vcpu& runs{*there.current};
    if (runs.is_idle() || runs.pool != pool_.pcpu(self).pool || !runs.prefers || runs.soft_affinity.test(from) ||
        !runs.soft_affinity.test(self) || !runs.hard_affinity.test(self) || runs.set_flag(PauseFlag::migrating))
        return;
    ask_to_reschedule(self, from, trace::IpiReason::pull, now);
}

// Lock held. The vCPU shall find itself another pCPU; finish_migration does the rest, now or when its context is saved.
void Core::mark_migrating(CpuId self, Vcpu& vcpu, Instant now)
{
    vcpu.set_flag(PauseFlag::migrating);
    sleep_locked(self, vcpu, now);
}

// The pick needs the lock of the pCPU that it may name, which is not known before: so pick, lock both, and look whether
// all that led to the pick still holds. A pick that is still good is kept, or the loop could chase its own picks for
// ever.
void Core::finish_migration(CpuId self, Vcpu& vcpu, Instant now) HV_NO_THREAD_SAFETY_ANALYSIS
{
    if (vcpu.is_running() || !vcpu.has_flag(PauseFlag::migrating))
        return; // Still on its pCPU: context_saved comes back to this.
    CpuId from{vcpu.processor()};
    CpuId to{from};
    for (bool picked = false;;) {
        CpuId const held_to{to};
        lock_pair(from, held_to);
        if (vcpu.processor() != from) {
            unlock_pair(from, held_to);
            from = to = vcpu.processor();
            picked = false;
            continue;
        }
        if (picked && vcpu.hard_affinity.test(to) && vcpu.pool->members().test(to))
            break;
        to = vcpu.pool->ops().pick_cpu(vcpu.pool->policy(), self, vcpu, now);
        if (to == from || to == held_to) {
            if (to != held_to) // Only `from` is of use from here on.
                pool_.pcpu(held_to).lock.unlock();
            break;
        }
        unlock_pair(from, held_to);
        picked = true;
    }
    bool const goes = !vcpu.is_running() && vcpu.clear_flag(PauseFlag::migrating);
    if (goes && to != from) {
        pool_.tracer().emit(self, now, trace::Event::migrate, vcpu.packed(), from.value(), to.value());
        vcpu.set_processor(to);
    }
    unlock_pair(from, to);
    if (goes)
        wake(self, vcpu, now);
}

} // namespace hv::sched
