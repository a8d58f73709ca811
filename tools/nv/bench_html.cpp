// The reference table as one page that needs nothing else (a plot a row, then the tables of the text), and the plots as
// one picture.
#include "tools/nv/bench_report.hpp"
#include "tools/nv/html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

constexpr double width = 560, height = 260, left = 48, bottom = 30, top = 12;
constexpr std::array<std::string_view, 6> colours{"#9aa5b1", "#d98c3f", "#2f7fb8", "#5aa469", "#8b6bb1", "#c05b6e"};

// Bars of one row: figures as percent of none at the same load, the spread as a line, what was published as a mark.
class Plot {
public:
    Plot(BenchReport const& report, BenchRow row) : report_{report}, row_{row} {}

    [[nodiscard]] std::string run()
    {
        find_range();
        svg_ = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", width, height,
                           escaped(title_of(row_)));
        for (double percent = low_; percent <= high_ + 0.1; percent += 10)
            line(left, y_of(percent), width, y_of(percent), percent == 100 ? "#555" : "#ddd",
                 fmt::format("{:.0f} %", percent));
        for (std::size_t load = 0; load < bench_loads.size(); ++load)
            group(load);
        return svg_ + "</svg>\n";
    }

private:
    [[nodiscard]] double y_of(double percent) const
    {
        return top + (height - top - bottom) * (high_ - percent) / (high_ - low_);
    }
    // Percent of none: ours and what was published.
    [[nodiscard]] std::optional<double> ours(CellResult const& cell) const
    {
        CellResult const* const none = report_.find(row_, cell.cell.vms, BenchConfig::none);
        return none == nullptr ? std::nullopt : std::optional{100 * cell.value().mean / none->value().mean};
    }
    [[nodiscard]] std::optional<double> theirs(CellResult const& cell) const
    {
        auto const value = published(row_, cell.cell.vms, cell.cell.column.config);
        auto const none = published(row_, cell.cell.vms, BenchConfig::none);
        if (!value || !none || cell.cell.column.policy != report_.columns.front().policy)
            return std::nullopt;
        return 100 * *value / *none;
    }
    void find_range()
    {
        for (CellResult const& cell : report_.cells) {
            if (cell.cell.row != row_)
                continue;
            for (auto const& value : {ours(cell), theirs(cell)})
                while (value && (*value < low_ + 2 || *value > high_ - 2))
                    *value < low_ + 2 ? low_ -= 10 : high_ += 10;
        }
    }
    void line(double x1, double y1, double x2, double y2, std::string_view colour, std::string const& label)
    {
        fmt::format_to(
            std::back_inserter(svg_),
            "<line x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\" stroke=\"{}\"/><text x=\"{}\" y=\"{:.1f}\" "
            "text-anchor=\"end\">{}</text>\n",
            x1, y1, x2, y2, colour, left - 4, y1 + 4, label);
    }
    void group(std::size_t load)
    {
        double const span{(width - left) / bench_loads.size()};
        double const from{left + span * static_cast<double>(load) + 12};
        double const step{(span - 24) / static_cast<double>(report_.columns.size())};
        for (std::size_t i = 0; i < report_.columns.size(); ++i)
            if (CellResult const* const cell = report_.find(row_, bench_loads[load], report_.columns[i]))
                bar(*cell, from + step * static_cast<double>(i), step - 4, colours[i % colours.size()]);
        fmt::format_to(std::back_inserter(svg_), "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{} VMs</text>\n",
                       from + span / 2 - 12, height - 8, bench_loads[load]);
    }
    void bar(CellResult const& cell, double x, double wide, std::string_view colour)
    {
        auto const value = ours(cell);
        if (!value)
            return;
        Spread const spread{cell.value()};
        double const sd{spread.mean == 0 ? 0 : *value * spread.sd / spread.mean};
        auto out = std::back_inserter(svg_);
        fmt::format_to(
            out,
            "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"><title>{}, {} VMs: "
            "{:.2f} % of none</title></rect>\n",
            x, y_of(*value), wide, y_of(low_) - y_of(*value), colour, escaped(cell.cell.column.label), cell.cell.vms,
            *value);
        fmt::format_to(out, "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#222\"/>\n",
                       x + wide / 2, y_of(*value - sd), y_of(*value + sd));
        if (auto const published_value = theirs(cell))
            fmt::format_to(out, "<path d=\"M{:.1f} {:.1f} l6 -6 6 6 -6 6 z\" fill=\"#fff\" stroke=\"#222\"/>\n",
                           x + wide / 2 - 6, y_of(*published_value));
    }

    BenchReport const& report_;
    BenchRow row_;
    double low_{90}, high_{110};
    std::string svg_;
};

