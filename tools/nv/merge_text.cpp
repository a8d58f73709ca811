// What sweeps gave, as text, JSON and CSV.
#include "tools/nv/json.hpp"
#include "tools/nv/merge.hpp"
#include "tools/nv/sweep_results.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

// Not what is the same in every row.
std::vector<std::size_t> varied_axes(Merged const& merged)
{
    std::vector<std::size_t> varied;
    for (std::size_t i = 0; i < merged.axes.size(); ++i)
        if (merged.axes[i].values.size() > 1)
            varied.push_back(i);
    return varied;
}

std::vector<std::size_t> present_figures(Merged const& merged)
{
    std::vector<std::size_t> present;
    for (std::size_t i = 0; i < merged.figures.size(); ++i)
        if (std::ranges::any_of(merged.rows, [&](MergeRow const& row) { return row.spread(i).has_value(); }))
            present.push_back(i);
    return present;
}

std::string spread_text(std::optional<Spread> const& spread, int digits, bool has_seeds)
{
    if (!spread)
        return "-";
    return has_seeds ? fmt::format("{:.{}f} +- {:.{}f}", spread->mean, digits, spread->sd, digits)
                     : fmt::format("{:.{}f}", spread->mean, digits);
}

// Columns as wide as they need to be, the first `left` of them flush left.
std::string aligned(std::vector<std::vector<std::string>> const& lines, std::size_t left)
{
    std::vector<std::size_t> widths(lines.front().size(), 0);
    for (std::vector<std::string> const& line : lines)
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], line[i].size());
    std::string text;
    for (std::vector<std::string> const& line : lines) {
        std::string row;
        for (std::size_t i = 0; i < line.size(); ++i) {
            row += i == 0 ? "" : "  ";
            row += i < left ? fmt::format("{:<{}}", line[i], widths[i]) : fmt::format("{:>{}}", line[i], widths[i]);
        }
        text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
}

std::string constants_text(Merged const& merged)
{
    std::vector<std::string> texts;
    for (MergeAxis const& axis : merged.axes)
        if (axis.values.size() == 1)
            texts.push_back(fmt::format("{} {}", axis.name, axis.values.front()));
    return fmt::format("{}", fmt::join(texts, ", "));
}

std::size_t most_seeds(Merged const& merged)
{
    std::size_t most{0};
    for (MergeRow const& row : merged.rows)
        most = std::max(most, row.seeds.size());
    return most;
}

// A field of CSV, quoted if it has to be.
std::string csv_field(std::string const& text)
{
    if (text.find_first_of(",\"\n") == std::string::npos)
        return text;
    std::string field{"\""};
    for (char const c : text)
        field += c == '"' ? std::string{"\"\""} : std::string{c};
    return field + "\"";
}

std::string value_list(std::vector<std::optional<double>> const& values)
{
    std::vector<std::string> texts;
    for (std::optional<double> const& value : values)
        texts.push_back(value ? fmt::format("{}", *value) : "null");
    return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string row_json(Merged const& merged, MergeRow const& row)
{
    std::vector<std::string> point, figures;
    for (std::size_t i = 0; i < merged.axes.size(); ++i)
        point.push_back(fmt::format("{}: {}", json_string(merged.axes[i].name), json_string(row.values[i])));
    for (std::size_t i = 0; i < merged.figures.size(); ++i)
        if (std::optional<Spread> const spread{row.spread(i)})
            figures.push_back(fmt::format("{}: {{\"mean\": {}, \"sd\": {}, \"by_seed\": {}}}",
                                          json_string(merged.figures[i].key), spread->mean, spread->sd,
                                          value_list(row.by_seed[i])));
    return fmt::format("  {{\"point\": {{{}}}, \"seeds\": {},\n   \"figures\": {{{}}}}}", fmt::join(point, ", "),
                       json_texts(row.seeds), fmt::join(figures, ", "));
}

} // namespace

std::string merge_text(Merged const& merged)
{
    std::size_t const seeds{most_seeds(merged)};
    std::vector<std::size_t> const axes{varied_axes(merged)}, figures{present_figures(merged)};
    std::size_t const lacking{merged.missing.size() + merged.failed.size() + merged.conflicts.size()};
    std::string text{fmt::format("{}: {} of {} runs, {} points", merged.name, merged.runs - lacking, merged.runs,
                                 merged.rows.size())};
    text += fmt::format("{}\n", seeds > 1 ? fmt::format(", mean +- deviation of {} seeds", seeds) : "");
    if (std::string const constants{constants_text(merged)}; !constants.empty())
        text += constants + "\n";
    std::vector<std::vector<std::string>> lines(2);
    for (std::size_t const axis : axes) {
        lines[0].push_back(merged.axes[axis].name);
        lines[1].emplace_back();
    }
    for (std::size_t const figure : figures) {
        lines[0].push_back(merged.figures[figure].key);
        lines[1].push_back(merged.figures[figure].unit);
    }
    for (MergeRow const& row : merged.rows) {
        std::vector<std::string>& line{lines.emplace_back()};
        for (std::size_t const axis : axes)
            line.push_back(row.values[axis]);
        for (std::size_t const figure : figures)
            line.push_back(spread_text(row.spread(figure), merged.figures[figure].digits, seeds > 1));
    }
    return text + "\n" + aligned(lines, axes.size());
}

std::string merge_csv(Merged const& merged)
{
    std::vector<std::size_t> const figures{present_figures(merged)};
    std::vector<std::string> fields;
    for (MergeAxis const& axis : merged.axes)
        fields.push_back(csv_field(axis.name));
    fields.emplace_back("seeds");
    for (std::size_t const figure : figures) {
        fields.push_back(csv_field(merged.figures[figure].key));
        fields.push_back(csv_field(merged.figures[figure].key + "_sd"));
    }
    std::string text{fmt::format("{}\n", fmt::join(fields, ","))};
    for (MergeRow const& row : merged.rows) {
        fields.clear();
        for (std::string const& value : row.values)
            fields.push_back(csv_field(value));
        fields.push_back(fmt::format("{}", row.seeds.size()));
        for (std::size_t const figure : figures) {
            std::optional<Spread> const spread{row.spread(figure)};
            fields.push_back(spread ? fmt::format("{}", spread->mean) : "");
            fields.push_back(spread ? fmt::format("{}", spread->sd) : "");
        }
        text += fmt::format("{}\n", fmt::join(fields, ","));
    }
    return text;
}

std::string merge_json(Merged const& merged)
{
    std::vector<std::string> axes, rows;
    for (MergeAxis const& axis : merged.axes)
        axes.push_back(
            fmt::format("  {{\"name\": {}, \"values\": {}}}", json_string(axis.name), json_texts(axis.values)));
    for (MergeRow const& row : merged.rows)
        rows.push_back(row_json(merged, row));
    return fmt::format("{{\n \"sweep\": {},\n \"runs\": {},\n \"axes\": [\n{}],\n \"missing\": {},\n \"failed\": {},\n "
                       "\"conflicts\": {},\n \"rows\": [\n{}]\n}}\n",
                       json_string(merged.name), merged.runs, fmt::join(axes, ",\n"), json_texts(merged.missing),
                       json_texts(merged.failed), json_texts(merged.conflicts), fmt::join(rows, ",\n"));
}

} // namespace hv::nv
