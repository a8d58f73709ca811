#include "tools/nv/trace_command.hpp"

#include "tools/nv/feed.hpp"
#include "tools/nv/trace_check.hpp"
#include "tools/nv/trace_dump.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_formats.hpp"
#include "tools/nv/trace_input.hpp"
#include "tools/nv/trace_report.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/trace_summary.hpp"

#include <fmt/format.h>

namespace hv::nv {

namespace {

DumpFilter filter_of(TraceOptions const& options)
{
    DumpFilter filter{.from = options.from, .to = options.to, .pcpu = options.pcpu, .vcpu = {}, .event = {}};
    if (!options.vcpu.empty()) {
        filter.vcpu = parse_vcpu_name(options.vcpu);
        if (!filter.vcpu)
            refuse(fmt::format("--vcpu {}: is not dN or dNvM, like d1v0", options.vcpu));
    }
    if (!options.event.empty())
        set_event(filter, options.event);
    return filter;
}

} // namespace

ExitCode trace_summary(TraceOptions const& options)
{
    TraceInput input{options};
    if (input.pcpus.empty())
        return report_damage(input.stream, options.file);
    std::optional<RecordedRun> const run{input.facts.run};
    std::optional<RunMeter> meter;
    if (run)
        meter.emplace(*run);
    Summariser summariser{std::move(input.facts), input.hertz, input.pcpus};
    while (std::optional<Record> const record = input.stream.next()) {
        summariser.record(*record);
        if (meter)
            meter->record(*record);
    }
    TraceFigures const figures{summariser.finish(input.stream.windows())};
    if (options.json)
        fmt::print("{}", trace_json(figures, input.file.bytes().size(), meter ? run_json(*run, meter->finish()) : ""));
    else
        fmt::print("{}", trace_text(figures, options.file));
    return report_damage(input.stream, options.file);
}

ExitCode trace_dump(TraceOptions const& options)
{
    DumpFilter const filter{filter_of(options)};
    TraceInput input{options};
    auto const hertz = static_cast<double>(input.hertz);
    std::optional<std::uint64_t> first;
    while (std::optional<Record> const record = input.stream.next()) {
        if (!first && record->has_stamp)
            first = record->stamp;
        // Before any stamp there is no time: zero.
        double const seconds =
            first ? static_cast<double>(static_cast<std::int64_t>(record->stamp - *first)) / hertz : 0.0;
        if (filter.passes(*record, seconds))
            fmt::print("{}\n", dump_line(*record, seconds));
    }
    return report_damage(input.stream, options.file);
}

ExitCode trace_check(TraceOptions const& options)
{
    MappedFile const file{options.file};
    Losses losses;
    TraceStream first_pass{file};
    while (std::optional<Record> const record = first_pass.next())
        losses.note(*record);
    TraceStream stream{file};
    Checker checker{std::move(losses), options.cut_out};
    std::uint64_t records{stream.windows()};
    for (; std::optional<Record> const record = stream.next(); ++records)
        checker.record(*record);
    checker.finish();
    for (Breach const& breach : checker.breaches())
        fmt::print("{}: at byte {}: {}: {}\n", options.file, breach.offset, breach.rule, breach.what);
    ExitCode const damaged = report_damage(stream, options.file);
    fmt::print("{}: {} records, {} breaches of the rules{}\n", options.file, records, checker.count(),
               checker.count() > checker.breaches().size()
                   ? fmt::format(", of which {} are shown", checker.breaches().size())
                   : "");
    return checker.count() == 0 ? damaged : ExitCode::failed;
}

ExitCode trace_formats()
{
    fmt::print("{}", formats_file());
    return ExitCode::good;
}

} // namespace hv::nv
