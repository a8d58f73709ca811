#include "tools/nv/ab_report.hpp"

#include "tools/nv/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace hv::nv {

namespace {

std::string shown_figure(double value, AbFigure const& figure) { return fmt::format("{:.{}f}", value, figure.digits); }

std::string shown_difference(AbRow const& row)
{
    std::string const absolute{fmt::format("{:+.{}f}", row.test.difference, row.what().digits)};
    return row.test.base == 0 ? absolute : fmt::format("{} ({:+.1f} %)", absolute, row.percent());
}

std::string unit_of(AbFigure const& figure)
{
    return figure.unit.empty() ? std::string{figure.title} : fmt::format("{} ({})", figure.title, figure.unit);
}

void append_rows(std::string& text, AbReport const& report, bool all)
{
    std::size_t widest{8};
    std::vector<AbRow const*> rows;
    for (AbRow const& row : report.rows)
        if (all || row.verdict != AbVerdict::same) {
            rows.push_back(&row);
            widest = std::max(widest, row.name.size());
        }
    if (rows.empty())
        return;
    fmt::format_to(std::back_inserter(text), "{:<6} {:<{}}  {:<32} {:>12} {:>12}  {:>22}  {:>5}\n", "", "scenario",
                   widest, "figure", "base", "change", "difference", "seeds");
    for (AbRow const* const row : rows)
        fmt::format_to(std::back_inserter(text), "{:<6} {:<{}}  {:<32} {:>12} {:>12}  {:>22}  {:>5}\n",
                       name_of(row->verdict), row->name, widest, unit_of(row->what()),
                       shown_figure(row->test.base, row->what()), shown_figure(row->test.change, row->what()),
                       shown_difference(*row), row->base.size());
    text += '\n';
}

std::string number_list(std::vector<double> const& values) { return fmt::format("[{:.10g}]", fmt::join(values, ", ")); }

} // namespace

double AbRow::percent() const { return test.base == 0 ? 0 : 100 * test.difference / std::abs(test.base); }

std::size_t AbReport::count(AbVerdict verdict) const
{
    return static_cast<std::size_t>(std::ranges::count(rows, verdict, &AbRow::verdict));
}

std::size_t AbReport::by_chance() const
{
    return static_cast<std::size_t>(
        std::ranges::count_if(rows, [](AbRow const& r) { return r.verdict == AbVerdict::same && r.severity >= 1; }));
}

void measure(AbRow& row)
{
    row.test = paired_test(row.base, row.change);
    AbFigure const& figure{row.what()};
    row.severity = std::abs(row.test.difference) / std::max(figure.absolute, figure.relative * std::abs(row.test.base));
}

void judge_rows(std::vector<AbRow>& rows)
{
    for (bool const family : {false, true}) {
        std::vector<AbRow*> kind;
        std::vector<double> chances;
        for (AbRow& row : rows)
            if (row.is_family == family) {
                kind.push_back(&row);
                chances.push_back(row.test.p);
            }
        std::vector<bool> const rejected{holm(chances, AbReport::alpha)};
        for (std::size_t i = 0; i < kind.size(); ++i)
            if (rejected[i] && kind[i]->test.one_sign && kind[i]->severity >= 1)
                kind[i]->verdict = (kind[i]->test.difference > 0) == kind[i]->what().higher_is_better
                                       ? AbVerdict::better
                                       : AbVerdict::worse;
    }
    // Families before scenarios among rows that are the same: they say the same of more.
    std::ranges::stable_sort(rows, [](AbRow const& a, AbRow const& b) {
        if (a.verdict != b.verdict)
            return a.verdict < b.verdict;
        if (a.verdict != AbVerdict::same && a.severity != b.severity)
            return a.severity > b.severity;
        return a.is_family && !b.is_family;
    });
}

std::string_view name_of(AbVerdict verdict)
{
    switch (verdict) {
    case AbVerdict::worse:
        return "worse";
    case AbVerdict::better:
        return "better";
    case AbVerdict::same:
        return "same";
    }
    return "";
}

std::string ab_text(AbReport const& report, bool all)
{
    std::string text{fmt::format("base:   {}\nchange: {}\npolicy: {}\nsuite:  {}\n\n", report.base, report.change,
                                 report.policy, report.suite)};
    append_rows(text, report, all);
    fmt::format_to(std::back_inserter(text), "{} worse, {} better, {} the same", report.count(AbVerdict::worse),
                   report.count(AbVerdict::better), report.count(AbVerdict::same));
    if (report.by_chance() != 0)
        fmt::format_to(std::back_inserter(text), "; {} of these differ, but not beyond chance", report.by_chance());
    text += '\n';
    if (!report.look_title.empty())
        fmt::format_to(std::back_inserter(text), "\nwhere to look: {}\n    {}\n\n{}", report.look_title,
                       report.look_command, report.look);
    return text;
}

std::string ab_json(AbReport const& report)
{
    std::string text{fmt::format("{{\"base\": {}, \"change\": {}, \"policy\": {}, \"suite\": {},\n \"worse\": {}, "
                                 "\"better\": {}, \"same\": {}, \"by_chance\": {},\n \"look\": {}, \"rows\": [",
                                 json_string(report.base), json_string(report.change), json_string(report.policy),
                                 json_string(report.suite), report.count(AbVerdict::worse),
                                 report.count(AbVerdict::better), report.count(AbVerdict::same), report.by_chance(),
                                 json_string(report.look_command))};
    for (AbRow const& row : report.rows)
        fmt::format_to(std::back_inserter(text),
                       "{}\n  {{\"scenario\": {}, \"family\": {}, \"figure\": {}, \"unit\": {}, \"base\": {:.10g}, "
                       "\"change\": {:.10g}, \"difference\": {:.10g}, \"p\": {:.4g}, \"severity\": {:.4g}, "
                       "\"verdict\": \"{}\", \"base_by_seed\": {}, \"change_by_seed\": {}}}",
                       &row == report.rows.data() ? "" : ",", json_string(row.name), row.is_family,
                       json_string(row.what().key), json_string(row.what().unit), row.test.base, row.test.change,
                       row.test.difference, row.test.p, row.severity, name_of(row.verdict), number_list(row.base),
                       number_list(row.change));
    return text + "\n]}\n";
}

} // namespace hv::nv
