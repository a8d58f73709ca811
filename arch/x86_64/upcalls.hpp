// The way up from the machine: what it calls when a timer fires, a pCPU was asked to reschedule, or one was plugged in.
//
// All are called with interrupts off, on the pCPU they are about, with no lock of the machine held. In a timer
// interrupt all timers that are due are delivered first; then, on the way out of the interrupt, the request to
// reschedule. `reschedule` may switch tasks (context.hpp): it returns when the interrupted task is switched back to,
// perhaps on another pCPU. Floor: arch/x86_64.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"

namespace hv::arch {

struct UpCalls {
    void* self{nullptr};
    void (*timer)(void* self, CpuId cpu, TimerId timer, Instant now){nullptr};
    void (*reschedule)(void* self, CpuId cpu, Instant now){nullptr};
    // A pCPU that was plugged in is up; once, before anything else happens on it. May be null.
    void (*arrived)(void* self, CpuId cpu, Instant now){nullptr};
};

// Takes effect at once on all pCPUs. `calls` must stay where it is until others are installed; nullptr: nobody listens,
// and timers and requests vanish. Self-tests install their own and restore what was there.
void install_up_calls(UpCalls const* calls) noexcept;
[[nodiscard]] UpCalls const* installed_up_calls() noexcept;

// For task code that tickled its own pCPU, or may have been tickled, before it turns interrupts on again. Interrupts
// off.
void reschedule_if_asked() noexcept;
// Asks a pCPU to reschedule. Idempotent until it does; callable with any lock held.
void ask_to_reschedule(CpuId cpu) noexcept;

// What idle pCPUs do before they halt: `some` does a few microseconds of it, with interrupts off and no lock held, and
// says whether there was anything to do. Between two of them interrupts and requests are served.
struct IdleWork {
    void* self{nullptr};
    bool (*some)(void* self) noexcept {nullptr};
};
// Once, before other pCPUs run. `work` must stay where it is.
void install_idle_work(IdleWork const& work) noexcept;

// What a pCPU does when there is nothing to run: idle work, then it halts with interrupts on, and serves interrupts and
// requests.
[[noreturn]] void idle_forever() noexcept;
// One step of it: returns after at least one interrupt, or at once if a request was served or work was done. Interrupts
// on behind it; who has looked for something else to do with interrupts off and found nothing may call it so.
void idle_once() noexcept;

} // namespace hv::arch
