// The formats file for Xen's xentrace_format, made from the event table: with it that tool prints our events, private
// ones too, by name and field. Host only. Floor: tools.
#pragma once

#include <string>

namespace hv::nv {

// One line an event: its number, a space, a template in the way of Python's % operator.
[[nodiscard]] std::string formats_file();

} // namespace hv::nv
