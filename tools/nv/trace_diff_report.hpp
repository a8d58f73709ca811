// The difference of two traces as text, as JSON and as one page that needs nothing else. Host only. Floor: tools.
#pragma once

#include "tools/nv/trace_diff.hpp"
#include "tools/nv/trace_diff_figures.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

// One trace around a divergence.
struct DiffView {
    std::vector<std::string> before, after; // records of all pCPUs, as dump shows them; the first of `after` differs
    std::string decision;                   // where that pCPU went next
    std::vector<std::string> state;         // who ran and waited where, before
};

struct DiffPlace {
    Divergence divergence;
    DiffView a, b;
};

struct DiffReport {
    std::string file_a, file_b;
    TraceFigures a, b;
    Common common;
    Comparison comparison;
    std::optional<DiffPlace> first;    // of comparison.records
    std::optional<DiffPlace> decision; // of comparison.switches, if that is another place
    std::vector<FigureDiff> figures;
    std::vector<VcpuDiff> vcpus;

    [[nodiscard]] bool is_same() const
    {
        return !comparison.records && comparison.shift.count == 0 && common.pcpus_only_a.empty() &&
               common.pcpus_only_b.empty();
    }
};

// What the trace of `stream` was and did at the divergence, which is of side A or B. Reads the stream up to there.
[[nodiscard]] DiffView view_divergence(TraceStream& stream, std::uint64_t hz, Divergence const& at,
                                       Comparer::Side side);

[[nodiscard]] std::string diff_text(DiffReport const& report);
[[nodiscard]] std::string diff_json(DiffReport const& report);
[[nodiscard]] std::string diff_html(DiffReport const& report);
// "the records are the same from ... to ...": one line that says whether and where they part.
[[nodiscard]] std::string diff_verdict(DiffReport const& report);

} // namespace hv::nv
