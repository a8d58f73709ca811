// pCPUs that take turns on one thread of their host.
#include "arch/host/sim_machine.hpp"

#include <algorithm>
#include <utility>

namespace hv::arch {

namespace {

// Timers that count what their pCPU executes; others count the time.
constexpr TimerId::Rep phase_timer = 3;

} // namespace

CpuId SimMachine::pcpu_of(EventHeap::Slot slot)
{
    if (slot < fixed_slots())
        return CpuId{static_cast<CpuId::Rep>(slot / slots_per_pcpu)};
    EventHeap::Slot const moving{slot - fixed_slots()};
    return client_->place_of(TimerId{moving + first_moving_timer}, armed_on_[moving]);
}

void SimMachine::run_by_turns(Instant end)
{
    for (pass_turn(); !events_.empty() && events_.earliest().when <= end; pass_turn()) {
        EventHeap::Event const event{events_.earliest()};
        now_ = std::max(now_, event.when);
        EventHeap::Slot const kind{event.slot % slots_per_pcpu};
        bool const is_own_time = event.slot < fixed_slots() && (kind == ipi_slot || kind == phase_timer);
        if (!is_own_time && !interrupted_)
            interrupted_ = turn_;
        give_turn(pcpu_of(event.slot));
        step(event);
    }
}

bool SimMachine::has_work(CpuId cpu) const
{
    return left_[cpu.value()] || events_.is_pending(request_slot(cpu)) || client_->is_busy(cpu);
}

// To the next one with something to do, if the turn is over. A pCPU that serves a timer keeps it until it has decided.
void SimMachine::pass_turn()
{
    if (interrupted_ ? events_.is_pending(request_slot(turn_)) : has_work(turn_))
        return;
    CpuId const from{std::exchange(interrupted_, std::nullopt).value_or(turn_)};
    CpuMask waiting;
    for (CpuId const cpu : topology().online)
        if (has_work(cpu))
            waiting.set(cpu);
    if (!waiting.empty())
        give_turn(waiting.cycle(from));
}

void SimMachine::stop_all_but(CpuId cpu)
{
    for (CpuId const other : topology().online)
        if (other != cpu && client_->is_busy(other))
            client_->turn_ends(other, now_);
}

void SimMachine::give_turn(CpuId cpu)
{
    CpuId const before{std::exchange(turn_, cpu)};
    if (before == cpu)
        return;
    if (EventHeap::Slot const request{request_slot(before)}; events_.is_pending(request)) {
        left_[before.value()] = events_.when(request) - now_;
        events_.drop(request);
    }
    if (client_->is_busy(before))
        client_->turn_ends(before, now_);
    if (client_->is_busy(cpu))
        client_->turn_begins(cpu, now_);
    if (std::optional<Duration> const left = std::exchange(left_[cpu.value()], std::nullopt))
        events_.put(request_slot(cpu), now_ + *left);
}

} // namespace hv::arch
