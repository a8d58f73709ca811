#include "tools/nv/ab_runs.hpp"

#include "tools/nv/ab_key.hpp"
#include "tools/nv/bench_kernel.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_output{std::size_t{64} << 20}; // a run's figures are some ten KiB
constexpr std::uint64_t probe_ns{300'000'000};

// One for each side: they run at the same time.
fs::path scenario_file(AbPlaces const& places, AbSide const& side, AbCell const& cell, std::uint64_t seed)
{
    return places.work / (side.role + "-scenarios") / fmt::format("{}-{}.json", cell.name, seed);
}

// Of everything that the figures depend on.
std::string run_key(AbSide const& side, std::string_view scenario)
{
    KeyHash hash;
    hash.add(scenario);
    hash.add(side.policy);
    for (std::string const& setting : side.settings)
        hash.add(setting);
    for (AbFigure const& figure : ab_figures)
        hash.add(fmt::format("{} {}", figure.key, figure.path));
    return hash.hex();
}

BenchSetup booted_setup(AbSide const& side, std::uint64_t seconds)
{
    BenchSetup setup{.seconds = seconds};
    for (std::string const& setting : side.settings) {
        std::size_t const equals{setting.find('=')};
        setup.policy_members.push_back(
            fmt::format("{}: {}", json_string(setting.substr(0, equals)), setting.substr(equals + 1)));
    }
    return setup;
}

} // namespace

std::map<std::size_t, std::vector<std::uint64_t>> AbArm::missing(std::span<Run const> wanted)
{
    fs::path const kept{places_.work / "results" / program_.key()};
    fs::create_directories(kept);
    std::map<std::size_t, std::vector<std::uint64_t>> result;
    for (Run const& run : wanted) {
        if (values_.contains(run))
            continue;
        fs::path const file{kept / run_key(side_, suite_.text_of(suite_.cells[run.first], run.second))};
        if (fs::exists(file))
            values_[run] = values_from(read_text(file), file.string());
        else
            result[run.first].push_back(run.second);
    }
    return result;
}

void AbArm::keep(std::size_t cell, std::uint64_t seed, AbValues const& values)
{
    fs::path const file{places_.work / "results" / program_.key() /
                        run_key(side_, suite_.text_of(suite_.cells[cell], seed))};
    fs::path const part{file.string() + ".part"};
    write_text(part, values_text(values));
    fs::rename(part, file);
    values_[{cell, seed}] = values;
}

void AbArm::make_ready(std::vector<std::size_t> const& cells, unsigned threads)
{
    if (ready_)
        return;
    ready_ = true;
    program_.build();
    if (limits_.kernel)
        return; // A boot shows soon enough.
    fs::create_directories(places_.work / (side_.role + "-scenarios"));
    for (std::size_t const cell : cells)
        write_text(scenario_file(places_, side_, suite_.cells[cell], 1), suite_.text_of(suite_.cells[cell], 1));
    JobProgress progress{cells.size()};
    run_jobs(cells.size(), threads, [&](std::size_t i, unsigned) {
        // Ours take a hundredth of a second; the user's may be of any size.
        bool const is_ours{!suite_.cells[cells[i]].as_it_is};
        static_cast<void>(simulate(cells[i], {1},
                                   {"--set", "warmup_ns=0", "--set", fmt::format("duration_ns={}", probe_ns)},
                                   is_ours ? limits_.timeout / 3 : limits_.timeout));
        progress.done(fmt::format("{}: {}", side_.role, suite_.cells[cells[i]].name));
    });
}

std::vector<AbValues> AbArm::run(std::size_t cell, std::vector<std::uint64_t> const& seeds, unsigned thread) const
{
    std::vector<AbValues> values;
    if (limits_.kernel) {
        for (std::uint64_t const seed : seeds)
            values.push_back(boot(cell, seed, thread));
        return values;
    }
    AbCell const& what{suite_.cells[cell]};
    for (std::uint64_t const seed : seeds)
        write_text(scenario_file(places_, side_, what, seed), suite_.text_of(what, seed));
    std::string const said{simulate(cell, seeds, {}, limits_.timeout)};
    try {
        Json const runs{parse_json(said, "nv sim")};
        if (runs.items.size() != seeds.size())
            give_up(fmt::format("{} runs came of {}", runs.items.size(), seeds.size()));
        for (std::size_t i = 0; i < seeds.size(); ++i) {
            Scenario const scenario{
                parse_scenario(suite_.text_of(what, seeds[i]), what.name, {.policy = side_.policy})};
            values.push_back(values_of(runs.items[i], scenario, what.has_shares()));
        }
    } catch (Error const& error) {
        give_up(blame(cell, fmt::format("its figures make no sense: {}", error.what())));
    }
    return values;
}

std::string AbArm::blame(std::size_t cell, std::string_view what) const
{
    return fmt::format("{}, {}: {}: {}", side_.role, side_.name, suite_.cells[cell].name, what);
}

bool AbArm::is_same_as(AbArm& other)
{
    return program_.key() == other.program_.key() && side_.policy == other.side_.policy &&
           side_.settings == other.side_.settings;
}

