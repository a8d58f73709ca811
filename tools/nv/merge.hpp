// `nv merge`: the results of sweeps, from any number of folders, as one table, and as plots.
//
// A row is a point of the grid without its seed; a figure is its mean over the seeds and how much it scatters. Results
// count if a folder given is for them (its sweep.json has their program and scenario): others, of earlier versions, are
// counted and left out. What is missing, what has no figures and where two folders contradict each other is said.
// Output depends on the results alone, not on who made them, when, or in which folder they lie. Host only. Floor:
// tools.
#pragma once

#include "tools/nv/bench_report.hpp"
#include "tools/nv/errors.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace hv::nv {

struct MergeOptions {
    std::vector<std::string> folders{};
    std::vector<std::string>
        figures{}; // keys of nv ab's figures, or places in what nv sim --json says; empty: all of nv ab's
    std::vector<std::string> only{}; // AXIS=VALUE
    std::string axis{};              // of the plots; empty: the first one of numbers
    bool json{false}, csv{false};
    std::string html{};
};

struct MergeAxis {
    std::string name;
    std::vector<std::string> values;
};

struct MergeFigure {
    std::string key, title, unit;
    int digits{4};
};

struct MergeRow {
    std::vector<std::string> values;                         // of the axes without the seed
    std::vector<std::string> seeds;                          // that have figures, in the order of the grid
    std::vector<std::vector<std::optional<double>>> by_seed; // of each figure

    [[nodiscard]] std::optional<Spread> spread(std::size_t figure) const; // nothing: no run has it
};

struct Merged {
    std::string name;
    std::vector<MergeAxis> axes; // without the seed
    std::vector<MergeFigure> figures;
    std::vector<MergeRow> rows;                          // in the order of the grid
    std::size_t runs{0};                                 // that the grid has
    std::vector<std::string> missing, failed, conflicts; // one line each, in the order of the grid
    std::vector<std::string> damaged;                    // files
    std::size_t outdated{0};

    [[nodiscard]] bool is_whole() const { return missing.empty() && failed.empty() && conflicts.empty(); }
};

// Throws (bad_input) for a folder that is none of a sweep, for several sweeps at once, and for unknown figures.
[[nodiscard]] Merged merge_folders(MergeOptions const& options);

[[nodiscard]] std::string merge_text(Merged const& merged);
[[nodiscard]] std::string merge_json(Merged const& merged);
[[nodiscard]] std::string merge_csv(Merged const& merged);
// `axis`: what goes to the right; empty: the first axis of several numbers, else the last of several values.
[[nodiscard]] std::string merge_html(Merged const& merged, std::string const& axis);

void add_merge(CLI::App& app, MergeOptions& options);
// failed: it is not whole; the table of the rest is printed all the same.
[[nodiscard]] ExitCode run_merge(MergeOptions const& options);

} // namespace hv::nv
