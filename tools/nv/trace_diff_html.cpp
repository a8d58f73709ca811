// The difference of two traces as one page, A on the left and B on the right.
#include "tools/nv/html.hpp"
#include "tools/nv/trace_diff_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace hv::nv {

namespace {

constexpr std::string_view head = R"(<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>nv trace diff</title><style>
body{font:15px/1.45 system-ui,sans-serif;color:#1d2733;background:#fff;max-width:1280px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}
table{border-collapse:collapse;width:100%}td,th{padding:.25em .6em;text-align:left;vertical-align:top}
th{border-bottom:2px solid #9aa5b1}td{border-bottom:1px solid #e4e8ec}td.n{text-align:right;font-variant-numeric:tabular-nums}
.two{display:grid;grid-template-columns:1fr 1fr;gap:1em}.two>div{min-width:0;border:1px solid #d5dbe1;border-radius:6px;padding:.6em .8em}
pre{font:12px/1.5 ui-monospace,monospace;overflow-x:auto;margin:.3em 0}b.first{background:#ffe9c7;font-weight:inherit}
.large{color:#a3312f;font-weight:600}.medium{color:#a8650c;font-weight:600}.bar{display:inline-block;height:.7em;background:#2f7fb8}
@media (max-width:800px){.two{grid-template-columns:1fr}}
@media (prefers-color-scheme:dark){body{background:#14191f;color:#dfe6ec}td{border-color:#2a323b}.two>div{border-color:#394550}
b.first{background:#5a431b}.large{color:#f08b88}.medium{color:#e9b266}}
</style></head><body>
)";

class DiffPage {
public:
    explicit DiffPage(DiffReport const& report) : report_{report} {}

    [[nodiscard]] std::string run()
    {
        put("{}<h1>{} <small>against</small> {}</h1><p>{}</p>\n", head, escaped(report_.file_a),
            escaped(report_.file_b), escaped(diff_verdict(report_)));
        if (Shift const& shift = report_.comparison.shift; shift.count != 0)
            put("<p>{} records are the same but come at another time, at most {:+} ns.</p>\n", shift.count,
                shift.largest);
        if (report_.first)
            place("First divergence", *report_.first);
        if (report_.decision)
            place("First different decision", *report_.decision);
        figures();
        vcpus();
        return std::move(text_) + "</body></html>\n";
    }

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> format, Values&&... values)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    void lines(std::vector<std::string> const& lines, bool marks_first = false)
    {
        put("<pre>");
        for (std::size_t i = 0; i < lines.size(); ++i)
            put("{}{}{}\n", marks_first && i == 0 ? "<b class=\"first\">" : "", escaped(lines[i]),
                marks_first && i == 0 ? "</b>" : "");
        put("</pre>");
    }

    void side(std::string_view name, std::string_view file, DiffView const& view)
    {
        put("<div><strong>{}</strong> {}<p>{}</p>", name, escaped(file), escaped(view.decision));
        put("Before it");
        lines(view.state);
        put("Records before it");
        lines(view.before);
        put("From there on");
        lines(view.after, true);
        put("</div>\n");
    }

    void place(std::string_view title, DiffPlace const& place)
    {
        Divergence const& at = place.divergence;
        put("<h2>{}: {:.9f} s, pCPU {}, its record {}</h2><div class=\"two\">\n", title,
            static_cast<double>(at.ns) / 1e9, at.pcpu, at.index);
        side("A", report_.file_a, place.a);
        side("B", report_.file_b, place.b);
        put("</div>\n");
    }

    void figures()
    {
        put("<h2>Figures of the guests</h2><table><tr><th>figure</th><th>A</th><th>B</th><th>change</th>"
            "<th>effect size</th><th></th></tr>\n");
        for (FigureDiff const& row : report_.figures) {
            put("<tr><td>{}, {}</td><td class=\"n\">{:.2f}</td><td class=\"n\">{:.2f}</td><td class=\"n\">{}</td>",
                escaped(row.name), escaped(row.unit), row.a, row.b,
                row.a == 0 ? "-" : fmt::format("{:+.1f} %", row.change_percent()));
            if (row.effect)
                put("<td class=\"{}\">{} = {:+.2f}, {}</td>", row.magnitude, row.effect_name, *row.effect,
                    row.magnitude);
            else
                put("<td></td>");
            put("<td><span class=\"bar\" style=\"width:{:.0f}px\"></span></td></tr>\n",
                std::min(std::abs(row.change_percent()), 200.0));
        }
        put("</table>\n");
    }

    void vcpus()
    {
        if (report_.vcpus.empty())
            return;
        put("<h2>vCPUs whose waiting changed most</h2><table><tr><th>vCPU</th><th>running % in A</th><th>in B</th>"
            "<th>runnable % in A</th><th>in B</th></tr>\n");
        for (VcpuDiff const& row : report_.vcpus)
            put("<tr><td>d{}v{}</td><td class=\"n\">{:.2f}</td><td class=\"n\">{:.2f}</td><td class=\"n\">{:.2f}</td>"
                "<td class=\"n\">{:.2f}</td></tr>\n",
                row.domain, row.vcpu, row.run_a, row.run_b, row.wait_a, row.wait_b);
        put("</table>\n");
    }

    DiffReport const& report_;
    std::string text_;
};

} // namespace

std::string diff_html(DiffReport const& report) { return DiffPage{report}.run(); }

} // namespace hv::nv
