#include "sched/guest/guests.hpp"

#include <new>
#include <utility>

namespace hv::sched::guest {

std::optional<std::uint32_t> Guests::take_place(std::optional<std::uint32_t> wanted)
{
    auto const take = [&](std::uint32_t number) {
        return number < table_.size() && !table_[number].taken.exchange(true, std::memory_order_acquire);
    };
    if (wanted)
        return take(*wanted) ? wanted : std::nullopt;
    for (std::uint32_t number = first_free_.load(std::memory_order_relaxed); number < table_.size(); ++number) {
        if (take(number)) {
            first_free_.store(number + 1, std::memory_order_relaxed);
            return number;
        }
    }
    return std::nullopt;
}

Guest* Guests::add(Vcpu& vcpu, Workload const& workload, std::uint64_t seed, std::optional<std::uint32_t> wanted)
{
    std::optional<std::uint32_t> const number{take_place(wanted)};
    if (!number)
        return nullptr;
    Guest* const guest{make(vcpu, workload, seed, *number)};
    if (guest == nullptr) {
        give_back(*number);
        return nullptr;
    }
    vcpu.guest = guest;
    table_[*number].guest.store(guest, std::memory_order_release);
    for (std::uint32_t end = end_.load(std::memory_order_relaxed);
         end <= *number && !end_.compare_exchange_weak(end, *number + 1, std::memory_order_relaxed);) {}
    return guest;
}

void Guests::give_back(std::uint32_t number)
{
    table_[number].taken.store(false, std::memory_order_release);
    if (number < first_free_.load(std::memory_order_relaxed))
        first_free_.store(number, std::memory_order_relaxed);
}

Guest* Guests::make(Vcpu& vcpu, Workload const& workload, std::uint64_t seed, std::uint32_t number)
{
    arch::Env& env{core_.pool().env()};
    NodeId const node{core_.pool().topology().node_of(vcpu.processor())};
    void* const memory{env.allocate(node, sizeof(Guest), alignof(Guest))};
    if (memory == nullptr)
        return nullptr;
    Guest* const guest{::new (memory) Guest{vcpu, number}};
    guest->work = {.workload = workload, .random = Random{seed, vcpu.domain.id, vcpu.index}};
    // The first step of a recording that begins by waiting is that wait.
    if (guest->is_recorded() && begins_waiting(workload)) {
        guest->work.next_step = 1;
        guest->work.wake_cost = workload.steps.empty() ? 0 : workload.steps.front().target;
    }
    if (pacer_ != nullptr && is_of_model(workload.kind)) {
        void* const progress{env.allocate(node, sizeof(Progress), alignof(Progress))};
        if (progress == nullptr) {
            env.release(memory, sizeof(Guest));
            return nullptr;
        }
        guest->progress = ::new (progress) Progress{pacer_->params().of(class_of(workload.kind)), MemoryShares{}};
    }
    return guest;
}

void Guests::retire(Domain& domain)
{
    for (Vcpu& vcpu : domain.vcpus) {
        if (vcpu.guest == nullptr)
            continue;
        Guest& guest{of(vcpu)};
        {
            Guard guard{guest.timer_lock, irqs_off};
            guest.retired = true;
            disarm(guest);
        }
        table_[guest.number].guest.store(nullptr, std::memory_order_relaxed); // Nothing new to see there.
    }
}

void Guests::release(Vcpu& vcpu)
{
    if (vcpu.guest == nullptr)
        return;
    Guest& guest{of(vcpu)};
    std::uint32_t const number{guest.number};
    if (guest.progress != nullptr)
        core_.pool().env().release(guest.progress, sizeof(Progress));
    guest.~Guest();
    core_.pool().env().release(&guest, sizeof(Guest));
    vcpu.guest = nullptr;
    give_back(number);
}

bool Guests::use_model(ModelParams const& params)
{
    HV_ASSERT(first_free_.load(std::memory_order_relaxed) == 0 && pacer_ == nullptr);
    pacer_ = Pacer::create(core_.pool().env(), params);
    return pacer_ != nullptr;
}

void Guests::set_memory(Domain& domain, MemoryShares const& memory)
{
    for (Vcpu& vcpu : domain.vcpus)
        if (Guest const& guest{of(vcpu)}; guest.progress != nullptr)
            pacer_->set_memory(*guest.progress, memory);
}

bool Guests::is_current(Guest const& guest) const
{
    return core_.pool().pcpu(guest.vcpu.processor()).current == &guest.vcpu;
}

// --- the wake-up timer

void Guests::start_at(CpuId on, Guest& guest, Instant when) { set_timer(on, guest, when); }

Guest* Guests::of(TimerId id) const
{
    return id.value() < timer::first_vcpu ? nullptr : numbered(id.value() - timer::first_vcpu);
}

void Guests::set_timer(CpuId on, Guest& guest, Instant when)
{
    Guard guard{guest.timer_lock, irqs_off};
    if (guest.retired)
        return;
    // Under the lock: evacuate(), which comes after the pCPU has left, takes it for each guest.
    if (AtomicCpuMask const& members{core_.in_pools()}; !members.test(on)) [[unlikely]]
        on = members.snapshot().first().value_or(on);
    if (guest.armed && guest.armed_on != on)
        disarm(guest);
    guest.armed = true;
    guest.armed_on = on;
    guest.wakes_at = when;
    core_.pool().env().arm(on, guest.wake_timer(), when);
}

void Guests::stop_timer(Guest& guest)
{
    Guard guard{guest.timer_lock, irqs_off};
    disarm(guest);
}

void Guests::disarm(Guest& guest)
{
    if (guest.armed)
        core_.pool().env().disarm(guest.armed_on, guest.wake_timer());
    guest.armed = false;
}

bool Guests::is_due(Guest& guest, Instant now)
{
    Guard guard{guest.timer_lock, irqs_off};
    return std::exchange(guest.armed, guest.armed && now < guest.wakes_at) && now >= guest.wakes_at;
}

void Guests::evacuate(CpuId self, CpuId to)
{
    for (Guest* const guest : all()) {
        Guard guard{guest->timer_lock, irqs_off};
        if (!guest->armed || guest->armed_on != self)
            continue;
        core_.pool().env().disarm(self, guest->wake_timer());
        guest->armed_on = to;
        core_.pool().env().arm(to, guest->wake_timer(), guest->wakes_at);
    }
    if (pacer_ != nullptr)
        pacer_->evacuate(self);
}

// --- phases

void Guests::start(CpuId self, Guest& guest, Instant now)
{
    guest.started = true;
    guest.activated_ns.store(now.ns(), std::memory_order_relaxed);
    Workload const& workload{guest.work.workload};
    bool const waits{begins_waiting(workload)};
    if (!waits && driver_ == Driver::events)
        advance(self, guest, now);
    core_.start(self, guest.vcpu, waits, now);
    if (workload.kind == WorkloadKind::periodic)
        set_timer(guest.vcpu.processor(), guest, now + workload.phase);
    if (guest.is_recorded() && !workload.steps.empty() && workload.steps.front().kind == StepKind::sleep) {
        guest.sleeps.store(true, std::memory_order_relaxed);
        auto const first = Duration::from_ns(static_cast<std::int64_t>(workload.steps.front().ns));
        set_timer(guest.vcpu.processor(), guest, now + first);
    }
}

Duration Guests::ran_on(Guest const& guest, NodeId node, Instant now) const
{
    Duration ran{Duration::from_ns(guest.ran_on_ns[node.value()].load(std::memory_order_relaxed))};
    std::int64_t const since{guest.runs_since_ns.load(std::memory_order_relaxed)};
    if (since != Guest::not_running && now.ns() > since &&
        core_.pool().topology().node_of(guest.vcpu.processor()) == node)
        ran += now - Instant::at_ns(since);
    return ran;
}

void Guests::count_run(CpuId self, Vcpu& previous, Vcpu& next, Instant now)
{
    if (!previous.is_idle()) {
        Guest& guest{of(previous)};
        std::atomic<std::int64_t>& ran{guest.ran_on_ns[core_.pool().topology().node_of(self).value()]};
        std::int64_t const since{guest.runs_since_ns.load(std::memory_order_relaxed)};
        if (since != Guest::not_running && now.ns() > since)
            ran.store(ran.load(std::memory_order_relaxed) + now.ns() - since, std::memory_order_relaxed);
        guest.runs_since_ns.store(Guest::not_running, std::memory_order_relaxed);
    }
    if (!next.is_idle())
        of(next).runs_since_ns.store(now.ns(), std::memory_order_relaxed);
}

void Guests::switched(CpuId self, Vcpu& previous, Vcpu& next, Instant now)
{
    count_run(self, previous, next, now);
    // In this order: whoever leaves disarms timer::phase, whoever comes arms it.
    if (!previous.is_idle() && of(previous).computing && of(previous).progress == nullptr)
        suspend_phase(self, of(previous), now);
    if (pacer_ != nullptr)
        pacer_->switched(self, previous.is_idle() ? nullptr : of(previous).progress,
                         next.is_idle() ? nullptr : of(next).progress, !next.is_idle(), context_switch_, now);
    if (!next.is_idle() && of(next).computing && of(next).progress == nullptr)
        resume_phase(self, of(next), now + context_switch_);
}

void Guests::suspend_phase(CpuId self, Guest& guest, Instant now)
{
    core_.pool().env().disarm(self, timer::phase);
    if (now > guest.resumed)
        guest.left -= now - guest.resumed;
    // Its end falls on this very instant but was not handled yet: there must be something left to end.
    if (guest.left <= Duration{})
        guest.left = Duration::from_ns(1);
}

void Guests::stand_still(CpuId self, Instant now)
{
    Vcpu& current{*core_.pool().pcpu(self).current};
    if (current.is_idle() || !of(current).computing)
        return;
    Guest& guest{of(current)};
    if (guest.resumed > now) // The rest of its context switch is still to come.
        guest.left += guest.resumed - now;
    suspend_phase(self, guest, now);
}

void Guests::go_on(CpuId self, Instant now)
{
    Vcpu& current{*core_.pool().pcpu(self).current};
    if (!current.is_idle() && of(current).computing)
        resume_phase(self, of(current), now);
}

void Guests::resume_phase(CpuId self, Guest& guest, Instant from)
{
    guest.resumed = from;
    if (guest.has_deadline)
        guest.left = guest.deadline > from ? guest.deadline - from : Duration{};
    if (guest.left < forever / 2)
        core_.pool().env().arm(self, timer::phase, from + guest.left);
}

void Guests::begin_phase(CpuId self, Guest& guest, Action const& action, Instant now)
{
    guest.computing = true;
    if (guest.progress != nullptr) {
        pacer_->begin(*guest.progress, action.amount, now);
        return;
    }
    guest.has_deadline = action.kind == Action::Kind::compute_until;
    guest.deadline = action.until;
    guest.left = action.amount;
    if (is_current(guest))
        resume_phase(self, guest, now);
}

void Guests::end_phase(CpuId self, Instant now)
{
    Vcpu& current{*core_.pool().pcpu(self).current};
    if (current.is_idle() || !of(current).computing)
        return; // It was switched out on the way here.
    Guest& guest{of(current)};
    if (guest.progress != nullptr && !pacer_->ends(*guest.progress, now))
        return;
    guest.computing = false;
    ++guest.phases;
    // A gridsleep's phase is as long as it is: there is nothing to respond to.
    bool const responds{guest.work.workload.kind != WorkloadKind::gridsleep};
    std::int64_t const response{responds ? now.ns() - guest.activated_ns.load(std::memory_order_relaxed) : -1};
    core_.pool().tracer().emit(self, now, trace::Event::phase_end, guest.vcpu.packed(), response,
                               static_cast<std::uint64_t>(response) >> 32);
    if (driver_ == Driver::events)
        advance(self, guest, now);
}

bool Guests::timer(CpuId self, TimerId id, Instant now)
{
    if (id == timer::phase) {
        end_phase(self, now);
        return true;
    }
    if (id == sample_timer && pacer_ != nullptr) {
        pacer_->sample(self, now);
        return true;
    }
    Guest* const addressed{of(id)};
    if (addressed == nullptr)
        return false;
    Guest& guest{*addressed};
    if (!is_due(guest, now))
        return true;
    if (!guest.started) {
        start(self, guest, now);
        return true;
    }
    Workload const& workload{guest.work.workload};
    if (workload.kind == WorkloadKind::periodic)
        set_timer(self, guest, now + workload.period);
    guest.sleeps.store(false, std::memory_order_relaxed);
    deliver(self, guest, now);
    return true;
}

// An event for the guest. Without tasks, one that wakes it also begins its next phase.
void Guests::deliver(CpuId self, Guest& guest, Instant now)
{
    if (driver_ == Driver::events && guest.is_recorded() && guest.work.wake_cost != 0) {
        wake_cost_ = Duration::from_ns(guest.work.wake_cost);
        woken_on_ = guest.vcpu.processor();
    }
    if (guest.vcpu.has_flag(PauseFlag::blocked)) {
        guest.activated_ns.store(now.ns(), std::memory_order_relaxed);
        if (driver_ == Driver::events)
            advance(self, guest, now);
    } else if (!guest.vcpu.has_flag(PauseFlag::event_pending)) {
        guest.pending_since_ns.store(now.ns(), std::memory_order_relaxed);
    }
    bool const is_taken{core_.notify(self, guest.vcpu, now)};
    wake_cost_.reset();
    if (is_taken)
        return;
    if (guest.is_recorded()) {
        guest.owed.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    guest.missed.fetch_add(1, std::memory_order_relaxed);
    core_.pool().tracer().emit(self, now, trace::Event::event_missed, guest.vcpu.packed());
}

// From another vCPU.
void Guests::notify(CpuId self, Guest& guest, Instant now)
{
    if (guest.is_recorded() && guest.sleeps.load(std::memory_order_relaxed))
        guest.owed.fetch_add(1, std::memory_order_relaxed);
    else
        deliver(self, guest, now);
}

// Of a recorded workload: blocks until its timer wakes it. An event that comes in between is kept for the next wait.
void Guests::sleep(CpuId self, Guest& guest, Instant now)
{
    guest.sleeps.store(true, std::memory_order_relaxed);
    while (!core_.block(self, guest.vcpu, now))
        guest.owed.fetch_add(1, std::memory_order_relaxed);
}

// Waits for an event; false: one was pending, and what it asked for begins now.
bool Guests::wait(CpuId self, Guest& guest, Instant now)
{
    if (guest.owed.load(std::memory_order_relaxed) != 0) { // Nobody else takes from it.
        guest.owed.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }
    if (core_.block(self, guest.vcpu, now))
        return true;
    guest.activated_ns.store(guest.pending_since_ns.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return false;
}

// Driver::events: do what the workload wants until it computes or waits.
void Guests::advance(CpuId self, Guest& guest, Instant now)
{
    while (perform(self, guest, next(guest.work, now), now) == Outcome::goes_on) {}
}

Outcome Guests::perform(CpuId self, Guest& guest, Action const& action, Instant now)
{
    switch (action.kind) {
    case Action::Kind::compute:
    case Action::Kind::compute_until:
        begin_phase(self, guest, action, now);
        return Outcome::computes;
    case Action::Kind::wait_until:
        set_timer(self, guest, action.until);
        if (guest.is_recorded()) {
            sleep(self, guest, now);
            return Outcome::waits;
        }
        if (wait(self, guest, now))
            return Outcome::waits;
        stop_timer(guest);
        return Outcome::goes_on;
    case Action::Kind::wait:
        return wait(self, guest, now) ? Outcome::waits : Outcome::goes_on;
    case Action::Kind::notify:
        if (Guest* const partner{partner_of(guest, action.partner)}; partner != nullptr)
            notify(self, *partner, now);
        return Outcome::goes_on;
    case Action::Kind::notify_any:
        if (Guest* const target{numbered(action.target)}; target != nullptr) // Its domain may have ended.
            notify(self, *target, now);
        return Outcome::goes_on;
    }
    return Outcome::goes_on;
}

Guest* Guests::partner_of(Guest& guest, VcpuIndex partner)
{
    if (guest.partner != nullptr)
        return guest.partner;
    for (Vcpu& vcpu : guest.vcpu.domain.vcpus)
        if (vcpu.index == partner)
            guest.partner = static_cast<Guest*>(vcpu.guest);
    return guest.partner;
}

} // namespace hv::sched::guest
