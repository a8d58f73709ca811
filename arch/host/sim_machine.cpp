#include "arch/host/sim_machine.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace hv::arch {

SimMachine::SimMachine(MachineShape const& shape, SimCosts costs, std::size_t trace_bytes_per_pcpu)
    : shape_{shape}, costs_{costs}, pcpu_timers_(shape.topology().pcpus.size()),
      requested_(shape.topology().pcpus.size()), trace_memory_(shape.topology().pcpus.size())
{
    for (auto& memory : trace_memory_)
        memory.resize(trace_bytes_per_pcpu);
}

SimMachine::~SimMachine()
{
    for (void* const block : blocks_)
        std::free(block);
}

// ----------------------------------------------------------------------------------------------------------------- events

void SimMachine::push(Instant when, CpuId cpu, TimerId::Rep id)
{
    events_.push({.when = when, .order = next_order_++, .cpu = cpu, .id = id});
}

void SimMachine::run_until(Instant end)
{
    while (!events_.empty() && events_.top().when <= end) {
        Event const event{events_.top()};
        events_.pop();
        if (event.id != ipi_event && armed(event.cpu, TimerId{event.id}) != event.order)
            continue; // disarmed or armed anew since
        now_ = std::max(now_, event.when);
        ++events_handled_;
        handle(event);
        carry_out_reschedules();
        client_->settled(now_);
    }
    now_ = std::max(now_, end);
}

void SimMachine::handle(Event const& event)
{
    executing_ = event.cpu;
    if (event.id == ipi_event) {
        wanted_.set(event.cpu);
        return;
    }
    TimerId const timer{event.id};
    armed(event.cpu, timer) = 0;
    if (event.id >= first_moving_timer)
        executing_ = client_->place_of(timer, event.cpu);
    client_->timer(executing_, timer, now_);
}

void SimMachine::carry_out_reschedules()
{
    while (std::optional<CpuId> const cpu = wanted_.first()) {
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
}

// ------------------------------------------------------------------------------------------------------------------- port

void SimMachine::tickle(CpuId cpu) noexcept
{
    if (std::exchange(requested_[cpu.value()], 1) != 0)
        return;
    if (cpu == executing_ || costs_.ipi == Duration{})
        wanted_.set(cpu);
    else
        push(now_ + costs_.ipi, cpu, ipi_event);
}

std::uint64_t& SimMachine::armed(CpuId cpu, TimerId timer)
{
    if (timer.value() < first_moving_timer)
        return pcpu_timers_[cpu.value()][timer.value()];
    std::size_t const index{timer.value() - first_moving_timer};
    if (index >= moving_timers_.size())
        moving_timers_.resize(index + 1);
    return moving_timers_[index];
}

// xorshift64, advanced for every timer of the scheduler that is set, whether it will fire or not.
Duration SimMachine::lateness()
{
    late_state_ ^= late_state_ << 13;
    late_state_ ^= late_state_ >> 7;
    late_state_ ^= late_state_ << 17;
    return Duration::from_ns(static_cast<std::int64_t>(late_state_ % (static_cast<std::uint64_t>(costs_.timer_late.ns()) + 1)));
}

void SimMachine::arm(CpuId cpu, TimerId timer, Instant when) noexcept
{
    constexpr TimerId::Rep scheduler_timers = 3; // slice, tick and accounting
    if (costs_.timer_late > Duration{} && timer.value() < scheduler_timers)
        when = when + lateness();
    armed(cpu, timer) = next_order_;
    push(when, cpu, timer.value());
}

void SimMachine::disarm(CpuId cpu, TimerId timer) noexcept { armed(cpu, timer) = 0; }

void* SimMachine::allocate(NodeId, std::size_t bytes, std::size_t align) noexcept
{
    std::size_t const rounded{(std::max(align, sizeof(void*)) + bytes - 1) / std::max(align, sizeof(void*)) * std::max(align, sizeof(void*))};
    void* const block{std::aligned_alloc(std::max(align, sizeof(void*)), rounded)};
    if (block == nullptr)
        return nullptr;
    std::memset(block, 0, rounded);
    blocks_.push_back(block);
    return block;
}

void SimMachine::release(void* memory, std::size_t) noexcept
{
    std::erase(blocks_, memory);
    std::free(memory);
}

// Virtual time stands still within an event, so stamps run ahead of it by a nanosecond a record.
std::uint64_t SimMachine::trace_clock(CpuId) noexcept
{
    last_stamp_ = std::max(last_stamp_ + 1, static_cast<std::uint64_t>(now_.ns()));
    return last_stamp_;
}

std::span<std::byte> SimMachine::trace_memory(CpuId cpu) noexcept { return trace_memory_[cpu.value()]; }

} // namespace hv::arch
