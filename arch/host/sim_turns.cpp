// pCPUs that take turns on one thread of their host, as an emulator's do that counts instructions. A turn ends
// * when its pCPU has nothing to do;
// * when a timer of any pCPU is due: the thread stops to raise its interrupt, and goes on with the next pCPU. The
//   interrupt is taken when its own pCPU has a turn, before anything else;
// * when its pCPU sets, or after its timers are served still has, the deadline that is the next of the whole machine:
//   the thread has to stop there from now on, so it begins anew;
// * at random, for what the machine does not know of (devices, timers of guests), if costs say so.
// It does so in the midst of anything but a decision: whoever was woken may have to wait for the next turn.
#include "arch/host/sim_machine.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace hv::arch {

namespace {

// Timers that count what their pCPU executes; others count the time.
constexpr TimerId::Rep phase_timer = 3;
constexpr Instant never{Instant::at_ns(std::numeric_limits<std::int64_t>::max())};

// From 0 to twice the mean (xorshift64).
Duration random_turn(Duration mean, std::uint64_t& state)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return Duration::from_ns(static_cast<std::int64_t>(state % (2 * static_cast<std::uint64_t>(mean.ns()) + 1)));
}

} // namespace

CpuId SimMachine::pcpu_of(EventHeap::Slot slot) const
{
    if (slot < fixed_slots())
        return CpuId{static_cast<CpuId::Rep>(slot / slots_per_pcpu)};
    EventHeap::Slot const moving{slot - fixed_slots()};
    return client_->place_of(TimerId{moving + first_moving_timer}, armed_on_[moving]);
}

bool SimMachine::is_own_time(EventHeap::Slot slot) const
{
    EventHeap::Slot const kind{slot % slots_per_pcpu};
    return slot < fixed_slots() && (kind == ipi_slot || kind == phase_timer);
}

void SimMachine::run_by_turns(Instant end)
{
    if (!turn_end_)
        limit_turn();
    for (pass_turn();; pass_turn()) {
        if (serve_due())
            continue;
        Instant const next{next_turn_end()};
        if (!events_.empty() && is_own_time(events_.earliest().slot) &&
            events_.earliest().when <= std::min(next, end)) {
            step(EventHeap::Event{events_.earliest()});
            continue;
        }
        if (next > end)
            return;
        now_ = std::max(now_, next);
        if (!deadlines_.empty() && deadlines_.earliest().when <= next) {
            due_.push_back(deadlines_.earliest());
            events_.drop(due_.back().slot);
            deadlines_.drop(due_.back().slot);
        }
        end_turn();
    }
}

// Whatever its pCPU does; the end of time if nothing ends it.
Instant SimMachine::next_turn_end() const
{
    Instant const timer{deadlines_.empty() ? never : deadlines_.earliest().when};
    return turn_end_ && has_work(turn_) ? std::min(timer, *turn_end_) : timer;
}

// The first one of the pCPU that has the turn. False: there is none.
bool SimMachine::serve_due()
{
    auto const found =
        std::ranges::find_if(due_, [&](EventHeap::Event const& event) { return pcpu_of(event.slot) == turn_; });
    if (found == due_.end())
        return false;
    EventHeap::Event const event{*found};
    due_.erase(found);
    step(event);
    if (!is_due(turn_) && !deadlines_.empty() && pcpu_of(deadlines_.earliest().slot) == turn_)
        end_turn();
    return true;
}

bool SimMachine::is_due(CpuId cpu) const
{
    return std::ranges::any_of(due_, [&](EventHeap::Event const& event) { return pcpu_of(event.slot) == cpu; });
}

void SimMachine::note_deadline(CpuId cpu, EventHeap::Slot slot, Instant when)
{
    drop_deadline(slot);
    if (is_own_time(slot))
        return;
    deadlines_.put(slot, when);
    if (cpu == turn_ && deadlines_.earliest().slot == slot)
        end_turn();
}

void SimMachine::drop_deadline(EventHeap::Slot slot)
{
    deadlines_.drop(slot);
    std::erase_if(due_, [&](EventHeap::Event const& event) { return event.slot == slot; });
}

bool SimMachine::has_work(CpuId cpu) const
{
    return left_[cpu.value()] || events_.is_pending(request_slot(cpu)) || client_->is_busy(cpu) || is_due(cpu);
}

void SimMachine::end_turn()
{
    if (!interrupted_)
        interrupted_ = turn_;
}

void SimMachine::limit_turn()
{
    if (costs_.turn > Duration{})
        turn_end_ = now_ + random_turn(costs_.turn, turn_state_);
}

// To the next one with something to do, if the turn is over.
void SimMachine::pass_turn()
{
    if (!interrupted_ && has_work(turn_))
        return;
    CpuId const from{std::exchange(interrupted_, std::nullopt).value_or(turn_)};
    CpuMask waiting;
    for (CpuId const cpu : topology().online)
        if (has_work(cpu))
            waiting.set(cpu);
    if (waiting.empty())
        return;
    give_turn(waiting.cycle(from));
    limit_turn();
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
