// What all subcommands of `nv trace` do with the trace they are given: find its facts and the rate of its clock, and
// say at the end what was damaged. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/trace_command.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_stream.hpp"

#include <cstdint>
#include <string_view>

namespace hv::nv {

// Of --facts or, without it, of the file beside the trace; other options go before both. Throws (bad_input).
[[nodiscard]] TraceFacts facts_of(TraceOptions const& options);
// The facts', else what the trace itself says, else 1 GHz with a line on stderr. Kept in the facts if known.
[[nodiscard]] std::uint64_t hertz_of(TraceFacts& facts, MappedFile const& bytes, std::string_view file);
// A line on stderr for each damage; `failed` if there is any. Once the stream is read.
[[nodiscard]] ExitCode report_damage(TraceStream const& stream, std::string_view file);

} // namespace hv::nv
