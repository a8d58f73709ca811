// What all subcommands of `nv trace` do with the trace they are given: find its facts and the rate of its clock, and
// say at the end what was damaged. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/trace_command.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_stream.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace hv::nv {

// Of --facts or, without it, of the file beside the trace; other options go before both. Throws (bad_input).
[[nodiscard]] TraceFacts facts_of(TraceOptions const& options);
// The facts', else what the trace itself says, else 1 GHz with a line on stderr. Kept in the facts if known.
[[nodiscard]] std::uint64_t hertz_of(TraceFacts& facts, MappedFile const& bytes, std::string_view file);
// A line on stderr for each damage; `failed` if there is any. Once the stream is read.
[[nodiscard]] ExitCode report_damage(TraceStream const& stream, std::string_view file);

// A trace and what is known of it, for one pass. Throws (bad_input, failed) if there is no such file or facts are bad.
struct TraceInput {
    explicit TraceInput(TraceOptions const& options);

    TraceFacts facts;
    MappedFile file;
    TraceStream stream;
    std::vector<std::uint32_t> pcpus; // ascending; none: the file has no record, which its damages say
    std::uint64_t hertz;              // 1 without any pCPU
};

} // namespace hv::nv
