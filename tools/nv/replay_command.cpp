// `nv trace replay`: a scenario out of a trace.
#include "tools/nv/files.hpp"
#include "tools/nv/replay.hpp"
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_input.hpp"
#include "tools/nv/trace_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace hv::nv {

namespace {

ReplayAffinity affinity_of(std::string_view text)
{
    if (text == "facts")
        return ReplayAffinity::facts;
    if (text == "none")
        return ReplayAffinity::none;
    if (text != "hard")
        refuse(fmt::format("--affinity {}: allowed are facts, none and hard", text));
    return ReplayAffinity::hard;
}

// "replay-over-soft" for traces/over-soft.xentrace; a run of ours is called after its scenario.
std::string name_of(TraceFacts const& facts, std::filesystem::path const& file)
{
    std::string name{"replay-" + (facts.run ? facts.run->scenario.name : file.stem().string())};
    for (char& c : name)
        if (c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'))
            c = '-';
    constexpr std::size_t most = 63;
    return name.substr(0, most);
}

// Facts may tell of vCPUs' homes only if they know the nodes of all pCPUs up to the last.
std::uint32_t pcpu_count(TraceFacts const& facts, std::vector<std::uint32_t> const& pcpus)
{
    require_nodes(facts, pcpus);
    return std::max(static_cast<std::uint32_t>(facts.node_of.size()), pcpus.empty() ? 0 : pcpus.back() + 1);
}

// As the options say, else as the trace does.
HostModel host_of(ReplayOptions const& options, HostTurns const& turns, std::uint64_t hz)
{
    HostModel host{options.by_turns ? turns.by_turns() : options.side_by_side ? HostModel{} : turns.model()};
    if (options.turn_us)
        host.turn = host.silent = static_cast<std::uint64_t>(*options.turn_us * static_cast<double>(hz) / 1e6);
    return host;
}

std::string description_of(HostModel const& host, HostTurns const& turns, ReplayOptions const& options,
                           std::uint64_t hz)
{
    HostTurns::Evidence const found{turns.evidence()};
    auto const us = [&](std::uint64_t ticks) { return static_cast<double>(ticks) * 1e6 / static_cast<double>(hz); };
    std::string const reason = options.by_turns || options.side_by_side ? "as the option says"
                               : found.expected < HostTurns::enough
                                   ? "too little happens to tell"
                                   : fmt::format("others wrote in the midst of {} bursts of records, by chance {:.0f}",
                                                 found.seen, found.expected);
    if (host.pcpus == HostPcpus::side_by_side)
        return "the host's pCPUs ran side by side: " + reason;
    std::string const lengths =
        host.turn == 0
            ? "their lengths are not known"
            : fmt::format("those that end before their work last {:.0f} us, of {} seen; {}", us(host.turn), found.ends,
                          host.silent == 0
                              ? std::string{"all have a cause in the trace"}
                              : fmt::format("without a cause in the trace one ends each {:.0f} us", us(host.silent)));
    return fmt::format("the host's pCPUs took turns: {}; {}", reason, lengths);
}

} // namespace

ExitCode trace_replay(ReplayOptions const& options)
{
    ReplayConfig config{.name = options.name, .policy = options.policy, .affinity = affinity_of(options.affinity)};
    TraceFacts facts{facts_of(options.trace)};
    MappedFile const file{options.trace.file};
    std::uint64_t const hz = hertz_of(facts, file, options.trace.file);
    if (config.name.empty())
        config.name = name_of(facts, options.trace.file);
    if (config.policy.empty())
        config.policy = facts.run ? facts.run->scenario.policy : std::string{default_policy};
    WakePairs pairs;
    HostTurns turns{hz};
    {
        TraceStream stream{file};
        Progress progress{"who wakes whom", file.bytes().size()};
        while (std::optional<Record> const record = stream.next()) {
            progress.read(*record);
            pairs.record(*record, hz);
            turns.record(*record);
        }
    }
    TraceStream stream{file};
    HostModel const host{host_of(options, turns, hz)};
    Recorder recorder{pairs, hz, host, facts.run ? facts.run->last : ~0ull};
    {
        Progress progress{"what they do", file.bytes().size()};
        while (std::optional<Record> const record = stream.next()) {
            progress.read(*record);
            recorder.record(*record);
        }
    }
    Recording const recording{recorder.finish()};
    std::string const text{replay_scenario(recording, facts, pcpu_count(facts, stream.pcpus()), config)};
    if (options.output.empty())
        fmt::print("{}", text);
    else
        write_text(options.output, text);
    fmt::print(stderr,
               "nv: {}: {} vCPUs, {} steps, {} notifications; wake-ups of an idle pCPU took {} ns, by another "
               "pCPU {} ns\n",
               config.name, recording.vcpus.size(), recording.steps, recording.notifications, recording.wake_ns,
               recording.ipi_ns);
    fmt::print(stderr, "nv: {}: {}\n", config.name, description_of(host, turns, options, hz));
    return report_damage(stream, options.trace.file);
}

} // namespace hv::nv
