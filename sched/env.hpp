// The port: everything the scheduler asks of the machine below it. There is one Env per build, found through the
// include path: arch/x86_64/include/arch/env.hpp in the kernel, arch/host/include/arch/env.hpp in the simulator and the
// tests.
//
// Not here, on purpose: the time (each entry point gets `now`), the calling pCPU (each gets `self`), random numbers and
// context switches (the core returns what to switch to and the machine carries it out). scripts/check-symbols compares
// the undefined symbols of sched/'s objects with this list. The way up (a timer fired, a reschedule is due, a pCPU came
// or went) is sched/system.hpp. Floor: sched.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/topology.hpp"
#include "arch/generic/types.hpp"

#include <arch/env.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::sched {

template <typename E>
concept Environment = requires(E& env, E const& view, CpuId cpu, NodeId node, TimerId timer, Instant when,
                               std::size_t bytes, void* memory, std::uint64_t stamp) {
    // The machine's shape. When it changes, the machine says so through the core and raises `generation`.
    { view.topology() } noexcept -> std::same_as<Topology const&>;
    // Ask a pCPU to reschedule soon. Idempotent until it does; callable with run-queue locks held.
    { env.tickle(cpu) } noexcept -> std::same_as<void>;
    // One-shot timers, one for each (pCPU, id). Arming one that is armed replaces its time. A time in the past fires at
    // once, though never before the caller has returned to the machine.
    { env.arm(cpu, timer, when) } noexcept -> std::same_as<void>;
    { env.disarm(cpu, timer) } noexcept -> std::same_as<void>;
    // Zeroed memory on `node`, or near it where the node has none left; nullptr when nothing is left at all. Not for
    // the fast path: pCPUs, domains and vCPUs are made from it.
    { env.allocate(node, bytes, bytes) } noexcept -> std::same_as<void*>;
    { env.release(memory, bytes) } noexcept -> std::same_as<void>;
    // The stamp of a trace record, in ns: strictly increasing on each pCPU, and in the order of cause and effect across
    // them.
    { env.trace_clock(cpu) } noexcept -> std::same_as<std::uint64_t>;
    // When a change of run state, decided at `when` and recorded with that stamp, takes effect in the counters: time
    // goes on during a decision, virtual time does not, though its stamps do.
    { view.counted_at(when, stamp) } noexcept -> std::same_as<Instant>;
    // Memory for the trace records of `cpu`, the same at each call; its size is a power of two, or 0 for no trace.
    { env.trace_memory(cpu) } noexcept -> std::same_as<std::span<std::byte>>;
};

static_assert(Environment<arch::Env>);

} // namespace hv::sched
