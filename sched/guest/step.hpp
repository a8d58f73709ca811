// One step of what a recorded vCPU does: plain data, because scenario images hold long tables of them and they are read
// in place. docs/scenario-format.md has the rules. No state, no locks. Floor: sched (the scenario's layout includes
// it).
#pragma once

#include <cstdint>

namespace hv::sched::guest {

enum class StepKind : std::uint16_t {
    run = 0,    // `ns` of pCPU time
    sleep = 1,  // blocked for `ns` from the moment of blocking
    wait = 2,   // for an event from another vCPU
    notify = 3, // an event for vCPU `target`, in the order of creation over the whole machine
};
inline constexpr std::uint16_t last_step_kind = 3;

struct Step {
    StepKind kind;
    std::uint16_t reserved;
    // notify: the vCPU. sleep and wait: ns from the wake-up to the decision about it, where machines are simulated;
    // zero: the machine's own. Else zero.
    std::uint32_t target;
    std::uint64_t ns; // run, sleep; else zero
};
static_assert(sizeof(Step) == 16);

} // namespace hv::sched::guest
