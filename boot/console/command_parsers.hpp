// The parsers behind the table of commands (command.cpp). Floor: boot/console.
#pragma once

#include "boot/console/arguments.hpp"

namespace hv::console {

[[nodiscard]] Parsed parse_help(Words& words);
[[nodiscard]] Parsed parse_info(Words& words);
[[nodiscard]] Parsed parse_list(Words& words);
[[nodiscard]] Parsed parse_vcpu_list(Words& words);
[[nodiscard]] Parsed parse_vcpu_pin(Words& words);
[[nodiscard]] Parsed parse_sched_credit(Words& words);
[[nodiscard]] Parsed parse_node_affinity(Words& words);
[[nodiscard]] Parsed parse_create(Words& words);
[[nodiscard]] Parsed parse_destroy(Words& words);
[[nodiscard]] Parsed parse_pause(Words& words);
[[nodiscard]] Parsed parse_unpause(Words& words);
[[nodiscard]] Parsed parse_top(Words& words);
[[nodiscard]] Parsed parse_trace(Words& words);
[[nodiscard]] Parsed parse_dmesg(Words& words);
[[nodiscard]] Parsed parse_debug_keys(Words& words);
[[nodiscard]] Parsed parse_quit(Words& words);

} // namespace hv::console
