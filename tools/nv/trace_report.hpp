// The figures of a trace as text for people and as JSON for programs. Same figures, same bytes. Host only. Floor:
// tools.
#pragma once

#include "tools/nv/trace_summary.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hv::nv {

// `bytes`: the size of the file. `run`: JSON for the key of that name, if not empty.
[[nodiscard]] std::string trace_json(TraceFigures const& figures, std::uint64_t bytes, std::string_view run = "");
[[nodiscard]] std::string trace_text(TraceFigures const& figures, std::string_view file);

} // namespace hv::nv
