// The reference table as text and as JSON.
#include "tools/nv/bench_report.hpp"
#include "tools/nv/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

std::string figure_text(BenchRow row, Spread const& spread)
{
    return row == BenchRow::fork ? fmt::format("{:.1f} +- {:.1f}", spread.mean, spread.sd)
                                 : fmt::format("{:.4f} +- {:.4f}", spread.mean, spread.sd);
}

std::string published_text(BenchRow row, unsigned vms, BenchConfig config)
{
    auto const value = published(row, vms, config);
    return value ? fmt::format("{:.1f}", *value) : "-";
}

// NUMA against another column by the report's formula, ours and the published one.
std::string difference_text(BenchReport const& report, BenchRow row, unsigned vms, BenchConfig other)
{
    CellResult const* const numa = report.find(row, vms, BenchConfig::numa);
    CellResult const* const against = report.find(row, vms, other);
    if (numa == nullptr || against == nullptr)
        return "";
    std::string text{fmt::format("{:+.2f} %", by_the_report(numa->value().mean, against->value().mean))};
    auto const a = published(row, vms, BenchConfig::numa), b = published(row, vms, other);
    return text + (a && b ? fmt::format(" ({:+.2f} %)", by_the_report(*a, *b)) : "");
}

void add_row(std::string& text, BenchReport const& report, BenchRow row)
{
    auto out = std::back_inserter(text);
    bool const any = std::ranges::any_of(report.cells, [&](CellResult const& c) { return c.cell.row == row; });
    if (!any)
        return;
    fmt::format_to(out, "\n{}, {}\n", title_of(row),
                   row == BenchRow::fork ? "us a cycle, lower is better" : "work of a VM a second, higher is better");
    fmt::format_to(out, "  {:>3} {:<18}{:>20} {:>10} {:>8} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9}\n", "VMs", "", "ours",
                   "published", "of none", "home %", "wait %", "stall %", "refill%", "nodes/s", "cores/s");
    for (unsigned const vms : bench_loads) {
        CellResult const* const none = report.find(row, vms, BenchConfig::none);
        for (BenchColumn const& column : report.columns) {
            CellResult const* const cell = report.find(row, vms, column);
            if (cell == nullptr)
                continue;
            bool const of_the_report = column.policy == report.columns.front().policy;
            std::string const relative =
                none == nullptr ? "-" : fmt::format("{:+.1f} %", 100 * (cell->value().mean / none->value().mean - 1));
            fmt::format_to(out,
                           "  {:>3} {:<18}{:>20} {:>10} {:>8} {:>7.1f} {:>7.1f} {:>7.1f} {:>7.2f} {:>9.1f} {:>9.1f}\n",
                           vms, column.label, figure_text(row, cell->value()),
                           of_the_report ? published_text(row, vms, column.config) : "-", relative, cell->home_share(),
                           cell->wait_share(), cell->stall_share(), cell->refill_share(), cell->node_moves_per_second(),
                           cell->core_moves_per_second());
        }
        fmt::format_to(out, "      NUMA against none {}, against pinning {}\n",
                       difference_text(report, row, vms, BenchConfig::none),
                       difference_text(report, row, vms, BenchConfig::pinning));
    }
}

void add_differences(std::string& text, BenchReport const& report)
{
    double figure{0}, share{0};
    std::string lines;
    for (CellResult const& cell : report.cells) {
        auto const f = cell.figure_difference(), s = cell.share_difference();
        if (!f || !s)
            continue;
        lines += fmt::format("  {:<18} {:<18} figure {:+.2f} %, shares {:+.2f} %\n", cell_name(cell.cell),
                             cell.cell.column.label, *f, *s);
        figure = std::max(figure, std::abs(*f));
        share = std::max(share, std::abs(*s));
    }
    if (!lines.empty())
        text += fmt::format(
            "\nKernel against simulator, the same scenarios: figures within {:.2f} %, shares within {:.2f} %\n{}",
            figure, share, lines);
}

std::string number_or_null(std::optional<double> value) { return value ? fmt::format("{:.6g}", *value) : "null"; }

std::string cell_json(CellResult const& cell, BenchReport const& report)
{
    CellResult const* const none = report.find(cell.cell.row, cell.cell.vms, BenchConfig::none);
    bool const of_the_report = cell.cell.column.policy == report.columns.front().policy;
    std::vector<std::string> seeds;
    for (RunFigures const& run : cell.runs)
        seeds.push_back(fmt::format("{:.9g}", run.value(cell.cell.row)));
    return fmt::format(
        "  {{\"row\": \"{}\", \"vms\": {}, \"config\": {}, \"policy\": {}, \"mean\": {:.9g}, \"sd\": {:.6g}, "
        "\"by_seed\": [{}], "
        "\"published\": {}, \"over_none_pct\": {}, \"home_pct\": {:.4f}, \"wait_pct\": {:.4f}, \"stall_pct\": {:.4f}, "
        "\"refill_pct\": {:.4f}, \"node_moves_per_vcpu_s\": {:.3f}, \"core_moves_per_vcpu_s\": {:.3f}, "
        "\"figure_vs_simulator_pct\": {}, \"shares_vs_simulator_pct\": {}}}",
        name_of(cell.cell.row), cell.cell.vms, json_string(cell.cell.column.label),
        json_string(cell.cell.column.policy), cell.value().mean, cell.value().sd, fmt::join(seeds, ", "),
        number_or_null(of_the_report ? published(cell.cell.row, cell.cell.vms, cell.cell.column.config) : std::nullopt),
        number_or_null(none == nullptr ? std::nullopt
                                       : std::optional{100 * (cell.value().mean / none->value().mean - 1)}),
        cell.home_share(), cell.wait_share(), cell.stall_share(), cell.refill_share(), cell.node_moves_per_second(),
        cell.core_moves_per_second(), number_or_null(cell.figure_difference()),
        number_or_null(cell.share_difference()));
}

} // namespace

std::string bench_text(BenchReport const& report)
{
    std::string text{fmt::format(
        "Memory cost model {}, in the {}: {} seed{} of {} s a cell, mean +- standard deviation.\n"
        "NUMA against another: (NUMA - other) / NUMA, published in parentheses; of none: (x - none) / none.\n",
        report.model, report.home, report.seeds, report.seeds == 1 ? "" : "s", report.seconds)};
    for (BenchRow const row : bench_rows)
        add_row(text, report, row);
    add_differences(text, report);
    text += "\nBars (!: hard, an order; the others are sizes, and fork's orders)\n";
    for (Bar const& bar : report.bars())
        text += fmt::format("  {} {} {}\n", bar.met ? "met   " : "MISSED", bar.hard ? '!' : ' ', bar.text);
    return text;
}

std::string bench_json(BenchReport const& report)
{
    std::vector<std::string> cells, bars;
    for (CellResult const& cell : report.cells)
        cells.push_back(cell_json(cell, report));
    for (Bar const& bar : report.bars())
        bars.push_back(
            fmt::format("  {{\"text\": {}, \"met\": {}, \"hard\": {}}}", json_string(bar.text), bar.met, bar.hard));
    return fmt::format(
        "{{\n \"model\": {}, \"home\": {}, \"seeds\": {}, \"seconds\": {},\n \"cells\": [\n{}\n ],\n \"bars\": "
        "[\n{}\n ]\n}}\n",
        json_string(report.model), json_string(report.home), report.seeds, report.seconds, fmt::join(cells, ",\n"),
        fmt::join(bars, ",\n"));
}

} // namespace hv::nv
