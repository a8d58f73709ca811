#include "tools/nv/run.hpp"

#include "tools/nv/feed.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/guest_ram.hpp"
#include "tools/nv/host_channel.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/table.hpp"
#include "tools/nv/trace_drain.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/verdict.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

struct Job {
    fs::path file;
    Scenario scenario;
    fs::path folder;
};

constexpr char const* trace_file = "trace.xentrace";

struct Outcome {
    ExitCode code{ExitCode::good};
    std::optional<Measured> measured;
    std::string json;
};

void complain(std::string_view name, std::string_view line) { fmt::print(stderr, "nv: {}: {}\n", name, line); }

void show_progress(std::string_view text)
{
    if (::isatty(STDERR_FILENO) == 1)
        fmt::print(stderr, "\x1b[2m{}\x1b[0m\n", text);
}

void check_prerequisites(RunOptions const& options)
{
    if (!fs::is_regular_file(options.kernel))
        refuse(fmt::format("{}: no kernel there; build it with `make kernel`, or give --kernel FILE",
                           options.kernel.string()));
    if (options.qemu.take_turns && !fs::is_regular_file(options.turns))
        give_up(fmt::format("{}: missing; it belongs beside nv, and `make run` builds both", options.turns.string()));
    if (!program_exists(options.qemu.program))
        give_up(fmt::format("{} is not installed: apt-get install qemu-system-x86", options.qemu.program));
    if (!fs::exists(firmware_file))
        give_up(fmt::format("{} is missing: apt-get install qemu-system-data", firmware_file));
    std::vector<unsigned> const cpus = allowed_cpus();
    if (options.cpu && std::ranges::find(cpus, *options.cpu) == cpus.end())
        refuse(fmt::format("--cpu {}: not a CPU that this process may use, allowed are {}", *options.cpu,
                           fmt::join(cpus, ", ")));
    if (options.qemu.selftest_pattern.find('"') != std::string::npos)
        refuse(fmt::format("--selftest={}: a pattern cannot have a double quote", options.qemu.selftest_pattern));
}

// All scenarios are read before the first one runs: a typo in the last file should not cost the time of the others.
std::vector<Job> load_jobs(RunOptions const& options)
{
    std::vector<Job> jobs;
    for (fs::path const& file : options.scenarios) {
        Job job{file, load_scenario(file, options.overrides), {}};
        job.folder = options.out / job.scenario.run_name();
        static_cast<void>(qemu_command(job.scenario, options.qemu,
                                       std::vector<std::string>(job.scenario.machine.node_count()), file.string()));
        if (auto const other = std::ranges::find(jobs, job.folder, &Job::folder); other != jobs.end())
            refuse(fmt::format("{} and {} are both {}, their results would overwrite each other", other->file.string(),
                               file.string(), job.scenario.run_name()));
        jobs.push_back(std::move(job));
    }
    return jobs;
}

void prepare_folder(Job const& job, RunOptions const& options)
{
    std::error_code error;
    fs::create_directories(job.folder, error);
    for (char const* const name : {kernel_link, turns_link, image_file, host_channel_file, trace_file,
                                   "trace.facts.json", "metrics.json", console_file, "command.txt", control_socket})
        fs::remove(job.folder / name, error);
    fs::create_symlink(fs::absolute(options.kernel), job.folder / kernel_link, error);
    if (!error && options.qemu.take_turns)
        fs::create_symlink(fs::absolute(options.turns), job.folder / turns_link, error);
    if (error)
        give_up(fmt::format("{}: cannot prepare the folder: {}", job.folder.string(), error.message()));
    write_bytes(job.folder / image_file, pack(job.scenario));
}

// The command as somebody could type it: with named files for the nodes' memory.
std::string typed_command(Job const& job, RunOptions const& options, std::optional<unsigned> cpu)
{
    std::vector<std::string> paths;
    for (std::size_t node = 0; node < job.scenario.machine.node_count(); ++node)
        paths.push_back(fmt::format("/dev/shm/{}-node{}", job.scenario.run_name(), node));
    std::vector<std::string> words = qemu_command(job.scenario, options.qemu, paths, job.file.string());
    if (cpu)
        words.insert(words.begin(), {"taskset", "-c", std::to_string(*cpu)});
    return fmt::format(
        "# In this folder. Leaves the guest's memory in /dev/shm/{}-node*: remove it afterwards.\n{}{}\n",
        job.scenario.run_name(), shell_line(words), options.qemu.console ? "" : " </dev/null");
}

ProcessSpec process_spec(Job const& job, RunOptions const& options, GuestRam const& ram)
{
    ProcessSpec spec{.words = qemu_command(job.scenario, options.qemu, ram.paths(), job.file.string()),
                     .folder = job.folder,
                     .cpu = options.cpu,
                     .has_terminal = options.qemu.console,
                     .life_sign = host_channel_file,
                     .silence_limit = options.silence_limit,
                     .total_limit = options.total_limit};
    // QEMU's threads take turns: on one host CPU they do so two to three times as fast.
    if (std::vector<unsigned> const cpus = allowed_cpus(); !spec.cpu && !options.qemu.live && !cpus.empty())
        spec.cpu = cpus.front();
    return spec;
}

