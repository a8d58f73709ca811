#include "tests/conformance/invariants.hpp"

#include "sched/credit/credit.hpp"

namespace hv::test {

using namespace hv::sched;

namespace {

std::uint32_t packed(std::uint32_t domain, std::uint32_t vcpu)
{
    return trace::pack_vcpu(static_cast<std::uint16_t>(domain), static_cast<std::uint16_t>(vcpu));
}

} // namespace

trace::Listener Invariants::listener()
{
    return {.self = this,
            .event = [](void* self, CpuId cpu, Instant now, std::uint32_t number,
                        std::span<std::uint32_t const> words) noexcept {
                static_cast<Invariants*>(self)->heard(cpu, now, number, words);
            }};
}

void Invariants::expect(bool holds, char const* what, Instant now, std::uint32_t vcpu)
{
    if (!holds && broken_.empty())
        broken_ = std::string{what} + ": vCPU " + std::to_string(vcpu >> 16) + "." + std::to_string(vcpu & 0xffff) +
                  " at " + std::to_string(now.ns()) + " ns";
}

// B3, B13 and B14 from the switches alone.
void Invariants::heard(CpuId cpu, Instant now, std::uint32_t number, std::span<std::uint32_t const> words)
{
    switch (static_cast<trace::Event>(number)) {
    case trace::Event::switch_to:
        break;
    case trace::Event::credit:
        if (words[3] == static_cast<std::uint32_t>(trace::CreditReason::burn))
            paid_[words[0]] -= static_cast<std::int32_t>(words[2]);
        return;
    case trace::Event::tick:
        ticked_[cpu.value()] = now;
        return;
    case trace::Event::account:
        accounted_ = now;
        return;
    case trace::Event::domain_destroy:
        forget(words[0]);
        return;
    default:
        return;
    }
    if (words[0] == idle_domain_id.value())
        ticked_[cpu.value()] = now;
    ++switches_;
    for (std::uint64_t const part : {static_cast<std::uint64_t>(now.ns()), std::uint64_t{cpu.value()},
                                     std::uint64_t{words[2]}, std::uint64_t{words[3]}})
        fingerprint_ = (fingerprint_ ^ part) * 1099511628211ull;
    std::uint32_t const from{packed(words[0], words[1])};
    std::uint32_t const to{packed(words[2], words[3])};
    if (auto const known = running_.find(cpu.value()); known != running_.end())
        expect(known->second == from, "switched out where it did not run", now, from);
    runs_on_.erase(from);
    expect(!runs_on_.contains(to), "switched in while it runs elsewhere", now, to);
    running_[cpu.value()] = to;
    runs_on_[to] = cpu.value();
}

void Invariants::check(System& system, Instant now)
{
    if (!broken_.empty())
        return;
    for (CpuId const cpu : system.core().pool().members())
        check_pcpu(system, cpu, now);
    for (Domain& domain : system.core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            check_vcpu(system, vcpu, now);
    check_absent(system, now);
    if (system.core().policy().name == "credit")
        check_credit(system, now);
    expect(system.core().is_consistent(), "the policy finds itself inconsistent", now, 0);
}

void Invariants::check_pcpu(System& system, CpuId cpu, Instant now)
{
    Pcpu const& pcpu{system.core().pool().pcpu(cpu)};
    Vcpu& current{*pcpu.current};
    if (auto const known = running_.find(cpu.value()); known != running_.end())
        expect(known->second == current.packed(), "current, but not what was switched in last", now, current.packed());
    expect(current.is_running() && current.processor() == cpu, "current where it does not belong", now,
           current.packed());
    expect(current.run_state.state == RunState::running, "current, but its run state is another", now,
           current.packed());
    // Between a change of its affinity and its going it is not.
    bool const may{current.hard_affinity.test(cpu) || current.has_flag(PauseFlag::migrating)};
    expect(may && system.core().pool().topology().online.test(cpu), "runs where it may not", now, current.packed());
    expect(!pcpu.lock.is_locked(), "a run-queue lock was left behind on its pCPU", now, current.packed());
    expect(current.is_idle() || !pcpu.idle->is_running(), "the idle vCPU runs beside it", now, current.packed());
}

void Invariants::check_vcpu(System& system, Vcpu& vcpu, Instant now)
{
    Pool& pool{system.core().pool()};
    std::uint32_t const name{vcpu.packed()};
    CpuId const home{vcpu.processor()};
    bool const is_current{pool.pcpu(home).current == &vcpu};
    expect(pool.members().test(home) || (is_current && pool.pcpu(home).phase.load() == PcpuPhase::leaving),
           "belongs to a pCPU outside the pool", now, name);
    expect(vcpu.is_running() == is_current, "is running and is not current, or the reverse", now, name);
    RunState const state{vcpu.run_state.state};
    expect((state == RunState::running) == is_current, "run state and dispatch differ", now, name);
    if (!is_current) {
        bool const runnable{vcpu.is_runnable()};
        expect((state == RunState::runnable) == runnable, "waits for a pCPU and is not runnable, or the reverse", now,
               name);
        if (!runnable)
            expect((state == RunState::blocked) <= vcpu.has_flag(PauseFlag::blocked), "blocked without the flag", now,
                   name);
        expect(!vcpu.has_flag(PauseFlag::migrating), "a migration was not finished", now, name);
        expect(!(prompt_ && runnable && pool.pcpu(home).current->is_idle()), "its pCPU idles while it waits", now,
               name);
    }
    check_times(system, vcpu, now);
}

// What has left may still run somebody until it reschedules, and then its idle vCPU alone.
void Invariants::check_absent(System& system, Instant now)
{
    Pool& pool{system.core().pool()};
    for (CpuId::Rep i = 0; i < pool.pcpu_limit(); ++i) {
        Pcpu const& pcpu{pool.pcpu(CpuId{i})};
        if (pcpu.phase.load() == PcpuPhase::off)
            expect(pcpu.current->is_idle(), "runs where no pCPU of the pool is", now, pcpu.current->packed());
    }
}

// Of a domain whose id may come again.
void Invariants::forget(std::uint32_t domain)
{
    auto const is_of = [domain](auto const& entry) { return entry.first >> 16 == domain; };
    std::erase_if(created_, is_of);
    std::erase_if(paid_, is_of);
}

void Invariants::check_times(System&, Vcpu const& vcpu, Instant now)
{
    RunStateClock const& clock{vcpu.run_state};
    expect(clock.entered <= now, "a run state from the future", now, vcpu.packed());
    Duration sum{now - clock.entered};
    for (Duration const spent : clock.spent) {
        expect(spent >= Duration{}, "a run state's time ran backwards", now, vcpu.packed());
        sum += spent;
    }
    Instant const born{now - sum};
    auto const [first, is_new] = created_.try_emplace(vcpu.packed(), born);
    expect(first->second == born, "run-state times do not add up to the time that passed", now, vcpu.packed());
}

// B1, B2 and B4 as far as they need the policy's own queues.
void Invariants::check_credit_queues(System& system, Instant now) HV_NO_THREAD_SAFETY_ANALYSIS
{
    Pool& pool{system.core().pool()};
    std::map<Vcpu const*, unsigned> queued;
    for (CpuId const cpu : pool.members()) {
        auto const& mine = *static_cast<credit::CreditPcpu const*>(pool.pcpu(cpu).policy_data);
        unsigned waiting_here{0};
        for (credit::CreditVcpu const& waiting : mine.queue) {
            ++queued[&waiting.vcpu];
            expect(waiting.vcpu.processor() == cpu, "waits in the queue of another pCPU than its own", now,
                   waiting.vcpu.packed());
            expect(waiting.vcpu.is_idle() || waiting.vcpu.is_runnable(), "waits and may not run", now,
                   waiting.vcpu.packed());
            expect(pool.pcpu(cpu).current != &waiting.vcpu, "runs and waits", now, waiting.vcpu.packed());
            waiting_here += waiting.is_idle ? 0 : 1;
        }
        expect(waiting_here == mine.waiting, "is not in the count of those who wait", now,
               pool.pcpu(cpu).idle->packed());
    }
    for (Domain& domain : system.core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            if (vcpu.is_runnable() && pool.pcpu(vcpu.processor()).current != &vcpu)
                expect(queued[&vcpu] == 1, "runnable, but not in exactly one queue", now, vcpu.packed());
}

void Invariants::check_credit(System& system, Instant now)
{
    Pool& pool{system.core().pool()};
    check_credit_queues(system, now);
    check_credit_timers(system, now);
    for (Domain& domain : system.core().domains()) {
        for (Vcpu& vcpu : domain.vcpus) {
            auto const& mine = *static_cast<credit::CreditVcpu const*>(vcpu.policy_data);
            std::uint32_t const name{vcpu.packed()};
            bool const parked{mine.has(credit::Flag::parked)};
            expect(vcpu.pause_count.load() == (parked ? 1u : 0u), "parked and not paused, or the reverse", now, name);
            if (pool.pcpu(vcpu.processor()).current == &vcpu)
                continue; // It has yet to pay for this turn.
            std::int64_t const ran{vcpu.run_state.spent[static_cast<unsigned>(RunState::running)].ns()};
            std::int64_t const owes{ran - paid_[name] * credit::ns_per_credit};
            expect(owes > -credit::ns_per_credit && owes < credit::ns_per_credit,
                   "ran longer than it was charged for, or the reverse", now, name);
        }
    }
}

void Invariants::check_credit_timers(System& system, Instant now)
{
    Pool& pool{system.core().pool()};
    Duration const slice{Duration::from_ms(*system.core().policy_param("tslice_ms"))};
    Duration const late{Duration::from_ms(1)}; // as a scenario's timers may be, and more
    for (CpuId const cpu : pool.members())
        if (!pool.pcpu(cpu).current->is_idle())
            expect(now - ticked_[cpu.value()] <= slice + late, "computes and never meets a tick", now,
                   pool.pcpu(cpu).current->packed());
    bool somebody{false};
    for (Domain& domain : system.core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            somebody |= static_cast<credit::CreditVcpu const*>(vcpu.policy_data)->is_active();
    if (!somebody)
        accounted_ = now;
    // A new master begins a period anew.
    expect(now - accounted_ <= slice * 2 + late, "nobody accounts for those who are active", now, 0);
}

} // namespace hv::test
