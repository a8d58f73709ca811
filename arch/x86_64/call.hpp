// Running a function on another pCPU, in its interrupt context, and waiting for it. For boot and self-tests, not for
// the scheduler: the caller spins.
//
// One call at a time for each target; callers with the same target take turns. The caller must not hold a lock and must
// have interrupts on when two pCPUs may call each other. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <atomic>
#include <cstdint>

namespace hv::arch {

struct Call {
    void (*function)(void*){nullptr};
    void* argument{nullptr};
    std::atomic<std::uint32_t>* finished{nullptr};
};

// Runs function(argument) on `cpu`, interrupts off there, and returns when it has. On the calling pCPU: directly.
void call_on(CpuId cpu, void (*function)(void*), void* argument) noexcept;
// The same on every pCPU that is up, at the same time, the caller's included.
void call_on_all(void (*function)(void*), void* argument) noexcept;

// The interrupt's handler.
void serve_calls() noexcept;

} // namespace hv::arch