// QEMU's stderr, without what is known to mean nothing.
void pass_on_warnings(std::string_view name, std::string_view errors)
{
    while (!errors.empty()) {
        std::size_t const end = errors.find('\n');
        std::string_view const line = errors.substr(0, end);
        errors.remove_prefix(end == std::string_view::npos ? errors.size() : end + 1);
        bool const known =
            line.find("doesn't support hyperthreading") != line.npos || line.find("try enabling topoext") != line.npos;
        if (!line.empty() && !known)
            complain(name, line);
    }
}

// What a live run recorded so far, at the end of its file: for `nv trace follow`. A file that cannot be written is
// complained of at the end, when the whole trace is.
void append_trace(Job const& job, TraceDrain& source)
{
    std::vector<std::byte> const windows{write_xentrace(source.fresh())};
    if (windows.empty() || !why_no_xentrace(job.scenario).empty())
        return;
    std::ofstream out{job.folder / trace_file, std::ios::binary | std::ios::app};
    out.write(static_cast<char const*>(static_cast<void const*>(windows.data())),
              static_cast<std::streamsize>(windows.size()));
}

// As it may have been measured: with the pCPUs that there was room for. One that never came counts as idle.
Scenario with_room(Scenario scenario, bool has_room)
{
    std::size_t const count{scenario.machine.pcpus.size()};
    for (std::size_t cpu = 0; has_room && cpu < count; ++cpu)
        scenario.machine.pcpus.push_back(Pcpu{scenario.machine.pcpus[cpu]});
    return scenario;
}

// The trace out of the guest's memory, into files and figures.
void collect(Job const& job, bool has_room, TraceDrain& source, Outcome& outcome)
{
    std::string const name = job.scenario.run_name();
    fs::path const channel_file = job.folder / host_channel_file;
    HostChannel const channel = parse_host_channel(fs::exists(channel_file) ? read_text(channel_file) : "");
    if (!channel.trace_directory)
        return;
    Drained drained = source.take(*channel.trace_directory);
    std::vector<std::byte> const file = write_xentrace(std::move(drained.streams));
    if (std::string const why = why_no_xentrace(job.scenario); !why.empty()) {
        fmt::print(stderr, "nv: {}; the figures are complete\n", why);
    } else {
        std::error_code none;
        fs::remove(job.folder / trace_file, none); // Another file now: who follows a live run's knows that it is over.
        write_bytes(job.folder / trace_file, file);
    }
    if (!channel.scenario_start)
        return;
    RecordedRun const run{
        .scenario = with_room(job.scenario, has_room), .start = *channel.scenario_start, .lost_records = drained.lost};
    write_text(job.folder / facts_file_of(trace_file), facts_json(run));
    TraceStream trace{file};
    outcome.measured = measure(run, trace);
    if (trace.damage_count() != 0)
        give_up(fmt::format("trace, at byte {}: {}", trace.damages()[0].offset, trace.damages()[0].what));
    outcome.json = run_json(run, *outcome.measured);
    write_text(job.folder / "metrics.json", outcome.json);
    if (outcome.measured->lost != 0)
        complain(name, fmt::format("the trace lost {} records, so figures are incomplete; raise trace.ring_kib",
                                   outcome.measured->lost));
    if (outcome.measured->metrics.contradictions != 0 || outcome.measured->strangers != 0)
        complain(name,
                 fmt::format("the trace contradicts itself {} times and names {} vCPUs that are not in the scenario",
                             outcome.measured->metrics.contradictions, outcome.measured->strangers));
}

// QEMU, from start to end, its console on our stdout unless that is for figures.
ProcessResult boot(Job const& job, RunOptions const& options, ProcessSpec const& spec)
{
    std::string const name = job.scenario.run_name();
    if (!options.json)
        fmt::print("== {}\n", name);
    if (options.qemu.console)
        fmt::print("Your terminal is its console; ^A x ends it whatever it does. The second serial port: {}\n",
                   (job.folder / control_socket).string());
    std::fflush(stdout);
    auto const begin = std::chrono::steady_clock::now();
    ProcessResult result = run_process(spec, [&](std::string_view line) {
        if (options.json)
            return;
        fmt::print("{}\n", line);
        std::fflush(stdout); // Live, also through a pipe.
    });
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
    show_progress(fmt::format("{}: {:.1f} s", name, took.count()));
    if (options.qemu.console)
        result.output = fs::exists(job.folder / console_file) ? read_text(job.folder / console_file) : "";
    else
        write_text(job.folder / console_file, result.output);
    return result;
}

