#include "sched/credit/credit.hpp"

namespace hv::sched::credit {

// What the vCPU ran since it was last charged, taken from its credit. No lower bound here: accounting has one. Returns
// how much that is.
std::int64_t Credit::burn(CreditVcpu& vcpu, Instant now)
{
    std::int64_t const ran = now.ns() - vcpu.start_ns;
    if (ran <= 0)
        return 0;
    Charge const result{charge(Duration::from_ns(ran), vcpu.residual)};
    vcpu.residual = result.residual;
    vcpu.start_ns += result.credits * ns_per_credit; // not `now`: what was not charged yet stays chargeable
    vcpu.credit.fetch_sub(static_cast<std::int32_t>(result.credits), std::memory_order_relaxed);
    return result.credits;
}

Decision Credit::schedule(CpuId self, Vcpu& current, Instant now, bool force_idle) noexcept
{
    CreditPcpu& mine{at(self)};
    mine.pcpu.lock.assert_held();
    ++mine.counters.schedule;
    CreditVcpu& outgoing{data(current)};
    std::int64_t burnt{0};
    if (current.is_idle()) {
        outgoing.set_prio(Prio::idle); // it may have run boosted, for tasklets
    } else {
        burnt = burn(outgoing, now);
        outgoing.start_ns -= now.ns();
    }

    // Since the switch, not since the last decision. A slice of the whole limit, not of what is left of it: upstream's.
    Duration const ran{now - current.run_state.entered};
    bool const runnable{current.is_runnable()};
    if (!force_idle && runnable && !current.is_idle() && ran < params_.ratelimit) {
        outgoing.start_ns += now.ns();
        ++mine.counters.delay_ms;
        if (is_traced()) [[unlikely]]
            trace_decision(mine, outgoing, force_idle, burnt, now);
        pool_.tracer().emit(self, now, trace::Event::ratelimit, current.packed(), ran.ns());
        return {.next = &current, .slice = params_.ratelimit};
    }
    if (runnable)
        insert(mine, outgoing);

    HV_ASSERT(!mine.queue.empty()); // The idle vCPU is queued whenever it does not run.
    CreditVcpu* next{mine.queue.front()};
    if (force_idle) {
        pool_.tracer().emit(self, now, trace::Event::tasklet);
        next = &data(*mine.pcpu.idle);
        next->set_prio(Prio::boost);
    }
    outgoing.clear(Flag::yield);

    bool migrated{false};
    if (next->prio() > Prio::over)
        remove(mine, *next);
    else
        next = &balance(self, *next, migrated, now);

    bool const idles{next->prio() == Prio::idle};
    if (idlers_.test(self) != idles && pool_.members().test(self)) // One that is leaving must not look idle.
        idles ? idlers_.set(self) : idlers_.clear(self);
    if (is_traced()) [[unlikely]]
        trace_decision(mine, outgoing, force_idle, burnt, now);
    if (next->vcpu.is_idle())
        return {.next = &next->vcpu, .slice = std::nullopt};
    next->start_ns += now.ns();
    return {.next = &next->vcpu, .slice = params_.tslice, .migrated = migrated};
}

WakeDecision Credit::wake(CpuId self, Vcpu& vcpu, Instant now) noexcept
{
    CreditVcpu& woken{data(vcpu)};
    WakeDecision decision; // an aggregate's list of initialisers would fill the whole set of pCPUs with zeros first
    decision.queue_on = vcpu.processor();
    if (woken.is_queued()) {
        decision.queue = false;
        return decision;
    }
    if (woken.prio() == Prio::under && !woken.has(Flag::parked)) {
        woken.set_prio(Prio::boost);
        count(self, &Counters::vcpu_boost);
        pool_.tracer().emit(self, now, trace::Event::boost_start, vcpu.domain.id.value(), vcpu.index.value());
        if (is_traced()) [[unlikely]]
            trace_prio(self, woken, Prio::under, now);
    }
    // Always its old pCPU: upstream never places a waking vCPU elsewhere, however well another would do.
    choose_tickles(self, woken, decision);
    return decision;
}

void Credit::enqueue(CpuId self, Vcpu& vcpu, Instant now) noexcept
{
    CreditPcpu& pcpu{at(vcpu.processor())};
    pcpu.pcpu.lock.assert_held();
    insert(pcpu, data(vcpu));
    if (is_traced()) [[unlikely]]
        trace_queue(self, pcpu, now);
}

void Credit::sleep(CpuId, Vcpu& vcpu, Instant) noexcept
{
    CreditPcpu& pcpu{at(vcpu.processor())};
    pcpu.pcpu.lock.assert_held();
    if (data(vcpu).is_queued())
        remove(pcpu, data(vcpu));
}

CpuId Credit::pick_cpu(CpuId self, Vcpu& vcpu, Instant now) noexcept { return pick(self, vcpu, true, now); }

void Credit::yield(CpuId, Vcpu& current) noexcept { data(current).set(Flag::yield); }

// On the pCPU whose tick it is, so `current` stays what it is. It takes two ticks that catch an inactive vCPU before
// that vCPU is considered for another pCPU: the first only makes it active.
bool Credit::tick(CpuId self, Vcpu& current, Instant now) noexcept
{
    CreditPcpu& mine{at(self)};
    bool wants_away{false};
    if (!current.is_idle()) {
        CreditVcpu& running{data(current)};
        if (running.prio() == Prio::boost) {
            running.set_prio(Prio::under);
            pool_.tracer().emit(self, now, trace::Event::boost_end, current.domain.id.value(), current.index.value());
            if (is_traced()) [[unlikely]]
                trace_prio(self, running, Prio::boost, now);
        }
        std::int64_t const burnt{burn(running, now)};
        if (is_traced()) [[unlikely]]
            trace_credit(self, running, -burnt, trace::CreditReason::burn, now);
        if (!running.is_active()) {
            activate(self, running, now);
        } else {
            Guard guard{mine.pcpu.lock, irqs_off};
            wants_away = pick(self, current, false, now) != self;
            mine.counters.migrate_running += wants_away ? 1 : 0;
        }
    }
    sort_if_stale(mine);
    pool_.env().arm(self, timer::tick, now + tick_period_);
    return wants_away;
}

void Credit::tick_resumes(CpuId self, Instant now) noexcept
{
    pool_.env().arm(self, timer::tick, now.next_multiple(tick_period_));
}

void Credit::sort_if_stale(CreditPcpu& pcpu)
{
    // relaxed: a stale epoch only delays the sort to the next tick.
    std::uint32_t const epoch{sort_epoch_.load(std::memory_order_relaxed)};
    if (pcpu.sorted_epoch.load(std::memory_order_relaxed) == epoch)
        return;
    pcpu.sorted_epoch.store(epoch, std::memory_order_relaxed);
    Guard guard{pcpu.pcpu.lock, irqs_off};
    pcpu.queue.partition();
}

void Credit::pcpu_joins(CpuId cpu, Instant now) noexcept
{
    Guard guard{private_lock_, irqs_off};
    bool const first{cpus_.empty()};
    cpus_.set(cpu);
    if (credits_per_tslice_ == 0) {
        credits_per_tslice_ = params_.credits_per_tslice();
        tick_period_ = params_.tick_period();
    }
    credit_ += credits_per_tslice_;
    if (first) {
        master_ = cpu;
        pool_.env().arm(cpu, timer::accounting, now + params_.tslice);
    }
    CreditPcpu& mine{at(cpu)};
    mine.sorted_epoch.store(sort_epoch_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    mine.idle_bias.store(CpuId{static_cast<CpuId::Rep>(pool_.pcpu_limit() - 1)}, std::memory_order_relaxed);
    idlers_.set(cpu);
    pool_.env().arm(cpu, timer::tick, now + tick_period_);
}

void Credit::pcpu_leaves(CpuId, CpuId cpu, Instant now) noexcept
{
    Guard guard{private_lock_, irqs_off};
    cpus_.clear(cpu);
    idlers_.clear(cpu);
    credit_ -= credits_per_tslice_;
    pool_.env().disarm(cpu, timer::tick);
    if (cpu != master_)
        return;
    pool_.env().disarm(cpu, timer::accounting);
    if (std::optional<CpuId> const lowest = cpus_.first()) {
        master_ = *lowest;
        pool_.env().arm(master_, timer::accounting, now + params_.tslice);
    }
}

void Credit::affinity_changed(Vcpu& vcpu, Instant) noexcept
{
    data(vcpu).useful_preference = has_useful_preference(vcpu, pool_.pcpu_limit());
}

void Credit::params_changed(Domain& domain, DomainParams params) noexcept
{
    Guard guard{private_lock_, irqs_off};
    CreditDomain& changed{data(domain)};
    weight_ += (params.weight - changed.weight) * changed.active_count;
    changed.weight = params.weight;
    changed.cap = params.cap;
}

Status<ParamError> Credit::set_param(std::string_view key, std::int64_t value) noexcept
{
    Guard guard{private_lock_, irqs_off};
    if (key == "tslice_ms") {
        if (value < 1 || value > 1000 || Duration::from_ms(value) < params_.ratelimit)
            return fail(ParamError{"tslice_ms is 1 to 1000 and not below ratelimit_us"});
        params_.tslice = Duration::from_ms(value);
    } else if (key == "ratelimit_us") {
        if (value != 0 && (value < 100 || value > 500'000 || Duration::from_us(value) > params_.tslice))
            return fail(ParamError{"ratelimit_us is 0 (off) or 100 to 500000, and not above tslice_ms"});
        params_.ratelimit = Duration::from_us(value);
    } else if (key == "migration_delay_us") {
        if (value < 0 || value > 100'000)
            return fail(ParamError{"migration_delay_us is 0 to 100000"});
        params_.migration_delay = Duration::from_us(value);
    } else if (key == "tickle_one_idle") {
        if (value != 0 && value != 1)
            return fail(ParamError{"tickle_one_idle is 0 or 1"});
        params_.tickle_one_idle = value == 1;
    } else if (key == "smt_power_savings") {
        if (value != 0 && value != 1)
            return fail(ParamError{"smt_power_savings is 0 or 1"});
        params_.smt_power_savings = value == 1;
    } else {
        return fail(
            ParamError{"known are tslice_ms, ratelimit_us, migration_delay_us, tickle_one_idle, smt_power_savings"});
    }
    return done;
}

std::optional<std::int64_t> Credit::param(std::string_view key) const noexcept
{
    if (key == "tslice_ms")
        return Duration{params_.tslice}.ns() / 1'000'000;
    if (key == "ratelimit_us")
        return Duration{params_.ratelimit}.ns() / 1'000;
    if (key == "migration_delay_us")
        return Duration{params_.migration_delay}.ns() / 1'000;
    if (key == "tickle_one_idle")
        return params_.tickle_one_idle ? 1 : 0;
    if (key == "smt_power_savings")
        return params_.smt_power_savings ? 1 : 0;
    return std::nullopt;
}

void Credit::describe(Sink& sink) const noexcept
{
    print(sink, "tslice {} ms, ratelimit {} us, migration delay {} us, tickle one idle: {}\n",
          Duration{params_.tslice}.ns() / 1'000'000, Duration{params_.ratelimit}.ns() / 1'000,
          Duration{params_.migration_delay}.ns() / 1'000, bool{params_.tickle_one_idle});
    Counters all;
    for (CpuId const cpu : pool_.members()) {
        Counters const& one{static_cast<CreditPcpu const*>(pool_.pcpu(cpu).policy_data)->counters};
        all.schedule += one.schedule;
        all.migrate_queued += one.migrate_queued;
        all.migrate_running += one.migrate_running;
        all.migrate_kicked_away += one.migrate_kicked_away;
        all.vcpu_boost += one.vcpu_boost;
        all.vcpu_park += one.vcpu_park;
    }
    print(sink, "decisions {}, stolen {}, moved by ticks {}, kicked away {}, boosted {}, parked {}\n", all.schedule,
          all.migrate_queued, all.migrate_running, all.migrate_kicked_away, all.vcpu_boost, all.vcpu_park);
}

} // namespace hv::sched::credit

namespace hv::sched {
namespace {
using credit::Credit;
HV_REGISTER_POLICY(Credit);
} // namespace
} // namespace hv::sched
