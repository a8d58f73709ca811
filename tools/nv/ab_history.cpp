#include "tools/nv/ab_history.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/html.hpp"
#include "tools/nv/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view schema{"numavisor-history/1"};

struct SavedCommit {
    std::uint64_t number{0}; // of commits up to it
    std::string commit, subject, policy;
    std::map<std::pair<std::string, std::string>, double> figures; // family, key
};

Json const& saved_member(Json const& from, std::string_view key, fs::path const& file)
{
    Json const* const found{from.find(key)};
    if (found == nullptr)
        refuse(fmt::format("{}: is no file of nv ab --save, it has no \"{}\"; remove it", file.string(), key));
    return *found;
}

SavedCommit load_saved(fs::path const& file)
{
    Json const tree{parse_json(read_text(file), file.string())};
    if (saved_member(tree, "schema", file).text != schema)
        refuse(fmt::format("{}: is no file of nv ab --save; remove it", file.string()));
    SavedCommit saved{.number = saved_member(tree, "number", file).magnitude,
                      .commit = saved_member(tree, "commit", file).text,
                      .subject = saved_member(tree, "subject", file).text,
                      .policy = saved_member(tree, "policy", file).text,
                      .figures = {}};
    for (Json const& row : saved_member(tree, "figures", file).items)
        saved.figures[{saved_member(row, "family", file).text, saved_member(row, "figure", file).text}] =
            as_double(saved_member(row, "value", file));
    return saved;
}

// One figure of one family and policy, over the commits that have it.
struct Course {
    std::string policy, family;
    AbFigure const* figure;
    std::vector<std::pair<SavedCommit const*, double>> points;

    [[nodiscard]] double low() const
    {
        return std::ranges::min(points, {}, [](auto const& point) { return point.second; }).second;
    }
    [[nodiscard]] double high() const
    {
        return std::ranges::max(points, {}, [](auto const& point) { return point.second; }).second;
    }
    // How far it ever went, in thresholds.
    [[nodiscard]] double severity() const
    {
        return (high() - low()) / std::max(figure->absolute, figure->relative * std::abs(points.front().second));
    }
};

std::vector<Course> courses_of(std::vector<SavedCommit> const& commits)
{
    std::map<std::tuple<std::string, std::string, std::string>, Course> found;
    for (SavedCommit const& commit : commits)
        for (auto const& [name, value] : commit.figures)
            for (AbFigure const& figure : ab_figures)
                if (figure.key == name.second) {
                    Course& course{found[{commit.policy, name.first, name.second}]};
                    course.policy = commit.policy;
                    course.family = name.first;
                    course.figure = &figure;
                    course.points.emplace_back(&commit, value);
                }
    std::vector<Course> courses;
    for (auto& [name, course] : found)
        courses.push_back(std::move(course));
    std::ranges::stable_sort(courses, std::greater<>{}, [](Course const& course) { return course.severity(); });
    return courses;
}