// Ends us the way the signal would have.
void pass_on_interruption(ProcessResult const& result)
{
    if (result.ending != Ending::interrupted)
        return;
    std::signal(result.status, SIG_DFL);
    std::raise(result.status);
}

Outcome run_one(Job const& job, RunOptions const& options)
{
    std::string const name = job.scenario.run_name();
    prepare_folder(job, options);
    GuestRam const ram{job.scenario.machine, job.folder};
    ProcessSpec spec = process_spec(job, options, ram);
    TraceDrain source{ram.files(), job.folder / host_channel_file};
    if (options.qemu.live) { // Not otherwise: a run that is to be repeated must not see what the host does when.
        spec.meanwhile = [&job, &source] {
            source.poll();
            append_trace(job, source);
        };
        spec.interval = std::chrono::milliseconds{20};
    }
    write_text(job.folder / "command.txt", typed_command(job, options, spec.cpu));
    ProcessResult const result = boot(job, options, spec);
    Verdict const verdict = judge({.selftest = options.qemu.selftest, .spec = spec, .result = result});
    pass_on_warnings(name, result.errors);
    if (!verdict.line.empty())
        complain(name, verdict.line);
    pass_on_interruption(result);
    Outcome outcome{.code = verdict.code, .measured = {}, .json = {}};
    // A kernel that failed may still have left a trace, and then it is wanted most; but it may be half written.
    try {
        collect(job, options.qemu.has_room, source, outcome);
    } catch (Error const& error) {
        complain(name, error.what());
        outcome.code = outcome.code == ExitCode::good ? ExitCode::failed : outcome.code;
    }
    bool const expects_figures = !options.qemu.machine_only && job.scenario.trace_mask != 0;
    if (expects_figures && !outcome.measured && outcome.code == ExitCode::good) {
        complain(name,
                 "the kernel passed, but left no trace to measure: no `trace directory=` and `scenario start=` on "
                 "its debug console");
        outcome.code = ExitCode::failed;
    }
    return outcome;
}

void print_comparison(std::vector<Job> const& jobs, std::vector<Outcome> const& outcomes, RunOptions const& options)
{
    std::vector<TableRow> rows;
    for (std::size_t i = 0; i < jobs.size(); ++i)
        if (outcomes[i].measured)
            rows.push_back({jobs[i].scenario.label.empty() ? jobs[i].scenario.name : jobs[i].scenario.label,
                            outcomes[i].measured->metrics, outcomes[i].measured->lost});
    if (rows.empty())
        return;
    fmt::print("\n{}\n", comparison_table(rows));
    fmt::print(
        "Traces: {}/NAME/trace.xentrace. To look at one with Xen's own tool (-a instead of --summary: each event):\n",
        options.out.string());
    for (std::size_t i = 0; i < jobs.size(); ++i)
        if (outcomes[i].measured)
            fmt::print("  xenalyze --cpu-hz 1G --summary {}/trace.xentrace\n", jobs[i].folder.string());
}

void print_json(std::vector<Outcome> const& outcomes)
{
    std::string_view separator{"["};
    for (Outcome const& outcome : outcomes) {
        if (outcome.json.empty())
            continue;
        fmt::print("{}\n{}", separator, std::string_view{outcome.json}.substr(0, outcome.json.size() - 1));
        separator = ",";
    }
    fmt::print("{}\n]\n", separator == "[" ? "[" : "");
}

// The first that is not good decides.
ExitCode first_bad(std::vector<Outcome> const& outcomes)
{
    auto const bad = std::ranges::find_if(outcomes, [](Outcome const& o) { return o.code != ExitCode::good; });
    return bad == outcomes.end() ? ExitCode::good : bad->code;
}

} // namespace

namespace {

bool at_a_terminal() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1; }

// A session at the scenario's console: for as long as somebody likes, if it is somebody.
Outcome run_session(Job job, RunOptions options)
{
    job.folder += "-console";
    options.qemu.live = options.qemu.console = true;
    if (at_a_terminal())
        options.total_limit = std::chrono::milliseconds{0};
    return run_one(job, options);
}

} // namespace

ExitCode run_scenarios(RunOptions const& options)
{
    if (options.console && options.json)
        refuse("--console and --json: both want stdout; leave one out");
    std::vector<Job> const jobs = load_jobs(options);
    check_prerequisites(options);
    std::vector<Outcome> outcomes;
    for (std::size_t i = 0; i < jobs.size(); ++i)
        outcomes.push_back(options.console && i + 1 == jobs.size() ? run_session(jobs[i], options)
                                                                   : run_one(jobs[i], options));
    if (options.json)
        print_json(outcomes);
    else if (options.compare)
        print_comparison(jobs, outcomes, options);
    if (options.console_after && at_a_terminal() && first_bad(outcomes) == ExitCode::good)
        outcomes.push_back(run_session(jobs.back(), options));
    return first_bad(outcomes);
}

} // namespace hv::nv
