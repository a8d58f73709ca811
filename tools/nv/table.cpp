#include "tools/nv/table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }
double micros(std::int64_t ns) { return static_cast<double>(ns) / 1e3; }

std::string row_text(TableRow const& row, std::size_t width, std::int64_t reference_work)
{
    GroupMetrics const& guests = row.metrics.guests;
    Sums const& sums = guests.sums;
    std::string const home =
        sums.placeable == 0
            ? "-"
            : fmt::format("{:.1f} %", 100 * static_cast<double>(sums.home) / static_cast<double>(sums.placeable));
    std::string const relative =
        reference_work == 0
            ? "-"
            : fmt::format("{:.1f} %", 100 * static_cast<double>(sums.run()) / static_cast<double>(reference_work));
    return fmt::format("{:<{}}{} {:>9} {:>9.3f} {:>9} {:>9.1f} {:>9.1f} {:>9} {:>9}\n", row.label, width,
                       row.lost_records != 0 ? '*' : ' ', home, seconds(sums.run()), relative, micros(guests.wake.p50),
                       micros(guests.wake.p99), sums.migrations - sums.cross_node, sums.cross_node);
}

} // namespace

std::string comparison_table(std::span<TableRow const> rows)
{
    std::size_t width{8};
    for (TableRow const& row : rows)
        width = std::max(width, row.label.size());
    std::int64_t const reference = rows.empty() ? 0 : rows.front().metrics.guests.sums.run();
    std::string text = fmt::format("{0:<{1}}  {2:>9} {3:>19} {4:>19} {5:>19}\n", "", width, "home", "work done",
                                   "wake-up latency", "migrations");
    text += fmt::format("{0:<{1}}  {2:>9} {3:>9} {4:>9} {5:>9} {6:>9} {7:>9} {8:>9}\n", "", width, "share", "pCPU-s",
                        "of first", "p50 us", "p99 us", "in node", "across");
    for (TableRow const& row : rows)
        text += row_text(row, width, reference);
    for (TableRow const& row : rows)
        if (row.lost_records != 0)
            text +=
                fmt::format("* {}: the trace lost {} records, so these figures are incomplete; raise trace.ring_kib\n",
                            row.label, row.lost_records);
    return text;
}

} // namespace hv::nv
