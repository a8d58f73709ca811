// The trace at the end of a run: where the host finds it, and its last records in words. Floor: boot.
#pragma once

#include "sched/trace/tracer.hpp"

namespace hv::boot {

// Builds the directory (sched/trace/directory.hpp) and tells the host where it is. false: no memory.
[[nodiscard]] bool publish_trace_directory(sched::trace::Tracer const& tracer);

// The last `count` records over all pCPUs, in the order of their stamps, a line each. Nothing is traced any more.
void print_trace_tail(sched::trace::Tracer const& tracer, unsigned count);

} // namespace hv::boot
