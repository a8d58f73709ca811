// `nv trace`: looks at xentrace files, ours and a real Xen's. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace hv::nv {

struct TraceOptions {
    std::string file;
    std::string facts, nodes, homes, clock; // each may be empty
    bool json{false};
    std::string output;
    std::optional<double> from, to;
    std::optional<std::uint32_t> pcpu;
    std::string vcpu, event;
    bool cut_out{false};
};

// Figures on stdout, see docs/traces.md. `failed` if the file is damaged: each damage is a line on stderr, and the
// figures are of what could be read. Throws (bad_input) for options that make no sense.
[[nodiscard]] ExitCode trace_summary(TraceOptions const& options);
// One line a record on stdout, in the order of stamps.
[[nodiscard]] ExitCode trace_dump(TraceOptions const& options);
// A line on stdout for each breach of a rule (docs/traces.md, "Rules") and one to sum up; `failed` if there is any.
[[nodiscard]] ExitCode trace_check(TraceOptions const& options);
// Files for other viewers, in options.output; `failed` if the trace is damaged: the file is of what could be read.
[[nodiscard]] ExitCode trace_perfetto(TraceOptions const& options);
// A folder.
[[nodiscard]] ExitCode trace_ctf(TraceOptions const& options);
// `page`: the template of the page, which lies beside nv.
[[nodiscard]] ExitCode trace_html(TraceOptions const& options, std::filesystem::path const& page);
// The formats file on stdout.
[[nodiscard]] ExitCode trace_formats();

} // namespace hv::nv
