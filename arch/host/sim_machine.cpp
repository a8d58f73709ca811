#include "arch/host/sim_machine.hpp"

#include <algorithm>
#include <utility>

namespace hv::arch {

namespace {

constexpr std::uint32_t most_at_one_time{100'000}; // reschedules; more lead to each other, and time would stand still

} // namespace

SimMachine::SimMachine(MachineShape const& shape, SimCosts costs, std::size_t trace_bytes_per_pcpu)
    : shape_{shape}, costs_{costs}, requested_(shape.topology().pcpus.size()),
      turn_state_{costs.turn_seed * 0x9e3779b97f4a7c15ull | 1}, left_(shape.topology().pcpus.size()),
      trace_memory_(shape.topology().pcpus.size())
{
    for (auto& memory : trace_memory_)
        memory.resize(trace_bytes_per_pcpu);
}

SimMachine::~SimMachine() = default;

// --- events

void SimMachine::run_until(Instant end)
{
    if (costs_.by_turns)
        run_by_turns(end);
    else
        while (!events_.empty() && events_.earliest().when <= end)
            step(EventHeap::Event{events_.earliest()});
    now_ = std::max(now_, end);
}

void SimMachine::step(EventHeap::Event const& event)
{
    events_.drop(event.slot);
    now_ = std::max(now_, event.when);
    ++events_handled_;
    handle(event.slot);
    carry_out_reschedules();
    client_->settled(now_);
}

void SimMachine::handle(EventHeap::Slot slot)
{
    if (slot < fixed_slots()) {
        executing_ = CpuId{static_cast<CpuId::Rep>(slot / slots_per_pcpu)};
        is_waking_ = false;
        if (slot % slots_per_pcpu == ipi_slot) {
            delayed_.clear(executing_);
            wanted_.set(executing_);
        } else {
            client_->timer(executing_, TimerId{slot % slots_per_pcpu}, now_);
        }
        return;
    }
    TimerId const timer{slot - fixed_slots() + first_moving_timer};
    is_waking_ = true;
    executing_ = client_->place_of(timer, armed_on_[slot - fixed_slots()]);
    client_->timer(executing_, timer, now_);
}

void SimMachine::carry_out_reschedules()
{
    is_waking_ = false;
    for (std::uint32_t carried_out = 0; std::optional<CpuId> const cpu = wanted_.first(); ++carried_out) {
        HV_ASSERT(carried_out < most_at_one_time);
        wanted_.clear(*cpu);
        requested_[cpu->value()] = 0;
        executing_ = *cpu;
        client_->reschedule(*cpu, now_);
    }
}

void SimMachine::reschedule_all()
{
    for (CpuId const cpu : topology().online) {
        requested_[cpu.value()] = 1;
        wanted_.set(cpu);
    }
    carry_out_reschedules();
    if (costs_.by_turns)
        stop_all_but(turn_);
}

// --- port

void SimMachine::tickle(CpuId cpu) noexcept
{
    EventHeap::Slot const slot{request_slot(cpu)};
    if (cpu == executing_ && !is_waking_ && delayed_.test(cpu) &&
        !client_->wake_cost(cpu)) { // It has a reason of its own to decide now.
        delayed_.clear(cpu);
        events_.drop(slot);
        wanted_.set(cpu);
        return;
    }
    if (std::exchange(requested_[cpu.value()], 1) != 0)
        return;
    bool const is_own{cpu == executing_};
    Duration const usual{!is_own ? costs_.ipi : is_waking_ ? costs_.wake : Duration{}};
    Duration const cost{client_->wake_cost(cpu).value_or(usual)};
    if (costs_.by_turns && !is_own && cpu != turn_) {
        left_[cpu.value()] = cost;
        return;
    }
    if (cost == Duration{}) {
        wanted_.set(cpu);
        return;
    }
    if (is_own)
        delayed_.set(cpu);
    events_.put(slot, now_ + cost);
}

EventHeap::Slot SimMachine::slot_of(CpuId cpu, TimerId timer) const
{
    HV_ASSERT(timer.value() != ipi_slot);
    if (timer.value() < first_moving_timer)
        return cpu.value() * slots_per_pcpu + timer.value();
    return fixed_slots() + timer.value() - first_moving_timer;
}

// xorshift64, advanced for every timer of the scheduler that is set, whether it will fire or not.
Duration SimMachine::lateness()
{
    late_state_ ^= late_state_ << 13;
    late_state_ ^= late_state_ >> 7;
    late_state_ ^= late_state_ << 17;
    return Duration::from_ns(
        static_cast<std::int64_t>(late_state_ % (static_cast<std::uint64_t>(costs_.timer_late.ns()) + 1)));
}

void SimMachine::arm(CpuId cpu, TimerId timer, Instant when) noexcept
{
    constexpr TimerId::Rep scheduler_timers = 3; // slice, tick and accounting
    if (costs_.timer_late > Duration{} && timer.value() < scheduler_timers)
        when = when + lateness();
    if (timer.value() >= first_moving_timer) {
        std::size_t const index{timer.value() - first_moving_timer};
        armed_on_.resize(std::max(armed_on_.size(), index + 1));
        armed_on_[index] = cpu;
    }
    EventHeap::Slot const slot{slot_of(cpu, timer)};
    events_.put(slot, when);
    if (costs_.by_turns)
        note_deadline(cpu, slot, when);
}

void SimMachine::disarm(CpuId cpu, TimerId timer) noexcept
{
    events_.drop(slot_of(cpu, timer));
    drop_deadline(slot_of(cpu, timer));
}

std::vector<TimerId> SimMachine::armed_on(CpuId cpu) const
{
    std::vector<TimerId> ids;
    auto const note = [&](TimerId::Rep id) {
        if (events_.is_pending(slot_of(cpu, TimerId{id})))
            ids.push_back(TimerId{id});
    };
    for (TimerId::Rep id = 0; id < ipi_slot; ++id)
        note(id);
    for (std::size_t i = 0; i < armed_on_.size(); ++i)
        if (armed_on_[i] == cpu)
            note(static_cast<TimerId::Rep>(first_moving_timer + i));
    return ids;
}

void* SimMachine::allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept
{
    return memory_.allocate(node, bytes, align);
}

void SimMachine::release(void* memory, std::size_t bytes) noexcept { memory_.release(memory, bytes); }

// Virtual time stands still within an event, so stamps run ahead of it by a nanosecond a record.
std::uint64_t SimMachine::trace_clock(CpuId) noexcept
{
    last_stamp_ = std::max(last_stamp_ + 1, static_cast<std::uint64_t>(now_.ns()));
    return last_stamp_;
}

std::span<std::byte> SimMachine::trace_memory(CpuId cpu) noexcept { return trace_memory_[cpu.value()]; }

} // namespace hv::arch
