#include "sched/guest/workload.hpp"

namespace hv::sched::guest {

namespace {

using Kind = Action::Kind;

Action burst(WorkloadState& state, Instant now)
{
    Workload const& w{state.workload};
    state.step ^= 1;
    if (state.step == 1)
        return {.kind = Kind::compute, .amount = state.random.between(w.run_min, w.run_max)};
    return {.kind = Kind::wait_until, .until = now + state.random.between(w.block_min, w.block_max)};
}

Action periodic(WorkloadState& state)
{
    state.step ^= 1;
    if (state.step == 1)
        return {.kind = Kind::compute, .amount = state.workload.run_min};
    return {.kind = Kind::wait};
}

Action pingpong(WorkloadState& state)
{
    state.step = static_cast<std::uint8_t>(state.step == 2 ? 0 : state.step + 1);
    switch (state.step) {
    case 1:
        return {.kind = Kind::compute, .amount = state.workload.run_min};
    case 2:
        return {.kind = Kind::notify, .partner = state.workload.partner};
    default:
        return {.kind = Kind::wait};
    }
}

// Asleep from `guard` before each multiple of the grid until `guard` after it.
Action gridsleep(WorkloadState& state, Instant now)
{
    Workload const& w{state.workload};
    state.step ^= 1;
    if (state.step == 1) {
        Instant deadline{now.next_multiple(w.grid) - w.guard};
        if (deadline <= now)
            deadline = deadline + w.grid;
        return {.kind = Kind::compute_until, .until = deadline};
    }
    Instant wake{now.next_multiple(w.grid) - w.grid + w.guard};
    if (wake <= now)
        wake = wake + w.grid;
    return {.kind = Kind::wait_until, .until = wake};
}

// The parent prepares, starts the child on the other vCPU, works beside it and waits for it; the child works and tells.
Action fork(WorkloadState& state)
{
    Workload const& w{state.workload};
    if (!w.has_token) {
        state.step = static_cast<std::uint8_t>(state.step == 2 ? 0 : state.step + 1);
        if (state.step == 1)
            return {.kind = Kind::compute, .amount = state.random.between(w.block_min, w.block_max)};
        if (state.step == 2)
            return {.kind = Kind::notify, .partner = w.partner};
        return {.kind = Kind::wait};
    }
    state.step = static_cast<std::uint8_t>(state.step == 3 ? 0 : state.step + 1);
    switch (state.step) {
    case 1:
        return {.kind = Kind::compute, .amount = state.random.between(w.run_min, w.run_max)};
    case 2:
        return {.kind = Kind::notify, .partner = w.partner};
    case 3:
        return {.kind = Kind::compute, .amount = state.random.between(w.block_min, w.block_max)};
    default:
        return {.kind = Kind::wait};
    }
}

Action recorded(WorkloadState& state, Instant now)
{
    if (state.next_step >= state.workload.steps.size())
        return {.kind = Kind::wait};
    Step const& step{state.workload.steps[state.next_step++]};
    if (step.kind == StepKind::sleep || step.kind == StepKind::wait)
        state.wake_cost = step.target;
    auto const amount = Duration::from_ns(static_cast<std::int64_t>(step.ns));
    switch (step.kind) {
    case StepKind::run:
        return {.kind = Kind::compute, .amount = amount};
    case StepKind::sleep:
        return {.kind = Kind::wait_until, .until = now + amount};
    case StepKind::wait:
        return {.kind = Kind::wait};
    case StepKind::notify:
        return {.kind = Kind::notify_any, .target = step.target};
    }
    return {.kind = Kind::wait};
}

} // namespace

Action next(WorkloadState& state, Instant now)
{
    switch (state.workload.kind) {
    case WorkloadKind::hog:
    case WorkloadKind::cpu:
        return {.kind = Kind::compute, .amount = forever};
    case WorkloadKind::burst:
    case WorkloadKind::jbb:
    case WorkloadKind::memory:
        return burst(state, now);
    case WorkloadKind::periodic:
        return periodic(state);
    case WorkloadKind::pingpong:
        return pingpong(state);
    case WorkloadKind::gridsleep:
        return gridsleep(state, now);
    case WorkloadKind::fork:
        return fork(state);
    case WorkloadKind::recorded:
        return recorded(state, now);
    }
    return {.kind = Kind::wait};
}

} // namespace hv::sched::guest
