#include "tools/nv/trace_answers.hpp"

#include <CLI/CLI.hpp>

namespace hv::nv {

namespace {

void add_places(CLI::App& command, TraceOptions& options)
{
    command.add_option("--nodes", options.nodes, "pCPUs of each node: 4,4");
    command.add_option("--home", options.homes, "Home nodes of domains or vCPUs: d1=0,d2v1=1,d3=0+1");
    command.add_option("--cpu-hz", options.clock, "Ticks of the stamps in a second, like 2.4G (default: 1G)");
    command.add_flag("--json", options.json, "As JSON");
}

void add_diff(CLI::App& trace, DiffOptions& options)
{
    CLI::App& diff = *trace.add_subcommand("diff", "Where two traces part, and what differs in their figures");
    diff.add_option("A", options.trace.file, "xentrace file")->required();
    diff.add_option("B", options.other, "xentrace file")->required();
    diff.add_option("--facts", options.trace.facts, "Facts of A and, without --facts-b, of B (default: beside them)");
    diff.add_option("--facts-b", options.other_facts, "Facts of B");
    diff.add_option("--tolerance", options.tolerance_us, "Equal records may be so far apart, in us")
        ->capture_default_str();
    diff.add_option("--html", options.html, "Also a page with both side by side");
    add_places(diff, options.trace);
    diff.footer("Exit status: 0 the same, 1 they differ or are damaged, 2 usage or bad input.");
}

void add_why(CLI::App& trace, WhyOptions& options)
{
    CLI::App& why = *trace.add_subcommand("why", "Why a vCPU waited: who held its pCPU, which rule, what was idle");
    why.add_option("VCPU@TIME", options.question,
                   "d2v1@1.234s: since the first stamp, in s, ms, us or ns; without time its longest wait")
        ->required();
    why.add_option("FILE", options.trace.file, "xentrace file, ours or a real Xen's")->required();
    why.add_option("--facts", options.trace.facts, "JSON file with what the trace lacks (default: the one beside it)");
    add_places(why, options.trace);
    why.footer("Exit status: 0 good, 1 it did not wait then or the file is damaged, 2 usage or bad input.");
}

void add_replay(CLI::App& trace, ReplayOptions& options)
{
    CLI::App& replay = *trace.add_subcommand("replay", "A scenario in which vCPUs do what those of the trace did");
    replay.add_option("FILE", options.trace.file, "xentrace file, ours or a real Xen's")->required();
    replay.add_option("-o,--output", options.output, "Scenario file to write (default: stdout)");
    replay
        .add_option("--affinity", options.affinity,
                    "facts: homes are node affinity; none: they only count; hard: pinned to the home")
        ->capture_default_str();
    CLI::Option* const turns = replay.add_flag("--by-turns", options.by_turns,
                                               "The host executed its pCPUs by turns on one thread: count executed "
                                               "time, replay so (default: the trace tells)");
    replay.add_flag("--side-by-side", options.side_by_side, "It did not")->excludes(turns);
    replay.add_option("--turn-us", options.turn_us, "Mean length of a turn (default: the trace tells)")
        ->needs(turns)
        ->check(CLI::Range(1.0, 1e9));
    replay.add_option("--name", options.name, "Of the scenario (default: replay- and the trace's)");
    replay.add_option("--policy", options.policy, "Scheduling policy (default: the run's, else credit)");
    replay.add_option("--facts", options.trace.facts, "JSON file with what the trace lacks (default: beside it)");
    replay.add_option("--nodes", options.trace.nodes, "pCPUs of each node: 4,4");
    replay.add_option("--home", options.trace.homes, "Home nodes of domains or vCPUs: d1=0,d2v1=1,d3=0+1");
    replay.add_option("--cpu-hz", options.trace.clock, "Ticks of the stamps in a second, like 2.4G (default: 1G)");
    replay.footer("Exit status: 0 good, 1 the file is damaged (what can be read is read), 2 usage or bad input.");
}

void add_follow(CLI::App& trace, FollowOptions& options)
{
    CLI::App& follow = *trace.add_subcommand("follow", "Figures of a trace while nv run --live writes it");
    follow.add_option("FILE", options.trace.file, "OUT/NAME/trace.xentrace of the run")->required();
    follow.add_option("--interval", options.interval, "Seconds from look to look")->capture_default_str();
    follow.add_option("--looks", options.looks, "End after so many (default: when the run is over)");
    follow.add_option("--facts", options.trace.facts, "JSON file with what the trace lacks");
    follow.add_option("--nodes", options.trace.nodes, "pCPUs of each node: 4,4");
    follow.add_option("--home", options.trace.homes, "Home nodes of domains or vCPUs: d1=0,d2v1=1,d3=0+1");
    follow.add_option("--cpu-hz", options.trace.clock, "Ticks of the stamps in a second, like 2.4G (default: 1G)");
    follow.footer("Exit status: 0 good, 2 usage or bad input.");
}

} // namespace

void add_trace_answers(CLI::App& trace, TraceAnswers& answers)
{
    add_diff(trace, answers.diff);
    add_why(trace, answers.why);
    add_replay(trace, answers.replay);
    add_follow(trace, answers.follow);
}

std::optional<ExitCode> do_trace_answer(CLI::App const& trace, TraceAnswers const& answers)
{
    if (trace.got_subcommand("diff"))
        return trace_diff(answers.diff);
    if (trace.got_subcommand("why"))
        return trace_why(answers.why);
    if (trace.got_subcommand("replay"))
        return trace_replay(answers.replay);
    if (trace.got_subcommand("follow"))
        return trace_follow(answers.follow);
    return std::nullopt;
}

} // namespace hv::nv
