#include "tests/explorer/machine.hpp"

#include "tests/explorer/runtime/arena.hpp"
#include "tests/explorer/runtime/run.hpp"

#include <string>

namespace hv::explorer {

using sched::PauseFlag;
using sched::RunState;
using sched::Vcpu;

namespace {

constexpr std::memory_order relaxed{std::memory_order_relaxed};
// Whoever may run has run by then: as many slices as there may be vCPUs, and a period of accounting.
constexpr Duration longest_wait{Duration::from_ms(400)};

// Two pCPUs on one node, one on the other.
arch::MachineShape const& shape()
{
    static arch::MachineShape const one{{{.node = NodeId{0}, .socket = 0, .core = 0},
                                         {.node = NodeId{0}, .socket = 0, .core = 1},
                                         {.node = NodeId{1}, .socket = 1, .core = 2}},
                                        2};
    return one;
}

std::string name_of(Vcpu const& vcpu)
{
    return "d" + std::to_string(vcpu.domain.id.value()) + "v" + std::to_string(vcpu.index.value());
}

void expect(bool holds, Vcpu const& vcpu, char const* otherwise)
{
    if (!holds) [[unlikely]]
        run().fail(name_of(vcpu) + otherwise);
}

// Fibers end in the middle of what they do: nothing that they use may have to be given back.
Machine* the_machine{nullptr};

} // namespace

CpuMask cpus(std::initializer_list<unsigned> members)
{
    CpuMask mask;
    for (unsigned const member : members)
        mask.set(cpu(member));
    return mask;
}

void spin() { run().spin(false); }

// --- making it

Machine& Machine::make(sched::PolicyOps const& policy)
{
    arena().clear();
    arch::MachineShape const& two_nodes{shape()};
    Machine& machine{*::new (arena().allocate(sizeof(Machine), alignof(Machine))) Machine{two_nodes}};
    the_machine = &machine;
    for (auto& timers : machine.timers_)
        for (auto& timer : timers)
            timer.store(never, relaxed);
    auto const made = sched::System::create(machine.env_, {.policy = &policy,
                                                           .guest_limit = 8,
                                                           .driver = sched::guest::Driver::events,
                                                           .context_switch = {},
                                                           .trace_mask = 0});
    HV_ASSERT(made.ok());
    machine.system_ = *made;
    for (unsigned i = 0; i < pcpu_count; ++i)
        machine.system_->pcpu_up(cpu(i), machine.now_);
    machine.serve_all();
    return machine;
}

sched::Domain& Machine::domain(unsigned number, sched::DomainParams params)
{
    auto const made = core().create_domain(DomainId{static_cast<DomainId::Rep>(number)});
    HV_ASSERT(made.ok());
    core().set_params(**made, params);
    return **made;
}

Vcpu& Machine::vcpu(sched::Domain& owner, unsigned home, std::initializer_list<unsigned> hard,
                    std::initializer_list<unsigned> soft)
{
    auto const made = core().create_vcpu(cpu(home), owner, cpu(home), now_);
    HV_ASSERT(made.ok());
    Vcpu& vcpu{**made};
    HV_ASSERT(system_->guests().add(vcpu, {}, 1) != nullptr);
    vcpu.context = ::new (arena().allocate(sizeof(Context), alignof(Context))) Context{};
    if (hard.size() != pcpu_count)
        HV_ASSERT(core().set_hard_affinity(cpu(home), vcpu, cpus(hard), now_).ok());
    if (soft.size() != 0)
        HV_ASSERT(core().set_soft_affinity(vcpu, cpus(soft), now_).ok());
    return vcpu;
}

void Machine::start(Vcpu& vcpu, bool blocked)
{
    core().start(vcpu.processor(), vcpu, blocked, now_);
    serve_all();
}

// --- the port

void Machine::tickle(CpuId cpu) noexcept { tickled_[cpu.value()].store(true, relaxed); }

void Machine::arm(CpuId cpu, TimerId timer, Instant when) noexcept
{
    timers_[cpu.value()].at(timer.value()).store(when.ns(), relaxed);
}

void Machine::disarm(CpuId cpu, TimerId timer) noexcept
{
    timers_[cpu.value()].at(timer.value()).store(never, relaxed);
}

void* Machine::allocate(NodeId, std::size_t bytes, std::size_t align) noexcept
{
    return arena().allocate(bytes, align);
}

void Machine::release(void* memory, std::size_t bytes) noexcept { run().release(memory, bytes); }

std::uint64_t Machine::trace_clock(CpuId) noexcept { return 0; }

// --- a pCPU

void Machine::reschedule(CpuId self)
{
    sched::Switch const change{system_->reschedule(self, now_)};
    if (change.previous == change.next)
        return;
    if (auto* const saved = static_cast<Context*>(change.previous->context)) {
        expect(saved->on == self.value() + 1u, *change.previous, " was switched out where it did not run");
        saved->on = 0;
    }
    if (auto* const loaded = static_cast<Context*>(change.next->context)) {
        expect(loaded->on == 0, *change.next, " runs twice");
        loaded->on = self.value() + 1u;
    }
    run().note("switches to vCPU", change.next->packed());
    system_->context_saved(self, *change.previous, now_);
}

void Machine::serve(CpuId self)
{
    if (!tickled_[self.value()].load(relaxed))
        return;
    tickled_[self.value()].store(false, std::memory_order_seq_cst); // an interrupt is taken
    run().note("reschedules", 0);
    reschedule(self);
}

void Machine::idle(CpuId self)
{
    while (true) {
        while (!tickled_[self.value()].load(relaxed))
            run().spin(true);
        serve(self);
    }
}

void Machine::serve_all()
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < pcpu_count; ++i) {
            again |= tickled_[i].load(relaxed);
            serve(cpu(i));
        }
    }
}

