// Numbers of the fields of Perfetto's trace schema that we write
// (https://perfetto.dev/docs/reference/trace-packet-proto). tests/traces/perfetto.proto has them with their
// types. Host only. Floor: tools.
#pragma once

#include <cstdint>

namespace hv::nv::perfetto {

using Field = std::uint32_t;

inline constexpr Field trace_packet = 1; // of the file

namespace packet {
inline constexpr Field ftrace_events = 1, process_tree = 2, timestamp = 8, sequence = 10, track_event = 11,
                       sequence_flags = 13, track_descriptor = 60;
inline constexpr std::uint64_t state_cleared = 1; // sequence_flags
} // namespace packet

namespace bundle {
inline constexpr Field cpu = 1, event = 2, lost_events = 3;
}

namespace ftrace {
inline constexpr Field timestamp = 1, pid = 2, sched_switch = 4, sched_waking = 20;
}

namespace sched_switch {
inline constexpr Field prev_comm = 1, prev_pid = 2, prev_prio = 3, prev_state = 4, next_comm = 5, next_pid = 6,
                       next_prio = 7;
}

namespace sched_waking {
inline constexpr Field comm = 1, pid = 2, prio = 3, success = 4, target_cpu = 5;
}

namespace process_tree {
inline constexpr Field processes = 1, threads = 2;
inline constexpr Field pid = 1, ppid = 2, cmdline = 3;           // of a process
inline constexpr Field tid = 1, thread_name = 2, thread_pid = 3; // of a thread
} // namespace process_tree

namespace track {
inline constexpr Field uuid = 1, name = 2, process = 3, thread = 4, parent = 5, counter = 8, child_ordering = 11,
                       rank = 12;
inline constexpr Field process_pid = 1, process_name = 6;               // of process
inline constexpr Field thread_pid = 1, thread_tid = 2, thread_name = 5; // of thread
inline constexpr Field counter_unit = 3;                                // of counter
inline constexpr std::uint64_t by_rank = 3;                             // child_ordering
} // namespace track

namespace event {
inline constexpr Field type = 9, track_uuid = 11, categories = 22, name = 23, counter_value = 30, flow_ids = 47,
                       terminating_flow_ids = 48;
inline constexpr std::uint32_t slice_begin = 1, slice_end = 2, instant = 3, counter = 4; // type
} // namespace event

} // namespace hv::nv::perfetto