std::vector<std::string> AbArm::sim_command(std::vector<std::string> const& options,
                                            std::vector<fs::path> const& files) const
{
    std::vector<std::string> words{program_.nv().string(), "sim", "--json", "--jobs", "1"};
    if (!side_.policy.empty())
        words.insert(words.end(), {"--policy", side_.policy});
    for (std::string const& setting : side_.settings)
        words.insert(words.end(), {"--set", setting});
    words.insert(words.end(), options.begin(), options.end());
    for (fs::path const& file : files)
        words.push_back(fs::absolute(file).string());
    return words;
}

// What it said on stdout.
std::string AbArm::simulate(std::size_t cell, std::vector<std::uint64_t> const& seeds,
                            std::vector<std::string> const& options, std::chrono::milliseconds limit) const
{
    std::vector<fs::path> files;
    for (std::uint64_t const seed : seeds)
        files.push_back(scenario_file(places_, side_, suite_.cells[cell], seed));
    ProcessSpec spec{.words = sim_command(options, files), .folder = "."};
    spec.silence_limit = limit;
    spec.total_limit = {};
    spec.output_limit = most_output;
    ProcessResult result{run_process(spec, [](std::string_view) {})};
    std::string const complaint{last_complaint(result.errors)};
    switch (result.ending) {
    case Ending::silent:
    case Ending::overdue:
        throw Error{ExitCode::timed_out, blame(cell, fmt::format("gave no figures for {:g} s; see --timeout",
                                                                 static_cast<double>(limit.count()) / 1000))};
    case Ending::talkative:
        give_up(blame(cell, fmt::format("wrote more than {} MiB", most_output >> 20)));
    case Ending::interrupted:
        give_up("interrupted");
    case Ending::killed_by_signal:
        give_up(blame(cell, complaint.empty() ? fmt::format("{} (signal {})", strsignal(result.status), result.status)
                                              : complaint));
    case Ending::exited:
        break;
    }
    if (result.status == 0)
        return std::move(result.output);
    bool const refused{result.status == static_cast<int>(ExitCode::bad_input) && side_.is_policy};
    throw Error{refused ? ExitCode::bad_input : ExitCode::own_failure,
                blame(cell, complaint.empty() ? fmt::format("ended with status {}", result.status) : complaint)};
}

AbValues AbArm::boot(std::size_t cell, std::uint64_t seed, unsigned thread) const
{
    BenchCell bench{*suite_.cells[cell].bench};
    if (!side_.policy.empty())
        bench.column.policy = side_.policy;
    std::vector<unsigned> const cpus{allowed_cpus()};
    KernelRunner const runner{.self = fs::absolute(program_.nv()),
                              .kernel = program_.kernel(),
                              .out = places_.work / (side_.role + "-booted"),
                              .silence = limits_.timeout};
    try {
        return values_of(runner.run(bench, booted_setup(side_, suite_.seconds), seed, cpus[thread % cpus.size()]),
                         bench.row);
    } catch (Error const& error) {
        bool const is_usual{error.code() == ExitCode::timed_out ||
                            (error.code() == ExitCode::bad_input && side_.is_policy)};
        throw Error{is_usual ? error.code() : ExitCode::own_failure, blame(cell, error.what())};
    }
}

namespace {

struct RunTask {
    AbArm* arm;
    std::size_t cell;
    std::vector<std::uint64_t> seeds;
};

// A boot takes long: each is a task, so that after one that fails nobody waits for others.
void add_tasks(std::vector<RunTask>& tasks, AbArm& arm, std::size_t cell, std::vector<std::uint64_t> const& seeds,
               bool kernel)
{
    if (!kernel)
        tasks.push_back({&arm, cell, seeds});
    else
        for (std::uint64_t const seed : seeds)
            tasks.push_back({&arm, cell, {seed}});
}

} // namespace

void run_both(std::array<AbArm*, 2> arms, AbSuite const& suite, std::vector<std::size_t> const& cells, unsigned seeds,
              RunLimits const& limits)
{
    std::vector<AbArm::Run> wanted;
    for (std::size_t const cell : cells)
        for (std::uint64_t seed = 1; seed <= seeds; ++seed)
            wanted.emplace_back(cell, seed);
    auto const threads =
        static_cast<unsigned>(limits.jobs != 0 ? limits.jobs : std::max<std::size_t>(1, allowed_cpus().size()));
    std::vector<RunTask> tasks;
    for (AbArm* const arm : std::span{arms}.first(arms[0] == arms[1] ? 1 : 2)) {
        auto const missing = arm->missing(wanted);
        if (!missing.empty())
            arm->make_ready(cells, threads);
        for (auto const& [cell, of_cell] : missing)
            add_tasks(tasks, *arm, cell, of_cell, limits.kernel);
    }
    // A cell of one side beside the same one of the other, and not waiting for the largest at the end; first of the
    // change, which may not work.
    std::ranges::stable_sort(tasks, {}, [&](RunTask const& task) { return std::pair{task.cell, task.arm == arms[0]}; });
    std::mutex mutex;
    JobProgress progress{tasks.size()};
    run_jobs(tasks.size(), threads, [&](std::size_t i, unsigned thread) {
        RunTask const& task{tasks[i]};
        std::vector<AbValues> const values{task.arm->run(task.cell, task.seeds, thread)};
        std::lock_guard const guard{mutex};
        for (std::size_t n = 0; n < values.size(); ++n)
            task.arm->keep(task.cell, task.seeds[n], values[n]);
        progress.done(fmt::format("{}: {}", task.arm->side().role, suite.cells[task.cell].name));
    });
}

} // namespace hv::nv
