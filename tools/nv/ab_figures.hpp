// The figures that `nv ab` compares: what they are called, which way is better, and how large a difference has to be to
// matter. One table for the simulator and the booted kernel; what a run has no figure for is left out. Host only.
// Floor: tools.
#pragma once

#include "tools/nv/bench_figures.hpp"
#include "tools/nv/json.hpp"
#include "tools/nv/scenario.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct AbFigure {
    std::string_view key, title, unit;
    bool higher_is_better;
    double relative; // a difference matters if it is at least this part of the base's figure...
    double absolute; // ...and at least this much
    int digits;      // after the point
    // Of a run's JSON, below "guests", or from the top if it begins with '.'; empty: computed.
    std::string_view path;
};

inline constexpr std::array ab_figures{
    AbFigure{"throughput", "work done", "jobs/s", true, 0.01, 0.1, 1, "jobs_per_s"},
    AbFigure{"cpu", "pCPU time used", "s", true, 0.005, 0.02, 3, "cpu_seconds"},
    AbFigure{"home", "run time at home", "%", true, 0.005, 0.5, 2, "pref_share_pct"},
    AbFigure{"misplaced", "away although home idles", "%", false, 0.02, 0.5, 2, "misplaced_pct"},
    AbFigure{"fairness", "least over most run time", "", true, 0.01, 0.01, 4, "min_over_max"},
    AbFigure{"share_error", "error of a share", "%", false, 0.02, 0.5, 2, ""},
    AbFigure{"wake_p50", "wake-up, median", "us", false, 0.02, 2, 1, "wake_latency.p50_us"},
    AbFigure{"wake_p99", "wake-up, 99 of 100", "us", false, 0.02, 10, 1, "wake_latency.p99_us"},
    AbFigure{"wake_max", "wake-up, longest", "us", false, 0.05, 500, 1, "wake_latency.max_us"},
    AbFigure{"wait_p50", "queue, median", "us", false, 0.02, 5, 1, "runq_wait.p50_us"},
    AbFigure{"wait_p99", "queue, 99 of 100", "us", false, 0.02, 20, 1, "runq_wait.p99_us"},
    AbFigure{"wait_max", "queue, longest", "ms", false, 0.05, 2, 2, "max_wait_ms"},
    AbFigure{"response_p99", "response, 99 of 100", "us", false, 0.02, 20, 1, "response.p99_us"},
    AbFigure{"lost", "pCPU time lost beside waiters", "%", false, 0.05, 0.2, 3, ".wc_lost_cpu_pct"},
    AbFigure{"switches", "context switches", "/s", false, 0.02, 2, 1, ".ctx_switches_per_s"},
    AbFigure{"moves", "migrations", "/s", false, 0.05, 2, 1, "migrations_per_s"},
    AbFigure{"node_moves", "migrations across nodes", "/s", false, 0.05, 1, 1, "xnode_migrations_per_s"},
};

// By the order of the table.
using AbValues = std::array<std::optional<double>, ab_figures.size()>;

// What each domain gets of the pCPUs if all is shared by weight, nobody more than it wants or its cap allows; in pCPUs.
[[nodiscard]] std::vector<double> fair_shares(Scenario const& scenario);

// `run`: what nv sim --json says of one run of `scenario`; `has_shares`: AbCell. Throws (own_failure) if it is
// something else, or contradicts itself.
[[nodiscard]] AbValues values_of(Json const& run, Scenario const& scenario, bool has_shares);
// Of a booted cell of the reference table.
[[nodiscard]] AbValues values_of(RunFigures const& run, BenchRow row);

// One line a figure; what values_from reads. Throws (own_failure), naming `file`, for anything else.
[[nodiscard]] std::string values_text(AbValues const& values);
[[nodiscard]] AbValues values_from(std::string_view text, std::string_view file);

} // namespace hv::nv
