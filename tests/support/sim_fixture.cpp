#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

namespace hv::sched::test {

namespace {

// PolicyOps::create is a plain function, so what it is to call and what it made go through here.
thread_local PolicyOps const* creating = nullptr;
thread_local void* created = nullptr;

} // namespace

CpuMask cpus(std::initializer_list<unsigned> members)
{
    CpuMask mask;
    for (unsigned const member : members)
        mask.set(cpu(member));
    return mask;
}

guest::Workload burst(Duration run_min, Duration run_max, Duration block_min, Duration block_max)
{
    guest::Workload work{};
    work.kind = guest::WorkloadKind::burst;
    work.run_min = run_min;
    work.run_max = run_max;
    work.block_min = block_min;
    work.block_max = block_max;
    return work;
}

guest::Workload periodic(Duration period, Duration run, Duration phase)
{
    guest::Workload work{};
    work.kind = guest::WorkloadKind::periodic;
    work.run_min = work.run_max = run;
    work.period = period;
    work.phase = phase;
    return work;
}

guest::Workload pingpong(Duration run, std::uint16_t partner, bool has_token)
{
    guest::Workload work{};
    work.kind = guest::WorkloadKind::pingpong;
    work.run_min = work.run_max = run;
    work.partner = VcpuIndex{partner};
    work.has_token = has_token;
    return work;
}

guest::Workload gridsleep(Duration grid, Duration guard)
{
    guest::Workload work{};
    work.kind = guest::WorkloadKind::gridsleep;
    work.grid = grid;
    work.guard = guard;
    return work;
}

Sim::Sim(unsigned cores, SimOptions options) : Sim{arch::MachineShape::regular(1, cores, 1), 1, std::move(options)} {}

Sim::Sim(std::vector<PcpuTopology> pcpus, unsigned nodes, SimOptions options, std::vector<Distance> distances)
    : shape_{std::move(pcpus), nodes, std::move(distances)},
      machine_{shape_, options.costs, options.trace_bytes_per_pcpu}, ops_{*options.policy}
{
    machine_.set_client(*this);
    creating = options.policy;
    ops_.create = [](void* memory, Pool& pool) noexcept { return created = creating->create(memory, pool); };
    auto const made = System::create(machine_.env(), {.policy = &ops_,
                                                      .guest_limit = 256,
                                                      .driver = guest::Driver::events,
                                                      .context_switch = options.context_switch,
                                                      .trace_mask = options.trace_mask});
    HV_ASSERT(made.ok());
    system_ = *made;
    policy_ = created;
    system_->tracer().set_listener(
        {.self = this,
         .event = [](void* self, CpuId on, Instant now, std::uint32_t number,
                     std::span<std::uint32_t const> words) noexcept {
             static_cast<Sim*>(self)->heard_.push_back(
                 {.on = on, .when = now, .number = number, .words = {words.begin(), words.end()}});
         }});
    for (auto const& [key, value] : options.params)
        EXPECT_TRUE(core().set_policy_param(key, value).ok()) << key;
    for (CpuId const up : machine_.topology().online) {
        machine_.set_executing(up);
        system_->pcpu_up(up, now());
    }
    machine_.reschedule_all();
}

Domain& Sim::domain(DomainParams params)
{
    auto const made = core().create_domain(DomainId{next_domain_++});
    HV_ASSERT(made.ok());
    core().set_params(**made, params);
    return **made;
}

guest::Guest& Sim::guest(Domain& owner, unsigned home, guest::Workload const& workload, std::uint64_t seed)
{
    auto const made = core().create_vcpu(cpu(home), owner, cpu(home), now());
    HV_ASSERT(made.ok());
    guest::Guest* const guest{system_->guests().add(**made, workload, seed)};
    HV_ASSERT(guest != nullptr);
    return *guest;
}

// A guest that never begins a phase is one that only the test moves.
Vcpu& Sim::vcpu(Domain& owner, unsigned home) { return guest(owner, home, {}).vcpu; }

void Sim::on(unsigned on_cpu, std::function<void(CpuId, Instant)> action)
{
    action_ = std::move(action);
    machine_.arm(cpu(on_cpu), action_timer, now());
    machine_.run_until(now());
}

void Sim::on(unsigned on_cpu, std::function<void()> const& action)
{
    on(on_cpu, [&](CpuId, Instant) { action(); });
}

void Sim::start(Vcpu& vcpu, bool blocked)
{
    on(vcpu.processor().value(), [&](CpuId self, Instant t) { core().start(self, vcpu, blocked, t); });
}

void Sim::start_asleep(Vcpu& vcpu)
{
    start(vcpu);
    HV_ASSERT(runs(vcpu));
    on(vcpu.processor().value(), [&](CpuId self, Instant t) { HV_ASSERT(core().block(self, vcpu, t)); });
}

void Sim::start(guest::Guest& guest)
{
    system_->guests().start_at(CpuId{0}, guest, now());
    machine_.run_until(now());
}

void Sim::wake(Vcpu& vcpu, unsigned by)
{
    on(by, [&](CpuId self, Instant t) { HV_ASSERT(core().unblock(self, vcpu, t)); });
}

void Sim::reschedule(unsigned on_cpu)
{
    on(on_cpu, [&](CpuId self, Instant) { machine_.tickle(self); });
}

Duration Sim::spent(Vcpu const& vcpu, RunState state) const
{
    RunStateClock const& clock{vcpu.run_state};
    Duration const lasting{clock.state == state ? now() - clock.entered : Duration{}};
    return clock.spent[static_cast<unsigned>(state)] + lasting;
}

std::vector<Sim::Heard> Sim::heard_of(trace::Event event) const
{
    std::vector<Heard> result;
    for (Heard const& one : heard_)
        if (one.number == static_cast<std::uint32_t>(event))
            result.push_back(one);
    return result;
}

void Sim::save_contexts()
{
    holds_contexts_ = false;
    auto const unsaved = std::exchange(unsaved_, {});
    for (auto const& [self, previous] : unsaved)
        on(self.value(), [&, vcpu = previous](CpuId by, Instant t) { system_->context_saved(by, *vcpu, t); });
}

void Sim::timer(CpuId self, TimerId id, Instant now)
{
    if (id == action_timer)
        std::exchange(action_, {})(self, now);
    else
        system_->timer(self, id, now);
}

void Sim::reschedule(CpuId self, Instant now)
{
    Switch const change{system_->reschedule(self, now)};
    if (change.previous == change.next)
        return;
    switches_.push_back({.when = now, .on = self, .from = change.previous, .to = change.next});
    if (holds_contexts_)
        unsaved_.emplace_back(self, change.previous);
    else
        system_->context_saved(self, *change.previous, now);
}

CpuId Sim::place_of(TimerId id, CpuId armed_on)
{
    guest::Guest const* const guest{system_->guests().of(id)};
    return guest == nullptr || !guest->started ? armed_on : guest->vcpu.processor();
}

} // namespace hv::sched::test