std::string caption(BenchRow row)
{
    return fmt::format("{}{}", escaped(title_of(row)), lower_is_better(row) ? " (lower is better)" : "");
}

std::vector<BenchRow> rows_of(BenchReport const& report)
{
    std::vector<BenchRow> rows;
    for (BenchRow const row : bench_rows)
        if (std::ranges::any_of(report.cells, [&](CellResult const& cell) { return cell.cell.row == row; }))
            rows.push_back(row);
    return rows;
}

constexpr std::string_view marks = "&#9671; published (2013). Bars and marks: percent of no affinity at the same load.";

std::string legend(BenchReport const& report)
{
    std::string text{"<p>"};
    for (std::size_t i = 0; i < report.columns.size(); ++i)
        text += fmt::format("<span class=\"key\" style=\"background:{}\"></span>{} ", colours[i % colours.size()],
                            escaped(report.columns[i].label));
    return text + std::string{marks} + "</p>\n";
}

} // namespace

std::string bench_html(BenchReport const& report)
{
    std::string page{R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>numavisor: the reference table</title><style>
body { font: 15px/1.5 sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1em; }
svg { width: 100%; } svg text { font: 11px sans-serif; fill: #444; }
pre { overflow-x: auto; font-size: 12px; } .key { display: inline-block; width: 1em; height: 1em; margin: 0 .3em 0 1em; }
</style></head><body><h1>The reference table</h1>
)"};
    page += fmt::format("<p>Memory cost model <b>{}</b>, in the {}, {} seeds of {} s a cell.</p>\n",
                        escaped(report.model), escaped(report.home), report.seeds, report.seconds);
    page += legend(report) + "<div class=\"plots\">\n";
    for (BenchRow const row : rows_of(report))
        page +=
            fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", caption(row), Plot{report, row}.run());
    return page + "</div>\n<pre>" + escaped(bench_text(report)) + "</pre>\n</body></html>\n";
}

std::string bench_svg(BenchReport const& report)
{
    constexpr double gap = 24, header = 40;
    std::vector<BenchRow> const rows = rows_of(report);
    double const all = static_cast<double>((rows.size() + 1) / 2) * (height + gap) + header;
    std::string picture =
        fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n"
                    "<style>text {{ font: 11px sans-serif; fill: #444; }} .title {{ font-size: 13px; }}</style>\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
                    2 * width + gap, all);
    double x = left;
    for (std::size_t i = 0; i < report.columns.size(); ++i, x += 110)
        picture += fmt::format("<rect x=\"{0}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{1}\"/>"
                               "<text x=\"{2}\" y=\"20\">{3}</text>\n",
                               x, colours[i % colours.size()], x + 17, escaped(report.columns[i].label));
    picture += fmt::format("<text x=\"{}\" y=\"20\">{}</text>\n", x, marks);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        double const at_x = i % 2 == 0 ? 0 : width + gap;
        double const at_y = header + static_cast<double>(i / 2) * (height + gap);
        picture += fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n"
                               "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">{}</svg>\n",
                               at_x + left, at_y + 8, caption(rows[i]), at_x, at_y + 10, width, height,
                               Plot{report, rows[i]}.run());
    }
    return picture + "</svg>\n";
}

} // namespace hv::nv
