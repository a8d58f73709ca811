// `nv sweep`: every run of a grid, in processes that keep each result as soon as it is there, so that a sweep that is
// killed goes on where it was (docs/sweeps.md).
//
// The sweep itself simulates nothing: it calls this program with --runs, as the lines of --jobs-file do on a cluster. A
// run that crashes its process or hangs becomes a result that says so, and the others go on. stdout gets one line with
// the count, stderr progress on a terminal. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace hv::nv {

struct SweepOptions {
    std::string grid;
    std::string out;       // empty: NAME.sweep beside where we are
    std::string runs;      // "0-99,200": only these, in this process
    std::string jobs_file; // write commands instead
    std::size_t per_line{1};
    unsigned jobs{0};
    double timeout_s{60};
    bool retry{false};
};

void add_sweep(CLI::App& app, SweepOptions& options);

// failed: a run has no figures.
[[nodiscard]] ExitCode run_sweep(SweepOptions const& options);

// "0-2,7": numbers below `count`, ascending and each once. Throws (bad_input).
[[nodiscard]] std::vector<std::size_t> parse_runs(std::string_view text, std::size_t count);
[[nodiscard]] std::string runs_text(std::vector<std::size_t> const& runs);

} // namespace hv::nv
