// What sweeps gave as one page that needs nothing else: for each figure a plot for each combination of the axes that
// are neither to the right nor a line's own, then the table of the text.
#include "tools/nv/html.hpp"
#include "tools/nv/merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>

namespace hv::nv {

namespace {

// Of one plot.
struct Size {
    static constexpr double width = 420, height = 220, left = 64, bottom = 34, top = 12, right = 12;
};
constexpr std::array<std::string_view, 8> curve_colours{"#2f7fb8", "#d98c3f", "#5aa469", "#8b6bb1",
                                                        "#c05b6e", "#9aa5b1", "#3c8c8c", "#a6813c"};
constexpr std::size_t most_plots{600};

std::optional<double> axis_number(std::string const& text)
{
    char* end{nullptr};
    double const value{std::strtod(text.c_str(), &end)};
    return text.empty() || *end != '\0' || !std::isfinite(value) ? std::nullopt : std::optional{value};
}

bool is_numeric(MergeAxis const& axis)
{
    return axis.values.size() > 1 &&
           std::ranges::all_of(axis.values, [](auto const& v) { return axis_number(v).has_value(); });
}

// Which axis goes to the right, and which one is a line.
struct Roles {
    std::size_t x{0}, line{0};

    Roles(Merged const& merged, std::string const& wanted)
    {
        auto const& axes = merged.axes;
        auto const named = [&](std::string_view name) {
            return static_cast<std::size_t>(std::ranges::find(axes, name, &MergeAxis::name) - axes.begin());
        };
        if (!wanted.empty()) {
            x = named(wanted);
            if (x == axes.size())
                refuse(fmt::format("--x {}: the sweep has no such axis", wanted));
        } else {
            x = static_cast<std::size_t>(std::ranges::find_if(axes, is_numeric) - axes.begin());
            for (std::size_t i = 0; x >= axes.size() && i < axes.size(); ++i)
                if (axes[i].name != "policy" && axes[i].values.size() > 1)
                    x = i;
            x = x < axes.size() ? x : 0;
        }
        line = named("policy");
        for (std::size_t i = 0; (line == axes.size() || line == x) && i < axes.size(); ++i)
            if (i != x && axes[i].values.size() > 1)
                line = i;
        line = line < axes.size() ? line : x;
    }
};

struct Curve {
    std::string label;
    std::vector<std::pair<std::size_t, Spread>> points; // value of the x axis, figure
};

class MergePlot : Size {
public:
    MergePlot(MergeAxis const& x, std::vector<Curve> const& curves, int digits)
        : x_{x}, curves_{curves}, digits_{digits}, numeric_{is_numeric(x)}
    {
        for (Curve const& curve : curves)
            for (auto const& [at, spread] : curve.points) {
                low_ = std::min(low_, spread.mean - spread.sd);
                high_ = std::max(high_, spread.mean + spread.sd);
            }
        double const room{high_ > low_ ? (high_ - low_) * 0.05 : std::max(1.0, std::abs(high_)) * 0.1};
        low_ -= room;
        high_ += room;
    }

    [[nodiscard]] std::string run(std::string const& label)
    {
        svg_ =
            fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", width, height, escaped(label));
        for (int i = 0; i <= 4; ++i) {
            double const value{low_ + (high_ - low_) * i / 4};
            put("<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/><text x=\"{3}\" "
                "y=\"{4:.1f}\" "
                "text-anchor=\"end\">{5:.{6}f}</text>\n",
                left, width - right, y_of(value), left - 5, y_of(value) + 4, value, digits_);
        }
        for (std::size_t i = 0; i < x_.values.size(); ++i)
            put("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x_of(i), height - bottom + 15,
                escaped(x_.values[i]));
        put("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (left + width - right) / 2, height - 4,
            escaped(x_.name));
        for (std::size_t i = 0; i < curves_.size(); ++i)
            draw(curves_[i], curve_colours[i % curve_colours.size()]);
        return svg_ + "</svg>\n";
    }

private:
    template <typename... Parts>
    void put(fmt::format_string<Parts...> pattern, Parts&&... parts)
    {
        fmt::format_to(std::back_inserter(svg_), pattern, std::forward<Parts>(parts)...);
    }

    [[nodiscard]] double x_of(std::size_t index) const
    {
        double const span{width - left - right - 40};
        double part{x_.values.size() < 2 ? 0.5
                                         : static_cast<double>(index) / static_cast<double>(x_.values.size() - 1)};
        if (numeric_) {
            double low{std::numeric_limits<double>::max()}, high{std::numeric_limits<double>::lowest()};
            for (std::string const& value : x_.values) {
                low = std::min(low, *axis_number(value));
                high = std::max(high, *axis_number(value));
            }
            part = (*axis_number(x_.values[index]) - low) / (high - low);
        }
        return left + 20 + span * part;
    }
    [[nodiscard]] double y_of(double value) const
    {
        return top + (height - top - bottom) * (high_ - value) / (high_ - low_);
    }

    void draw(Curve curve, std::string_view colour)
    {
        std::ranges::sort(curve.points, {}, [&](auto const& point) { return x_of(point.first); });
        std::string path;
        for (auto const& [at, spread] : curve.points) {
            fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x_of(at),
                           y_of(spread.mean));
            put("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\" opacity=\".6\"/>\n",
                x_of(at), y_of(spread.mean - spread.sd), y_of(spread.mean + spread.sd), colour);
            put("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"><title>{}, {} {}: {:.{}f} +- "
                "{:.{}f}</title></circle>\n",
                x_of(at), y_of(spread.mean), colour, escaped(curve.label), escaped(x_.name), escaped(x_.values[at]),
                spread.mean, digits_, spread.sd, digits_);
        }
        put("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", path, colour);
    }

