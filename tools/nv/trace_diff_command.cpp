// `nv trace diff`: reads both traces for their figures, then side by side, then up to where they part.
#include "tools/nv/files.hpp"
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_diff_report.hpp"
#include "tools/nv/trace_input.hpp"
#include "tools/nv/trace_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace hv::nv {

namespace {

// One of the two.
struct DiffInput {
    explicit DiffInput(TraceOptions const& with) : options{with}, facts{facts_of(with)}, file{with.file}
    {
        if (file.bytes().empty())
            refuse(fmt::format("{}: is empty, give a trace", with.file));
        hz = hertz_of(facts, file, with.file);
    }

    [[nodiscard]] TraceFigures figures()
    {
        TraceStream stream{file};
        std::vector<std::uint32_t> const pcpus{stream.pcpus()};
        Progress progress{options.file, file.bytes().size()};
        Summariser summariser{facts, hz, pcpus};
        while (std::optional<Record> const record = stream.next()) {
            progress.read(*record);
            summariser.record(*record);
        }
        damaged = report_damage(stream, options.file);
        return summariser.finish(stream.windows());
    }

    [[nodiscard]] DiffView view(Divergence const& at, Comparer::Side side)
    {
        TraceStream stream{file};
        return view_divergence(stream, hz, at, side);
    }

    TraceOptions options;
    TraceFacts facts;
    MappedFile file;
    std::uint64_t hz{0};
    ExitCode damaged{ExitCode::good};
};

DiffPlace place_of(DiffInput& a, DiffInput& b, Divergence const& at)
{
    return {.divergence = at, .a = a.view(at, Comparer::Side::a), .b = b.view(at, Comparer::Side::b)};
}

DiffReport report_of(DiffInput& a, DiffInput& b, std::int64_t tolerance_ns)
{
    DiffReport report;
    report.file_a = a.options.file;
    report.file_b = b.options.file;
    report.a = a.figures();
    report.b = b.figures();
    report.common = Common::of(report.a, report.b);
    {
        TraceStream stream_a{a.file}, stream_b{b.file};
        report.comparison = compare({stream_a, a.hz}, {stream_b, b.hz}, report.common, tolerance_ns);
    }
    std::optional<Divergence> const& records = report.comparison.records;
    std::optional<Divergence> const& switches = report.comparison.switches;
    if (records)
        report.first = place_of(a, b, *records);
    auto const offset = [](std::optional<Record> const& record) { return record ? record->offset : 0; };
    if (switches &&
        (!records || offset(switches->a) != offset(records->a) || offset(switches->b) != offset(records->b)))
        report.decision = place_of(a, b, *switches);
    report.figures = diff_figures(report.a, report.b);
    constexpr std::size_t most_vcpus = 5;
    report.vcpus = diff_vcpus(report.a, report.b, most_vcpus);
    return report;
}

} // namespace

ExitCode trace_diff(DiffOptions const& options)
{
    constexpr double longest_us = 1e9;
    if (!(options.tolerance_us >= 0 && options.tolerance_us <= longest_us))
        refuse(fmt::format("--tolerance {}: allowed is 0 to 1000000000 us", options.tolerance_us));
    TraceOptions second{options.trace};
    second.file = options.other;
    second.facts = options.other_facts.empty() ? options.trace.facts : options.other_facts;
    DiffInput a{options.trace}, b{second};
    DiffReport const report{report_of(a, b, static_cast<std::int64_t>(options.tolerance_us * 1000))};
    if (!options.html.empty())
        write_text(options.html, diff_html(report));
    fmt::print("{}", options.trace.json ? diff_json(report) : diff_text(report));
    bool const is_good = report.is_same() && a.damaged == ExitCode::good && b.damaged == ExitCode::good;
    return is_good ? ExitCode::good : ExitCode::failed;
}

} // namespace hv::nv
