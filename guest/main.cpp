// The program of every vCPU: asks its workload for the next action, has the kernel carry it out, and so on for ever.
#include "arch/generic/assert.hpp"
#include "guest/calls.hpp"
#include "guest/state.hpp"

extern "C" [[noreturn]] void guest_main(hv::guest::State* state);

namespace hv {

void assert_fail(char const*, char const*, unsigned) noexcept { __builtin_trap(); }

namespace guest {
namespace {

using hypercall::Number;
using sched::guest::Action;

std::uint64_t word(Duration duration) { return static_cast<std::uint64_t>(duration.ns()); }
std::uint64_t word(Instant time) { return static_cast<std::uint64_t>(time.ns()); }

// A recording may be longer than there is room here: it comes in pieces.
void fetch_steps(State& state)
{
    auto& work = state.work;
    if (work.workload.kind != sched::guest::WorkloadKind::recorded || work.next_step < work.workload.steps.size())
        return;
    std::int64_t const count{
        call(Number::next_steps, reinterpret_cast<std::uint64_t>(state.steps.data()), state.steps.size())};
    if (count < 0)
        __builtin_trap();
    work.workload.steps = {state.steps.data(), static_cast<std::size_t>(count)};
    work.next_step = 0;
}

// The time at which it is done.
Instant perform(Action const& action)
{
    switch (action.kind) {
    case Action::Kind::compute:
        return call_for_time(Number::compute, word(action.amount));
    case Action::Kind::compute_until:
        return call_for_time(Number::compute_until, word(action.until));
    case Action::Kind::wait:
        return call_for_time(Number::block);
    case Action::Kind::wait_until:
        return call_for_time(Number::poll, word(action.until));
    case Action::Kind::notify:
        return call_for_time(Number::notify, action.partner.value());
    case Action::Kind::notify_any:
        return call_for_time(Number::notify_any, action.target);
    }
    __builtin_trap();
}

} // namespace
} // namespace guest
} // namespace hv

void guest_main(hv::guest::State* state)
{
    using namespace hv::guest;
    static_assert(hv::hypercall::forever == static_cast<std::uint64_t>(hv::sched::guest::forever.ns()));
    for (hv::Instant now{call_for_time(Number::clock)};;) {
        fetch_steps(*state);
        now = perform(next(state->work, now));
    }
}