// The first timer that is due at `until` or before, then everybody serves. false: none is.
bool Machine::fire_next(Instant until)
{
    unsigned on{0}, which{0};
    std::int64_t first{never};
    for (unsigned i = 0; i < pcpu_count; ++i)
        for (unsigned id = 0; id < timers_[i].size(); ++id)
            if (std::int64_t const when = timers_[i][id].load(relaxed); when < first)
                first = when, on = i, which = id;
    if (first > until.ns())
        return false;
    if (first > now_.ns())
        now_ = Instant::at_ns(first);
    timers_[on][which].store(never, relaxed);
    system_->timer(cpu(on), TimerId{which}, now_);
    serve_all();
    return true;
}

void Machine::pass(Duration time)
{
    Instant const until{now_ + time};
    while (fire_next(until)) {}
    now_ = until;
}

bool Machine::is_armed(TimerId timer) const
{
    for (auto const& timers : timers_)
        if (timers.at(timer.value()).load(relaxed) != never)
            return true;
    return false;
}

// --- what has to hold

void Machine::check()
{
    check_states();
    for (sched::Domain& domain : core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            expect(!waits_in_vain(vcpu) || !current(vcpu.processor().value()).is_idle(), vcpu,
                   " waits, its own pCPU idles, and nobody was asked");
    static_cast<void>(check_conservation());
    check_progress();
}

void Machine::check_states()
{
    for (unsigned i = 0; i < pcpu_count; ++i) {
        if (!held_[i].none() || core().pool().pcpu(cpu(i)).lock.is_locked())
            run().fail("pCPU " + std::to_string(i) + " holds a lock, or its own is held, for ever");
        expect(current(i).is_running(), current(i), " is current and does not run");
    }
    for (sched::Domain& domain : core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            check_one(vcpu);
    if (!core().is_consistent())
        run().fail("the policy finds itself inconsistent");
}

void Machine::check_one(Vcpu& vcpu)
{
    unsigned runs{0};
    for (unsigned i = 0; i < pcpu_count; ++i) {
        if (&current(i) != &vcpu)
            continue;
        ++runs;
        expect(vcpu.processor() == cpu(i), vcpu, " runs where it does not belong");
        expect(vcpu.hard_affinity.test(cpu(i)), vcpu, " runs where it may not");
        expect(vcpu.is_runnable(), vcpu, " runs on although it may not run");
    }
    expect(runs <= 1, vcpu, " is current twice");
    expect(vcpu.is_running() == (runs == 1), vcpu, runs == 0 ? " counts as running" : " counts as stopped");
    expect(core().pool().members().test(vcpu.processor()), vcpu, " belongs to a pCPU that has left");
    expect(!vcpu.has_flag(PauseFlag::migrating), vcpu, " never completes its move");
    RunState const state{vcpu.run_state.state};
    bool const agrees{runs == 1            ? state == RunState::running
                      : vcpu.is_runnable() ? state == RunState::runnable
                                           : state == RunState::blocked || state == RunState::offline};
    expect(agrees, vcpu, ": its run state does not agree with its flags");
}

// It may run, and waits although a pCPU idles that it may use.
bool Machine::waits_in_vain(Vcpu const& vcpu)
{
    if (!vcpu.is_runnable() || vcpu.is_running())
        return false;
    for (CpuId const idle : vcpu.hard_affinity& core().pool().members())
        if (current(idle.value()).is_idle())
            return true;
    return false;
}

// The longest in vain so far; nobody does: nullptr.
Vcpu* Machine::first_in_vain()
{
    Vcpu* first{nullptr};
    for (sched::Domain& domain : core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            if (waits_in_vain(vcpu) && (first == nullptr || vcpu.run_state.entered < first->run_state.entered))
                first = &vcpu;
    return first;
}

Duration Machine::check_conservation()
{
    Duration const bound{core().policy().work_conserving_within};
    Duration longest;
    if (bound == Duration{})
        return longest;
    // Two may take turns on one pCPU, and each has its time: a while will do.
    for (Instant const begin{now_}, end{now_ + bound * 4}; now_ < end;) {
        Vcpu* const vcpu{first_in_vain()};
        if (vcpu == nullptr)
            break;
        Instant const since{vcpu->run_state.entered > begin ? vcpu->run_state.entered : begin};
        expect(fire_next(since + bound), *vcpu, " waits while a pCPU idles that it may use");
        longest = now_ - since > longest ? now_ - since : longest;
    }
    return longest;
}

// Whoever may run now gets its turn.
void Machine::check_progress()
{
    Instant const until{now_ + longest_wait};
    std::array<Vcpu*, 16> left{};
    std::size_t count{0};
    for (sched::Domain& domain : core().domains())
        for (Vcpu& vcpu : domain.vcpus)
            if (vcpu.is_runnable())
                left.at(count++) = &vcpu;
    while (true) {
        for (std::size_t i = 0; i < count;)
            if (left[i]->is_running() || !left[i]->is_runnable()) // a cap may stop it
                left[i] = left[--count];
            else
                ++i;
        if (count == 0)
            return;
        expect(fire_next(until), *left[0], " may run and never does");
    }
}

Machine& machine() { return *the_machine; }

} // namespace hv::explorer

hv::HeldLocks& hv::arch::held_locks() { return explorer::machine().held_locks(explorer::run().current()); }

void hv::assert_fail(char const* condition, char const* file, unsigned line) noexcept
{
    hv::explorer::run().fail(std::string{"assertion failed: "} + condition + ", " + file + ":" + std::to_string(line));
}
