// nv, the host command: the command line and nothing else.
#include "tools/nv/ab.hpp"
#include "tools/nv/bench.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/merge.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/page.hpp"
#include "tools/nv/run.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/shrink.hpp"
#include "tools/nv/sim.hpp"
#include "tools/nv/sweep.hpp"
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_command.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>

namespace hv::nv {

namespace {

constexpr char const* exit_codes =
    "Exit status: 0 good, 1 the thing measured failed, 2 usage or bad input, 3 timed out, 4 nv's own failure.";

void add_overrides(CLI::App& command, Overrides& overrides)
{
    command.add_option("--seed", overrides.seed, "Seed of the workloads, instead of the scenario's");
    command.add_option("--policy", overrides.policy, "Scheduling policy, instead of the scenario's");
    command
        .add_option("--set", overrides.settings,
                    "KEY=VALUE: sched.tslice_ms and the like, else a parameter of the policy; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
}

struct PackOptions {
    std::string scenario, output;
    Overrides overrides;
};

void add_pack(CLI::App& app, PackOptions& options)
{
    CLI::App& command =
        *app.add_subcommand("pack", "Turn a scenario into the image that the kernel takes as its module");
    command.add_option("SCENARIO", options.scenario, "Scenario file, see docs/scenario-format.md")->required();
    command.add_option("-o,--output", options.output, "Image to write")->required();
    add_overrides(command, options.overrides);
    command.footer(exit_codes);
}

struct RunArguments {
    RunOptions options;
    std::vector<std::string> scenarios;
    std::string kernel, out;
    double timeout{300}, silence{8};
    std::string selftest;
};

void add_run(CLI::App& app, RunArguments& arguments)
{
    CLI::App& command =
        *app.add_subcommand("run", "Boot scenarios under QEMU, show their consoles, keep traces and figures");
    command.add_option("SCENARIO", arguments.scenarios, "Scenario files, run one after the other")->required();
    command.add_option("--kernel", arguments.kernel, "Kernel image")->capture_default_str();
    command.add_option("--out", arguments.out, "Where each run's folder SCENARIO-POLICY-SEED goes")
        ->capture_default_str();
    add_overrides(command, arguments.options.overrides);
    // A flag, so that the scenario behind it is not taken for its pattern.
    command.add_flag("--selftest{*}", arguments.selftest,
                     "Also run the kernel's self-tests, or with =PATTERN those with that in their name");
    command.add_option("--append", arguments.options.qemu.append, "More for the kernel's command line");
    command.add_flag("--machine-only", arguments.options.qemu.machine_only,
                     "Boot the scenario's machine without the scenario");
    command.add_flag("--live", arguments.options.qemu.live, "Real time and threads: for races, never for figures");
    command.add_flag("--console", arguments.options.console,
                     "The last scenario live, with its console on stdin and stdout; it ends with quit");
    command.add_flag("--console-after", arguments.options.console_after,
                     "After all runs, where stdin and stdout are a terminal: a session with the last scenario");
    command.add_flag("--room", arguments.options.qemu.has_room,
                     "Room to plug in as many pCPUs again, and 8 DIMMs; QEMU's monitor (QMP) is NAME/monitor.sock");
    command.add_option("--timeout", arguments.timeout, "Seconds that one run may take in all; 0: any")
        ->capture_default_str();
    command
        .add_option("--silence", arguments.silence,
                    "Seconds without a sign of life after which a run is a hang; 0: any")
        ->capture_default_str();
    command.add_flag("--compare", arguments.options.compare, "After all runs, one table");
    command.add_flag("--json", arguments.options.json,
                     "Figures as a JSON list on stdout, instead of consoles and table");
    command.add_option("--cpu", arguments.options.cpu,
                       "Host CPU to bind QEMU to (default: the first that is allowed; with --live: any)");
    command.add_option("--qemu", arguments.options.qemu.program, "QEMU to use")->capture_default_str();
    command.footer(std::string{"Leaves OUT/NAME/{trace.xentrace, trace.facts.json, metrics.json, console.txt, "
                               "command.txt}.\n"} +
                   exit_codes);
}

struct SimArguments {
    SimOptions options;
    std::vector<std::string> scenarios;
    std::string trace, out;
};

void add_sim(CLI::App& app, SimArguments& arguments)
{
    CLI::App& command = *app.add_subcommand("sim", "Run scenarios on the simulated machine and print their figures");
    command.add_option("SCENARIO", arguments.scenarios, "Scenario files; they run side by side")->required();
    add_overrides(command, arguments.options.overrides);
    command
        .add_option("--seeds", arguments.options.seeds,
                    "Several seeds, separated by commas: each scenario with each of them")
        ->delimiter(',')
        ->allow_extra_args(false);
    command.add_flag("--json", arguments.options.json, "Figures as a JSON list, one object a scenario and seed");
    command.add_flag("--decisions", arguments.options.decisions,
                     "Instead of figures each switch: time in ns, pCPU, outgoing, incoming");
    command.add_option("--trace", arguments.trace,
                       "Also write the trace as an xentrace file, and what was run beside it as .facts.json");
    command.add_option("--out", arguments.out, "Also leave OUT/NAME/{metrics.json, trace.xentrace, trace.facts.json}");
    command.add_option("--jobs", arguments.options.jobs, "Simulations at a time (default: one a host CPU)");
    command.footer(exit_codes);
}

ExitCode do_sim(SimArguments& arguments)
{
    SimOptions& options = arguments.options;
    options.scenarios.assign(arguments.scenarios.begin(), arguments.scenarios.end());
    if (!arguments.trace.empty())
        options.trace = arguments.trace;
    if (!arguments.out.empty())
        options.out = arguments.out;
    return simulate_scenarios(options);
}

struct BenchArguments {
    BenchOptions options;
    std::string html, svg, kernel, write, out, sweep;
};

void add_bench(CLI::App& app, BenchArguments& arguments)
{
    BenchOptions& options = arguments.options;
    CLI::App& command = *app.add_subcommand(
        "bench", "The reference table: workloads, loads and placements, with the memory cost model");
    command.add_option("--row", options.rows, "Only these rows: jbb, memory, fork, cpu")->delimiter(',');
    command.add_option("--policy", options.policies, "Further policies, with and without affinity")->delimiter(',');
    command.add_option("--seeds", options.seeds, "Seeds a cell (default 5; booted 1)");
    command.add_option("--seconds", options.seconds, "Virtual seconds a run (default 30; booted 10)");
    command.add_option("--jobs", options.jobs, "Runs at a time (default: one a host CPU)");
    command.add_option("--placement", options.placement, "Rule that finds the VMs' homes: 4.3, numavisor, greedy, ...")
        ->capture_default_str();
    command.add_option("--model", options.model, "Set of parameters of the memory cost model (default westmere-e5620)");
    command.add_option("--model-set", options.settings, "PARAMETER=VALUE: remote=1.3, node_mbps, link_mbps, queueing")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--set", options.params, "KEY=VALUE: a parameter of the --policy given, else of credit")
        ->take_all()
        ->allow_extra_args(false);
    command.add_flag("--ablate", options.ablate, "The gains with one mechanism after the other switched off");
    command.add_option("--sweep", arguments.sweep, "PARAMETER=LOW..HIGH[/STEPS]: where conclusions turn");
    command.add_option("--kernel", arguments.kernel, "Boot this kernel under QEMU, and compare with the simulator");
    command.add_option("--out", arguments.out, "Where booted runs leave what they left")->capture_default_str();
    command.add_option("--html", arguments.html, "Also one self-contained page with plots");
    command.add_option("--svg", arguments.svg, "Also the plots as one picture");
    command.add_flag("--json", options.json, "The report as JSON");
    command.add_option("--write", arguments.write, "Only write the cells' scenario files into this folder");
    command.footer(
        std::string{
            "Exit status 1: a bar marked with ! is missed, or kernel and simulator differ by more than 3 %.\n"} +
        exit_codes);
}

ExitCode do_bench(BenchArguments& arguments)
{
    BenchOptions& options = arguments.options;
    auto const path = [](std::string const& text) {
        return text.empty() ? std::nullopt : std::optional<std::filesystem::path>{text};
    };
    options.html = path(arguments.html);
    options.svg = path(arguments.svg);
    options.kernel = path(arguments.kernel);
    options.write = path(arguments.write);
    options.out = arguments.out;
    if (!arguments.sweep.empty())
        options.sweep = parse_sweep(arguments.sweep);
    return run_bench(options);
}

void add_trace_file(CLI::App& command, TraceOptions& options)
{
    command.add_option("FILE", options.file, "xentrace file, ours or a real Xen's")->required();
    command.add_option("--facts", options.facts,
                       "JSON file with what the trace lacks, see docs/traces.md (default: the one beside it)");
    command.add_option("--cpu-hz", options.clock, "Ticks of the stamps in a second, like 2.4G (default: 1G)");
    command.footer("Exit status: 0 good, 1 the file is damaged (what can be read is read), 2 usage or bad input.");
}

void add_trace_export(CLI::App& command, TraceOptions& options, char const* output)
{
    add_trace_file(command, options);
    command.add_option("--nodes", options.nodes, "pCPUs of each node: 4,4");
    command.add_option("--home", options.homes, "Home nodes of domains or vCPUs: d1=0,d2v1=1,d3=0+1");
    command.add_option("-o,--output", options.output, output)->required();
}

void add_trace(CLI::App& app, TraceOptions& options)
{
    CLI::App& trace = *app.add_subcommand("trace", "Look at xentrace files");
    trace.require_subcommand(1);
    CLI::App& summary = *trace.add_subcommand("summary", "Who ran, waited and blocked, where and how long");
    add_trace_file(summary, options);
    summary.add_option("--nodes", options.nodes, "pCPUs of each node: 4,4");
    summary.add_option("--home", options.homes, "Home nodes of domains or vCPUs: d1=0,d2v1=1,d3=0+1");
    summary.add_flag("--json", options.json, "As JSON");
    CLI::App& dump = *trace.add_subcommand("dump", "One line a record, in the order of stamps");
    add_trace_file(dump, options);
    dump.add_option("--from", options.from, "Only from this second on, counted from the first stamp");
    dump.add_option("--to", options.to, "Only up to this second");
    dump.add_option("--pcpu", options.pcpu, "Only of this pCPU");
    dump.add_option("--vcpu", options.vcpu, "Only what names this domain (d1) or vCPU (d1v0)");
    dump.add_option("--event", options.event, "Only this event: a name (runstate_change: all of them) or number");
    CLI::App& check = *trace.add_subcommand("check", "Whether the trace keeps the rules that xenalyze needs");
    check.add_option("FILE", options.file, "xentrace file")->required();
    check.add_flag("--cut-out", options.cut_out,
                   "The trace begins and ends in the midst of things, as a real Xen's: do not ask for R1 and R5");
    check.footer("Exit status: 0 good, 1 a rule is broken or the file is damaged, 2 usage or bad input.");
    CLI::App& perfetto = *trace.add_subcommand("perfetto", "A file for the viewer at ui.perfetto.dev");
    add_trace_export(perfetto, options, "File to write, usually .pftrace");
    CLI::App& ctf = *trace.add_subcommand("ctf", "Common Trace Format, which babeltrace2 and Trace Compass read");
    add_trace_export(ctf, options, "Folder to make");
    CLI::App& html = *trace.add_subcommand("html", "One page with a timeline that any browser opens, offline too");
    add_trace_export(html, options, "Page to write");
    html.add_option("--from", options.from, "Only from this second on, counted from the first stamp");
    html.add_option("--to", options.to, "Only up to this second");
    trace.add_subcommand("formats", "The formats file with which xentrace_format prints our events");
}

ExitCode do_trace(CLI::App const& command, TraceOptions const& options, std::filesystem::path const& folder)
{
    if (command.got_subcommand("formats"))
        return trace_formats();
    if (command.got_subcommand("check"))
        return trace_check(options);
    if (command.got_subcommand("perfetto"))
        return trace_perfetto(options);
    if (command.got_subcommand("ctf"))
        return trace_ctf(options);
    if (command.got_subcommand("html"))
        return trace_html(options, folder / page_name);
    return command.got_subcommand("dump") ? trace_dump(options) : trace_summary(options);
}

std::chrono::milliseconds to_limit(double seconds, std::string_view option)
{
    if (!(seconds >= 0 && seconds <= 1e6))
        refuse(fmt::format("{} {}: allowed is 0 to 1000000 seconds", option, seconds));
    return std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
}

ExitCode do_pack(PackOptions const& options)
{
    write_bytes(options.output, pack(load_scenario(options.scenario, options.overrides)));
    return ExitCode::good;
}

ExitCode do_run(RunArguments& arguments, bool selftest)
{
    RunOptions& options = arguments.options;
    options.scenarios.assign(arguments.scenarios.begin(), arguments.scenarios.end());
    options.kernel = arguments.kernel;
    options.out = arguments.out;
    options.qemu.selftest = selftest;
    options.qemu.selftest_pattern = arguments.selftest == "*" ? "" : arguments.selftest;
    options.total_limit = to_limit(arguments.timeout, "--timeout");
    options.silence_limit = to_limit(arguments.silence, "--silence");
    return run_scenarios(options);
}

ExitCode dispatch(int argc, char** argv)
{
    CLI::App app{"numavisor's host command", "nv"};
    app.require_subcommand(1);
    app.footer(std::string{"nv COMMAND --help says more.\n"} + exit_codes);
    PackOptions pack_options;
    RunArguments run_arguments;
    SimArguments sim_arguments;
    BenchArguments bench_arguments;
    AbOptions ab_options;
    SweepOptions sweep_options;
    MergeOptions merge_options;
    ShrinkOptions shrink_options;
    TraceOptions trace_options;
    // What was built together lies together: build/nv, build/numavisor.elf, build/out.
    std::filesystem::path const self{argv[0]};
    std::filesystem::path const folder = self.has_parent_path() ? self.parent_path() : std::filesystem::path{"build"};
    run_arguments.kernel = (folder / "numavisor.elf").string();
    run_arguments.out = (folder / "out").string();
    run_arguments.options.turns = folder / turns_link;
    run_arguments.options.qemu.take_turns = true;
    bench_arguments.options.self = self;
    bench_arguments.out = (folder / "bench").string();
    add_pack(app, pack_options);
    add_run(app, run_arguments);
    add_sim(app, sim_arguments);
    ab_options.self = self;
    ab_options.folder = folder;
    add_bench(app, bench_arguments);
    add_ab(app, ab_options);
    add_sweep(app, sweep_options);
    add_merge(app, merge_options);
    add_shrink(app, shrink_options);
    add_trace(app, trace_options);
    TraceAnswers trace_answers;
    add_trace_answers(*app.get_subcommand("trace"), trace_answers);
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        if (error.get_exit_code() == 0)
            return app.exit(error), ExitCode::good;
        fmt::print(stderr, "nv: {}; see nv --help\n", error.what());
        return ExitCode::bad_input;
    }
    if (app.got_subcommand("pack"))
        return do_pack(pack_options);
    if (app.got_subcommand("sim"))
        return do_sim(sim_arguments);
    if (app.got_subcommand("bench"))
        return do_bench(bench_arguments);
    if (app.got_subcommand("ab"))
        return run_ab(ab_options);
    if (app.got_subcommand("sweep"))
        return run_sweep(sweep_options);
    if (app.got_subcommand("merge"))
        return run_merge(merge_options);
    if (app.got_subcommand("shrink"))
        return run_shrink(shrink_options);
    if (std::optional<ExitCode> const code = do_trace_answer(*app.get_subcommand("trace"), trace_answers))
        return *code;
    if (app.got_subcommand("trace"))
        return do_trace(*app.get_subcommand("trace"), trace_options, folder);
    return do_run(run_arguments, app.get_subcommand("run")->count("--selftest") != 0);
}

} // namespace

} // namespace hv::nv

int main(int argc, char** argv)
{
    using namespace hv::nv;
    ExitCode code{ExitCode::own_failure};
    try {
        code = dispatch(argc, argv);
    } catch (Error const& error) {
        fmt::print(stderr, "nv: {}\n", error.what());
        code = error.code();
    } catch (std::exception const& error) {
        fmt::print(stderr, "nv: unexpected: {}\n", error.what());
    }
    return std::fflush(stdout) == 0 ? static_cast<int>(code) : static_cast<int>(ExitCode::own_failure);
}
