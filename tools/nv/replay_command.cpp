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
    {
        TraceStream stream{file};
        Progress progress{"who wakes whom", file.bytes().size()};
        while (std::optional<Record> const record = stream.next()) {
            progress.read(*record);
            pairs.record(*record, hz);
        }
    }
    TraceStream stream{file};
    Recorder recorder{pairs, hz, options.by_turns ? HostPcpus::by_turns : HostPcpus::side_by_side,
                      facts.run ? facts.run->last : ~0ull};
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
    return report_damage(stream, options.trace.file);
}

} // namespace hv::nv