constexpr std::string_view history_head = R"(<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>nv ab: history</title><style>
body{font:15px/1.45 system-ui,sans-serif;color:#1d2733;background:#fff;max-width:1080px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}table{border-collapse:collapse;width:100%}td,th{padding:.2em .6em;text-align:left}
th{border-bottom:2px solid #9aa5b1}td{border-bottom:1px solid #e4e8ec}td.n{text-align:right;font-variant-numeric:tabular-nums}
svg{display:block}@media (prefers-color-scheme:dark){body{background:#14191f;color:#dfe6ec}td{border-color:#2a323b}}
</style></head><body>
)";

// Points from left to right by commit; hovering over one tells which.
std::string course_svg(Course const& course)
{
    constexpr double wide{420}, high{44}, margin{6};
    double const low{course.low()}, span{course.high() - low};
    double const step{(wide - 2 * margin) / static_cast<double>(std::max<std::size_t>(2, course.points.size()) - 1)};
    std::string line, dots;
    for (std::size_t i = 0; i < course.points.size(); ++i) {
        auto const& [commit, value] = course.points[i];
        double const x{margin + step * static_cast<double>(i)};
        double const y{span == 0 ? high / 2 : high - margin - (high - 2 * margin) * (value - low) / span};
        line += fmt::format("{:.1f},{:.1f} ", x, y);
        dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"#2f7fb8\"><title>{} {}: {:.{}f}</title>"
                            "</circle>",
                            x, y, escaped(commit->commit), escaped(commit->subject), value, course.figure->digits);
    }
    return fmt::format("<svg width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"course\"><polyline points=\"{}\" "
                       "fill=\"none\" stroke=\"#9aa5b1\"/>{}</svg>",
                       wide, high, line, dots);
}

std::string history_html(std::vector<SavedCommit> const& commits)
{
    std::string text{
        fmt::format("{}<h1>The scheduler's figures over {} commits</h1><p>From {} ({}) to {} ({}). What changed "
                    "most comes first; higher is better for figures marked with ↑.</p>\n"
                    "<table><tr><th>policy</th><th>family</th><th>figure</th><th>by commit</th><th>first</th>"
                    "<th>last</th></tr>\n",
                    history_head, commits.size(), escaped(commits.front().commit), escaped(commits.front().subject),
                    escaped(commits.back().commit), escaped(commits.back().subject))};
    for (Course const& course : courses_of(commits))
        fmt::format_to(std::back_inserter(text),
                       "<tr><td>{}</td><td>{}</td><td>{} {} {}</td><td>{}</td><td class=\"n\">{:.{}f}</td>"
                       "<td class=\"n\">{:.{}f}</td></tr>\n",
                       escaped(course.policy), escaped(course.family), course.figure->higher_is_better ? "↑" : "↓",
                       escaped(course.figure->title), escaped(course.figure->unit), course_svg(course),
                       course.points.front().second, course.figure->digits, course.points.back().second,
                       course.figure->digits);
    return text + "</table></body></html>\n";
}

} // namespace

void save_side(fs::path const& folder, AbSide const& side, GitTrees const& trees, AbReport const& report, bool is_base,
               unsigned seeds)
{
    if (!side.commit)
        return;
    GitTrees::Entry const entry{trees.entry(*side.commit)};
    std::string const policy{fmt::format("{}", fmt::join(side.settings, ","))};
    std::string const name{(side.policy.empty() ? "default" : side.policy) + (policy.empty() ? "" : ":" + policy)};
    std::string text{
        fmt::format("{{\"schema\": \"{}\", \"commit\": {}, \"number\": {}, \"subject\": {}, \"policy\": {},\n "
                    "\"figures\": [",
                    schema, json_string(*side.commit), entry.number, json_string(entry.subject), json_string(name))};
    char const* separator{""};
    for (AbRow const& row : report.rows) {
        if (!row.is_family)
            continue;
        std::vector<double> const& values{is_base ? row.base : row.change};
        // Always the same seeds, or commits could not be compared.
        double const sum{std::accumulate(values.begin(), values.begin() + seeds, 0.0)};
        fmt::format_to(std::back_inserter(text), "{}\n  {{\"family\": {}, \"figure\": {}, \"value\": {:.10g}}}",
                       std::exchange(separator, ","), json_string(row.name), json_string(row.what().key), sum / seeds);
    }
    fs::create_directories(folder);
    write_text(folder / fmt::format("{}-{}.json", *side.commit, name), text + "\n]}\n");
}

void write_history_page(fs::path const& folder)
{
    std::vector<SavedCommit> commits;
    for (auto const& file : fs::directory_iterator{folder})
        if (file.path().extension() == ".json")
            commits.push_back(load_saved(file.path()));
    if (commits.empty())
        return;
    std::ranges::sort(commits, {}, [](SavedCommit const& c) { return std::tuple{c.number, c.commit, c.policy}; });
    write_text(folder / "index.html", history_html(commits));
}

} // namespace hv::nv
