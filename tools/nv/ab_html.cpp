// The comparison as one page that needs nothing else: what differs with a bar for its size and a dot a seed, then all.
#include "tools/nv/ab_report.hpp"
#include "tools/nv/html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace hv::nv {

namespace {

constexpr std::string_view ab_head = R"(<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>nv ab</title><style>
body{font:15px/1.45 system-ui,sans-serif;color:#1d2733;background:#fff;max-width:1180px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}
td,th{padding:.2em .6em;text-align:left}th{border-bottom:2px solid #9aa5b1}td{border-bottom:1px solid #e4e8ec}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.worse{color:#a3312f;font-weight:600}
.better{color:#2c7a4b;font-weight:600}.same{color:#6b7885}svg{display:block}pre{font:12px/1.5 ui-monospace,monospace;overflow-x:auto}
@media (prefers-color-scheme:dark){body{background:#14191f;color:#dfe6ec}td{border-color:#2a323b}.worse{color:#f08b88}.better{color:#7fd0a0}}
</style></head><body>
)";

class AbPage {
public:
    explicit AbPage(AbReport const& report) : report_{report} {}

    [[nodiscard]] std::string run()
    {
        put("{}<h1>{} <small>against</small> {}</h1><p>Policy: {}. Suite: {}.</p>\n", ab_head, escaped(report_.change),
            escaped(report_.base), escaped(report_.policy), escaped(report_.suite));
        put("<p><b class=\"worse\">{} worse</b>, <b class=\"better\">{} better</b>, {} the same; {} of these differ, "
            "but not "
            "beyond chance.</p>\n",
            report_.count(AbVerdict::worse), report_.count(AbVerdict::better), report_.count(AbVerdict::same),
            report_.by_chance());
        table("What differs", false);
        if (!report_.look_title.empty())
            put("<h2>Where to look</h2><p>{}</p><pre>{}\n\n{}</pre>\n", escaped(report_.look_title),
                escaped(report_.look_command), escaped(report_.look));
        table("What is the same", true);
        return std::move(text_) + "</body></html>\n";
    }

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> format, Values&&... values)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    void table(std::string_view title, bool same)
    {
        if (std::ranges::none_of(report_.rows, [&](AbRow const& r) { return (r.verdict == AbVerdict::same) == same; }))
            return;
        put("<h2>{}</h2><table><tr><th></th><th>scenario</th><th>figure</th><th class=\"n\">base</th>"
            "<th class=\"n\">change</th><th class=\"n\">difference</th><th>by seed</th></tr>\n",
            title);
        for (AbRow const& row : report_.rows)
            if ((row.verdict == AbVerdict::same) == same)
                line(row);
        put("</table>\n");
    }

    void line(AbRow const& row)
    {
        int const digits{row.what().digits};
        put("<tr><td class=\"{0}\">{0}</td><td>{1}</td><td>{2} {3}</td><td class=\"n\">{4:.{8}f}</td>"
            "<td class=\"n\">{5:.{8}f}</td><td class=\"n\">{6:+.{8}f} ({7:+.1f} %)</td><td>",
            name_of(row.verdict), escaped(row.name), escaped(row.what().title), escaped(row.what().unit), row.test.base,
            row.test.change, row.test.difference, row.percent(), digits);
        if (row.test.difference != 0)
            dots(row);
        put("</td></tr>\n");
    }

    // A dot for each seed's difference on a line that has 0 in its middle.
    void dots(AbRow const& row)
    {
        double widest{0};
        for (std::size_t i = 0; i < row.base.size(); ++i)
            widest = std::max(widest, std::abs(row.change[i] - row.base[i]));
        put("<svg width=\"160\" height=\"14\" role=\"img\" aria-label=\"differences by seed\"><path d=\"M0 7H160M80 "
            "0V14\" "
            "stroke=\"#9aa5b1\"/>");
        for (std::size_t i = 0; i < row.base.size(); ++i)
            put("<circle cx=\"{:.1f}\" cy=\"7\" r=\"3\" fill=\"#2f7fb8\" fill-opacity=\".6\"/>",
                80 + 74 * (row.change[i] - row.base[i]) / widest);
        put("</svg>");
    }

    AbReport const& report_;
    std::string text_;
};

} // namespace

std::string ab_html(AbReport const& report) { return AbPage{report}.run(); }

} // namespace hv::nv
