// One-shot timers of every pCPU over its APIC timer. See timer_queue.hpp for the order of delivery.
//
// A timer fires on the pCPU it was armed for, never before its deadline, with at most one interrupt in flight: the
// hardware is always set for the earliest deadline, or for as far ahead as it can count. Arming for another pCPU takes
// that queue's lock and, if the timer is the first there now, sends an interrupt. Callable with locks of rank below 39
// held (memory may be needed for the node). Floor: arch/x86_64.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"

namespace hv::arch {

// Arming an armed timer replaces its time. A deadline in the past fires as soon as interrupts are on.
void timer_arm(CpuId cpu, TimerId timer, Instant deadline) noexcept;
void timer_disarm(CpuId cpu, TimerId timer) noexcept;

// The interrupt: delivers what is due and sets the hardware for the rest. Interrupts off.
void timers_interrupt() noexcept;
// Sets the calling pCPU's hardware anew, for whatever comes next. Interrupts off.
void timers_restart() noexcept;

} // namespace hv::arch
