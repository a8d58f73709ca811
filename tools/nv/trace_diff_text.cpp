// The difference of two traces as text and as JSON.
#include "tools/nv/json.hpp"
#include "tools/nv/trace_diff_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace hv::nv {

namespace {

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

template <typename Ids>
std::string hex_list(Ids const& ids)
{
    std::vector<std::string> names;
    for (std::uint32_t const id : ids)
        names.push_back(fmt::format("{:#010x}", id));
    return fmt::format("{}", fmt::join(names, ", "));
}

class DiffText {
public:
    explicit DiffText(DiffReport const& report) : report_{report} {}

    [[nodiscard]] std::string run()
    {
        header("A", report_.file_a, report_.a);
        header("B", report_.file_b, report_.b);
        left_out();
        put("{}\n", diff_verdict(report_));
        if (Shift const& shift = report_.comparison.shift; shift.count != 0)
            put("times: {} records are the same but come at another time; the first on pCPU {} at {:.9f} s of A, {:+} "
                "ns "
                "in B; at most {:+} ns\n",
                shift.count, shift.pcpu, seconds(shift.ns), shift.first_by, shift.largest);
        if (report_.first)
            place("first divergence", *report_.first);
        if (report_.decision)
            place("first different decision", *report_.decision);
        figures();
        vcpus();
        return std::move(text_);
    }

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> format, Values&&... values)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    void header(std::string_view side, std::string_view file, TraceFigures const& figures)
    {
        put("{}: {}: {:.3f} s, {} records of {} pCPUs\n", side, file,
            static_cast<double>(figures.duration()) / static_cast<double>(figures.hz), figures.records,
            figures.pcpus.size());
    }

    void left_out()
    {
        Common const& common = report_.common;
        if (!common.only_a.empty())
            put("not compared: events of class {}, which B does not have\n", hex_list(common.only_a));
        if (!common.only_b.empty())
            put("not compared: events of class {}, which A does not have\n", hex_list(common.only_b));
        if (!common.pcpus_only_a.empty())
            put("pCPU {} is not in B\n", fmt::join(common.pcpus_only_a, ", "));
        if (!common.pcpus_only_b.empty())
            put("pCPU {} is not in A\n", fmt::join(common.pcpus_only_b, ", "));
    }

    void lines(std::string_view side, std::vector<std::string> const& lines)
    {
        for (std::string const& line : lines)
            put("  {:<2} {}\n", side, line);
    }

    void place(std::string_view title, DiffPlace const& place)
    {
        Divergence const& at = place.divergence;
        put("\n{}: {:.9f} s, pCPU {}, its record {} of those compared\n", title, seconds(at.ns), at.pcpu, at.index);
        put("  A: {}\n  B: {}\n", place.a.decision, place.b.decision);
        bool const is_shared = place.a.state == place.b.state;
        put(" before it{}\n", is_shared ? ", in both" : "");
        lines(is_shared ? "" : "A", place.a.state);
        if (!is_shared)
            lines("B", place.b.state);
        put(" records before it, of A\n");
        lines("", place.a.before);
        put(" from there on\n");
        lines("A", place.a.after);
        lines("B", place.b.after);
    }

    void figures()
    {
        put("\n{:<34}{:>14}{:>14}{:>10}  {}\n", "guests", "A", "B", "change", "effect");
        for (FigureDiff const& row : report_.figures) {
            put("{:<34}{:>14.2f}{:>14.2f}", row.name + ", " + row.unit, row.a, row.b);
            put("{:>10}", row.a == 0 ? "-" : fmt::format("{:+.1f} %", row.change_percent()));
            if (row.effect)
                put("  {} = {:+.2f}, {}", row.effect_name, *row.effect, row.magnitude);
            put("\n");
        }
    }

    void vcpus()
    {
        if (report_.vcpus.empty())
            return;
        put("\n{:<12}{:>14}{:>14}{:>14}{:>14}\n", "vCPU", "running% A", "B", "runnable% A", "B");
        for (VcpuDiff const& row : report_.vcpus)
            put("{:<12}{:>14.2f}{:>14.2f}{:>14.2f}{:>14.2f}\n", fmt::format("d{}v{}", row.domain, row.vcpu), row.run_a,
                row.run_b, row.wait_a, row.wait_b);
    }

    DiffReport const& report_;
    std::string text_;
};

std::string list_json(std::vector<std::string> const& lines)
{
    std::vector<std::string> quoted;
    for (std::string const& line : lines)
        quoted.push_back(json_string(line));
    return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string view_json(DiffView const& view)
{
    return fmt::format("{{\"decision\": {}, \"before\": {}, \"records_before\": {}, \"records_from_there\": {}}}",
                       json_string(view.decision), list_json(view.state), list_json(view.before),
                       list_json(view.after));
}

std::string place_json(std::optional<DiffPlace> const& place)
{
    if (!place)
        return "null";
    Divergence const& at = place->divergence;
    return fmt::format("{{\"ns\": {}, \"pcpu\": {}, \"index\": {}, \"offset_a\": {}, \"offset_b\": {},\n"
                       "   \"a\": {},\n   \"b\": {}}}",
                       at.ns, at.pcpu, at.index, at.a ? fmt::format("{}", at.a->offset) : "null",
                       at.b ? fmt::format("{}", at.b->offset) : "null", view_json(place->a), view_json(place->b));
}

} // namespace

std::string diff_verdict(DiffReport const& report)
{
    Comparison const& found = report.comparison;
    if (!found.records)
        return fmt::format("all {} records that were compared are the same{}", found.same,
                           found.shift.count == 0 ? "" : ", but not their times");
    return fmt::format("{} records are the same before they part at {:.9f} s on pCPU {}", found.same,
                       seconds(found.records->ns), found.records->pcpu);
}

std::string diff_text(DiffReport const& report) { return DiffText{report}.run(); }

std::string diff_json(DiffReport const& report)
{
    std::vector<std::string> rows;
    for (FigureDiff const& row : report.figures)
        rows.push_back(fmt::format("  {{\"name\": {}, \"unit\": {}, \"a\": {}, \"b\": {}, \"effect\": {}, "
                                   "\"effect_size\": \"{}\", \"magnitude\": \"{}\"}}",
                                   json_string(row.name), json_string(row.unit), row.a, row.b,
                                   row.effect ? fmt::format("{}", *row.effect) : "null", row.effect_name,
                                   row.magnitude));
    Shift const& shift = report.comparison.shift;
    return fmt::format("{{\n \"a\": {}, \"b\": {}, \"same\": {}, \"same_records\": {},\n"
                       " \"shift\": {{\"count\": {}, \"pcpu\": {}, \"index\": {}, \"ns\": {}, \"first_by_ns\": {}, "
                       "\"largest_ns\": {}}},\n \"first_divergence\": {},\n \"first_decision\": {},\n"
                       " \"figures\": [\n{}\n ]\n}}\n",
                       json_string(report.file_a), json_string(report.file_b), report.is_same(), report.comparison.same,
                       shift.count, shift.pcpu, shift.index, shift.ns, shift.first_by, shift.largest,
                       place_json(report.first), place_json(report.decision), fmt::join(rows, ",\n"));
}

} // namespace hv::nv
