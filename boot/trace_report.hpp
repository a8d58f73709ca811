// The trace's two ends in the kernel: what the options say of it, where the host finds it, that it is complete, and its
// last records in words. Floor: boot.
#pragma once

#include "boot/info/command_line.hpp"
#include "sched/trace/tracer.hpp"

namespace hv::boot {

[[nodiscard]] sched::trace::Mode trace_mode_of(Options const& options);
// Leaves only the pCPUs of `trace_cpus` tracing. Warns of those that the machine lacks.
void choose_traced_pcpus(sched::trace::Tracer& tracer, Options const& options);

// Builds the directory (sched/trace/directory.hpp) and tells the host where it is; from then on a panic closes the
// trace as well as it can. false: no memory. Once.
[[nodiscard]] bool publish_trace_directory(sched::trace::Tracer& tracer);
// After a panic, with the other pCPUs stopped: forgets what they were about to record, and closes each ring by what it
// tells itself. Nothing of the scheduler is looked at.
void salvage_trace(sched::trace::Tracer& tracer);
// The trace is closed: tells the host so, in the directory.
void mark_trace_closed();

// The last `count` records over all pCPUs, in the order of their stamps, a line each. Nothing is traced any more.
void print_trace_tail(sched::trace::Tracer const& tracer, unsigned count);

} // namespace hv::boot