    MergeAxis const& x_;
    std::vector<Curve> const& curves_;
    int digits_;
    bool numeric_;
    double low_{std::numeric_limits<double>::max()}, high_{std::numeric_limits<double>::lowest()};
    std::string svg_;
};

class MergePage {
public:
    MergePage(Merged const& merged, std::string const& axis) : merged_{merged}, roles_{merged, axis}
    {
        for (MergeRow const& row : merged.rows)
            rows_.push_back(panel_number(panel_of(row)));
    }

    [[nodiscard]] std::string run()
    {
        std::string page{fmt::format(R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{0}</title><style>
body {{ font: 15px/1.5 sans-serif; max-width: 1300px; margin: 2em auto; padding: 0 1em; color: #222; }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 1em; }}
figure {{ margin: 0; }} figcaption {{ font-size: 13px; }} svg {{ width: 100%; }} svg text {{ font: 11px sans-serif; fill: #444; }}
pre {{ overflow-x: auto; font-size: 12px; }} .key {{ display: inline-block; width: 1em; height: 1em; margin: 0 .3em 0 1em; }}
</style></head><body><h1>{0}</h1>
)",
                                     escaped(merged_.name))};
        page += legend();
        std::size_t plots{0};
        for (std::size_t figure = 0; figure < merged_.figures.size(); ++figure)
            page += section(figure, plots);
        if (plots > most_plots)
            page += fmt::format("<p>{} plots are left out; ask for fewer with --figure or --only.</p>\n",
                                plots - most_plots);
        return page + "<h2>Table</h2>\n<pre>" + escaped(merge_text(merged_)) + "</pre>\n</body></html>\n";
    }

private:
    // The point without the two axes that a plot shows.
    [[nodiscard]] std::string panel_of(MergeRow const& row) const
    {
        std::string text;
        for (std::size_t i = 0; i < row.values.size(); ++i)
            if (i != roles_.x && i != roles_.line && merged_.axes[i].values.size() > 1)
                text += fmt::format("{}{} {}", text.empty() ? "" : ", ", merged_.axes[i].name, row.values[i]);
        return text;
    }

    std::size_t panel_number(std::string const& panel)
    {
        auto const [there, is_new] = numbers_.try_emplace(panel, panels_.size());
        if (is_new)
            panels_.push_back(panel);
        return there->second;
    }

    [[nodiscard]] std::string legend() const
    {
        if (roles_.line == roles_.x)
            return "";
        MergeAxis const& lines{merged_.axes[roles_.line]};
        std::string text{fmt::format("<p>{}:", escaped(lines.name))};
        for (std::size_t i = 0; i < lines.values.size(); ++i)
            text += fmt::format("<span class=\"key\" style=\"background:{}\"></span>{} ",
                                curve_colours[i % curve_colours.size()], escaped(lines.values[i]));
        return text + "</p>\n";
    }

    [[nodiscard]] std::vector<Curve> curves_of(std::size_t panel, std::size_t figure) const
    {
        std::vector<Curve> curves;
        for (std::string const& value : merged_.axes[roles_.line].values)
            curves.push_back({roles_.line == roles_.x ? std::string{} : value, {}});
        auto const& xs = merged_.axes[roles_.x].values;
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            MergeRow const& row{merged_.rows[i]};
            std::optional<Spread> const spread{rows_[i] == panel ? row.spread(figure) : std::nullopt};
            if (!spread)
                continue;
            auto const& lines = merged_.axes[roles_.line].values;
            auto const line = std::ranges::find(lines, row.values[roles_.line]) - lines.begin();
            curves[roles_.line == roles_.x ? 0 : static_cast<std::size_t>(line)].points.emplace_back(
                std::ranges::find(xs, row.values[roles_.x]) - xs.begin(), *spread);
        }
        return curves;
    }

    [[nodiscard]] std::string section(std::size_t index, std::size_t& plots) const
    {
        MergeFigure const& figure{merged_.figures[index]};
        std::string text;
        for (std::size_t panel = 0; panel < panels_.size(); ++panel) {
            std::vector<Curve> const curves{curves_of(panel, index)};
            if (std::ranges::all_of(curves, [](Curve const& curve) { return curve.points.empty(); }))
                continue;
            if (++plots <= most_plots)
                text += fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", escaped(panels_[panel]),
                                    MergePlot{merged_.axes[roles_.x], curves, figure.digits}.run(panels_[panel]));
        }
        if (text.empty())
            return "";
        return fmt::format("<h2>{}{}</h2>\n<div class=\"plots\">\n{}</div>\n", escaped(figure.title),
                           figure.unit.empty() ? "" : ", " + escaped(figure.unit), text);
    }

    Merged const& merged_;
    Roles roles_;
    std::vector<std::string> panels_;
    std::map<std::string, std::size_t> numbers_; // of panels_
    std::vector<std::size_t> rows_;              // the panel of each row
};

} // namespace

std::string merge_html(Merged const& merged, std::string const& axis) { return MergePage{merged, axis}.run(); }

} // namespace hv::nv
