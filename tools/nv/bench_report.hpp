// The reference table's results: statistics over seeds, percentages by the report's formula, bars, and their texts.
//
// Percentages are (NUMA - other) / NUMA, as the report of 2013 has them, and gains over no affinity are
// (x - none) / none, as the acceptance bands have them; each is labelled. Host only. Floor: tools.
#pragma once

#include "tools/nv/bench_figures.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

struct Spread {
    double mean{0}, sd{0}; // sd of the sample; 0 for one
    [[nodiscard]] static Spread of(std::vector<double> const& values);
};

struct CellResult {
    BenchCell cell;
    std::vector<RunFigures> runs;      // by seed
    std::vector<RunFigures> simulated; // booted runs: the same scenarios in the simulator

    [[nodiscard]] Spread value() const;
    // Percent of all run time, weighted with the share of memory that is local; of the VMs' whole time; of run time.
    [[nodiscard]] double home_share() const;
    [[nodiscard]] double wait_share() const;
    [[nodiscard]] double stall_share() const;
    [[nodiscard]] double refill_share() const;
    [[nodiscard]] double node_moves_per_second() const; // of one vCPU
    [[nodiscard]] double core_moves_per_second() const;
    // The largest difference from the simulator, percent: of the figure, and of a VM's share of all run time (weights
    // are VMs', so are shares).
    [[nodiscard]] std::optional<double> figure_difference() const;
    [[nodiscard]] std::optional<double> share_difference() const;
};

// A statement about the table that is true or not.
struct Bar {
    std::string text;
    bool met;
    bool hard; // an order that has to hold; else a size, or fork
};

struct BenchReport {
    std::string model; // the parameters' name
    std::string home;  // "simulator", "kernel under QEMU"
    unsigned seeds{0};
    std::uint64_t seconds{0};
    std::vector<BenchColumn> columns;
    std::vector<CellResult> cells; // row by row, load by load, column by column

    [[nodiscard]] CellResult const* find(BenchRow row, unsigned vms, BenchConfig config) const; // of the first policy
    [[nodiscard]] CellResult const* find(BenchRow row, unsigned vms, BenchColumn const& column) const;
    [[nodiscard]] std::vector<Bar> bars() const;
};

// 100 (numa - other) / numa.
[[nodiscard]] double by_the_report(double numa, double other);

[[nodiscard]] std::string bench_text(BenchReport const& report);
[[nodiscard]] std::string bench_json(BenchReport const& report);
[[nodiscard]] std::string bench_html(BenchReport const& report);
[[nodiscard]] std::string bench_svg(BenchReport const& report);

} // namespace hv::nv
