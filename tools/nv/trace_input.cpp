#include "tools/nv/trace_input.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

namespace hv::nv {

namespace {

constexpr std::uint64_t standard_hertz = 1'000'000'000; // our own files: stamps are ns

// Our own traces begin with the rate of their clock.
std::optional<std::uint64_t> told_hertz(MappedFile const& file)
{
    constexpr unsigned first_records = 4096;
    TraceStream stream{file};
    for (unsigned i = 0; i < first_records; ++i) {
        std::optional<Record> const record = stream.next();
        if (!record)
            break;
        if (record->event == static_cast<std::uint32_t>(sched::trace::Event::hello) && record->word_count >= 2 &&
            record->word_store[1] != 0)
            return std::uint64_t{record->word_store[1]} * 1000;
    }
    return std::nullopt;
}

} // namespace

TraceFacts facts_of(TraceOptions const& options)
{
    TraceFacts facts;
    // A run of ours leaves its facts beside the trace.
    std::filesystem::path const beside = facts_file_of(options.file);
    if (!options.facts.empty())
        facts = load_trace_facts(options.facts);
    else if (std::filesystem::exists(beside))
        facts = load_trace_facts(beside);
    if (!options.nodes.empty())
        apply_nodes(facts, options.nodes);
    if (!options.homes.empty())
        apply_homes(facts, options.homes);
    if (!options.clock.empty())
        facts.clock_hz = parse_hertz(options.clock);
    return facts;
}

std::uint64_t hertz_of(TraceFacts& facts, MappedFile const& bytes, std::string_view file)
{
    if (!facts.clock_hz)
        facts.clock_hz = told_hertz(bytes);
    if (!facts.clock_hz)
        fmt::print(stderr,
                   "nv: {}: the clock's rate is not given, so one tick of its stamps is taken as 1 ns; if that "
                   "is wrong, give --cpu-hz or --facts\n",
                   file);
    return facts.clock_hz.value_or(standard_hertz);
}

TraceInput::TraceInput(TraceOptions const& options)
    : facts{facts_of(options)}, file{options.file}, stream{file}, pcpus{stream.pcpus()},
      hertz{pcpus.empty() ? 1 : hertz_of(facts, file, options.file)}
{
}

ExitCode report_damage(TraceStream const& stream, std::string_view file)
{
    for (Damage const& damage : stream.damages())
        fmt::print(stderr, "nv: {}: at byte {}: {}\n", file, damage.offset, damage.what);
    if (stream.damage_count() > stream.damages().size())
        fmt::print(stderr, "nv: {}: and {} more such places\n", file, stream.damage_count() - stream.damages().size());
    return stream.damage_count() == 0 ? ExitCode::good : ExitCode::failed;
}

} // namespace hv::nv
