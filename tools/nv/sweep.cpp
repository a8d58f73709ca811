#include "tools/nv/sweep.hpp"

#include "tools/nv/ab_figures.hpp"
#include "tools/nv/ab_key.hpp"
#include "tools/nv/bench_kernel.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/folder_lock.hpp"
#include "tools/nv/metrics_json.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/sim.hpp"
#include "tools/nv/sweep_results.hpp"
#include "tools/nv/workers.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstring>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_told{5};
constexpr std::size_t most_per_process{64};

// This very program, however it was called.
fs::path own_program() { return fs::read_symlink("/proc/self/exe"); }

// As a word of a shell's command line.
std::string shell_word(std::string const& text)
{
    std::string word{"'"};
    for (char const c : text)
        word += c == '\'' ? std::string{"'\\''"} : std::string{c};
    return word + "'";
}

// Shares differ on purpose, so that they are held to what they should be.
bool has_shares(Scenario const& scenario)
{
    return std::ranges::any_of(scenario.domains, [&](Domain const& domain) {
        return domain.weight != scenario.domains.front().weight || domain.cap != 0;
    });
}

class Sweep {
public:
    explicit Sweep(SweepOptions const& options)
        : options_{options}, grid_{SweepGrid::load(options.grid)}, program_{code_key(own_program())},
          folder_{options.out.empty() ? grid_.name() + ".sweep" : options.out}
    {
    }

    [[nodiscard]] SweepGrid const& grid() const { return grid_; }
    [[nodiscard]] fs::path const& folder() const { return folder_; }

    [[nodiscard]] SweepIdentity identity_of(std::size_t run) const
    {
        SweepGrid::Point const point{grid_.point(run)};
        std::vector<std::string> names;
        for (SweepAxis const& axis : grid_.axes())
            names.push_back(axis.name);
        return {.program = program_,
                .scenario = grid_.scenario_of(point).key,
                .names = std::move(names),
                .values = grid_.values(point)};
    }

    // Says in the folder what it is for. `is_master`: even if it was for another version of the grid or of nv.
    void open_folder(bool is_master) const
    {
        fs::create_directories(folder_);
        SweepFolder const wanted{SweepFolder::of(grid_, program_)};
        fs::path const file{folder_ / SweepFolder::file_name};
        if (fs::exists(file) && read_text(file) == wanted.text())
            return;
        if (fs::exists(file)) {
            if (SweepFolder const there{SweepFolder::load(folder_)}; there.name != wanted.name)
                refuse(fmt::format("{}: has the sweep \"{}\"; give another --out for \"{}\"", folder_.string(),
                                   there.name, wanted.name));
            if (!is_master)
                refuse(fmt::format("{}: belongs to another version of {} or of nv; call nv sweep without --runs once, "
                                   "or give another --out",
                                   folder_.string(), options_.grid));
        }
        replace_file(file, wanted.text());
    }

    // In this process.
    void run_here(std::vector<std::size_t> const& runs) const
    {
        for (std::size_t const run : runs) {
            std::string damage;
            std::optional<SweepResult> const kept{kept_result(folder_, identity_of(run).key(), damage)};
            if (!kept || (options_.retry && !kept->failed.empty()))
                keep_result(folder_, simulated(run));
            fmt::print("{}\n", run);
            std::fflush(stdout);
        }
    }

    // What is not there, or damaged and told.
    [[nodiscard]] std::vector<std::size_t> missing() const
    {
        std::vector<std::size_t> runs;
        std::size_t told{0};
        for (std::size_t run = 0; run < grid_.runs(); ++run) {
            std::string damage;
            std::string const key{identity_of(run).key()};
            std::optional<SweepResult> const kept{kept_result(folder_, key, damage)};
            if (kept && !(options_.retry && !kept->failed.empty()))
                continue;
            runs.push_back(run);
            if (!damage.empty() && told++ < most_told)
                fmt::print(stderr, "nv: {}: {}; run {} is made again\n", result_file(folder_, key).string(), damage,
                           run);
        }
        if (told > most_told)
            fmt::print(stderr, "nv: and {} more\n", told - most_told);
        return runs;
    }

    // In processes of their own, one after the other; `done` is called for each run.
    void run_apart(std::vector<std::size_t> runs, std::function<void(std::size_t)> const& done) const
    {
        while (!runs.empty()) {
            std::size_t ready{0};
            ProcessResult const result{run_process(child(runs), [&](std::string_view) {
                if (ready < runs.size())
                    done(runs[ready++]);
            })};
            runs.erase(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(ready));
            if (runs.empty())
                return;
            keep_result(folder_, {.identity = identity_of(runs.front()), .failed = blame(result)});
            done(runs.front());
            runs.erase(runs.begin());
        }
    }

    // Results without figures among all, and the first of them in words.
    [[nodiscard]] std::size_t tell_failures() const
    {
        std::size_t count{0};
        for (std::size_t run = 0; run < grid_.runs(); ++run) {
            std::string damage;
            SweepIdentity const identity{identity_of(run)};
            std::optional<SweepResult> const kept{kept_result(folder_, identity.key(), damage)};
            if (!kept)
                give_up(fmt::format("{}: run {} was made and is not there", folder_.string(), run));
            if (!kept->failed.empty() && count++ < most_told)
                fmt::print(stderr, "nv: {}: {}\n", point_text(identity.names, identity.values), kept->failed);
        }
        if (count > most_told)
            fmt::print(stderr, "nv: and {} more\n", count - most_told);
        return count;
    }

    [[nodiscard]] std::vector<std::string> command(std::string const& runs) const
    {
        return {own_program().string(),
                "sweep",
                fs::absolute(options_.grid).string(),
                "--out",
                fs::absolute(folder_).string(),
                "--runs",
                runs};
    }

private:
    [[nodiscard]] SweepResult simulated(std::size_t run) const
    {
        SweepResult result{.identity = identity_of(run)};
        try {
            Scenario const scenario{grid_.resolve(grid_.point(run))};
            std::uint64_t events{0};
            Metrics const metrics{simulate(scenario, nullptr, &events)};
            Json const said{parse_json(metrics_json(metrics, {.scenario = scenario.name,
                                                              .policy = scenario.policy,
                                                              .seed = scenario.seed,
                                                              .source = "simulator",
                                                              .lost_records = 0,
                                                              .events = events}),
                                       "figures")};
            result.run = json_line(said);
            AbValues const values{values_of(said, scenario, has_shares(scenario))};
            for (std::size_t i = 0; i < values.size(); ++i)
                if (values[i])
                    result.figures.emplace_back(ab_figures[i].key, *values[i]);
        } catch (Error const& error) {
            result.failed = error.what();
        }
        return result;
    }

    [[nodiscard]] ProcessSpec child(std::vector<std::size_t> const& runs) const
    {
        ProcessSpec spec{.words = command(runs_text(runs)), .folder = "."};
        if (options_.retry)
            spec.words.emplace_back("--retry");
        spec.silence_limit = std::chrono::milliseconds{static_cast<std::int64_t>(options_.timeout_s * 1000)};
        spec.total_limit = {};
        return spec;
    }

    // Why a process did not make its next run, if that is the run's own fault: then it would happen every time.
    [[nodiscard]] std::string blame(ProcessResult const& result) const
    {
        std::string const complaint{last_complaint(result.errors)};
        if (result.ending == Ending::silent)
            return fmt::format("gave no figures for {:g} s of a host CPU; see --timeout", options_.timeout_s);
        bool const is_crash{result.ending == Ending::killed_by_signal &&
                            (result.status == SIGABRT || result.status == SIGSEGV || result.status == SIGBUS ||
                             result.status == SIGILL || result.status == SIGFPE)};
        if (is_crash)
            return complaint.empty() ? fmt::format("{} (signal {})", strsignal(result.status), result.status)
                                     : complaint;
        if (result.ending == Ending::interrupted)
            give_up("interrupted; what is done is kept, the same command goes on");
        give_up(complaint.empty()
                    ? fmt::format("a process of the sweep ended early, with {}; what is done is kept, the "
                                  "same command goes on",
                                  result.status)
                    : complaint);
    }

    SweepOptions const& options_;
    SweepGrid grid_;
    std::string program_;
    fs::path folder_;
};

void write_jobs(Sweep const& sweep, SweepOptions const& options)
{
    if (options.per_line == 0)
        refuse("--per-line: at least 1");
    std::string text;
    for (std::size_t first = 0; first < sweep.grid().runs(); first += options.per_line) {
        std::size_t const last{std::min(first + options.per_line, sweep.grid().runs()) - 1};
        std::vector<std::string> words;
        for (std::string const& word :
             sweep.command(first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last)))
            words.push_back(shell_word(word));
        text += fmt::format("{}\n", fmt::join(words, " "));
    }
    write_text(options.jobs_file, text);
}

// Of processes that were killed.
void remove_parts(fs::path const& folder)
{
    std::error_code ignored;
    for (auto const& entry : fs::directory_iterator{folder})
        if (entry.path().extension() == ".part")
            fs::remove(entry.path(), ignored);
}

ExitCode run_all(Sweep const& sweep, SweepOptions const& options)
{
    FolderLock const lock{sweep.folder(), "nv sweep", "give another --out"};
    remove_parts(sweep.folder());
    std::vector<std::size_t> const missing{sweep.missing()};
    auto const threads =
        static_cast<unsigned>(options.jobs != 0 ? options.jobs : std::max<std::size_t>(1, allowed_cpus().size()));
    // Large enough that starting a process costs little, small enough that all end at the same time.
    std::size_t const chunk{std::clamp<std::size_t>(missing.size() / (std::size_t{threads} * 8), 1, most_per_process)};
    JobProgress progress{missing.size()};
    run_jobs((missing.size() + chunk - 1) / chunk, threads, [&](std::size_t i, unsigned) {
        auto const first = missing.begin() + static_cast<std::ptrdiff_t>(i * chunk);
        auto const last = missing.begin() + static_cast<std::ptrdiff_t>(std::min(missing.size(), (i + 1) * chunk));
        sweep.run_apart({first, last}, [&](std::size_t run) { progress.done(fmt::format("run {}", run)); });
    });
    std::size_t const failures{sweep.tell_failures()};
    fmt::print("{}: {} runs in {}, {} made now, {} without figures\n", sweep.grid().name(), sweep.grid().runs(),
               sweep.folder().string(), missing.size(), failures);
    return failures == 0 ? ExitCode::good : ExitCode::failed;
}

std::size_t parse_run(std::string_view text, std::size_t count)
{
    std::size_t run{0};
    auto const read = std::from_chars(text.data(), text.data() + text.size(), run);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size())
        refuse(fmt::format("--runs: \"{}\" is no number of a run; give a list like 0-99,200", text));
    if (run >= count)
        refuse(fmt::format("--runs: there is no run {}, the grid has {}, from 0", run, count));
    return run;
}

} // namespace

std::vector<std::size_t> parse_runs(std::string_view text, std::size_t count)
{
    std::vector<std::size_t> runs;
    for (bool more = true; more;) {
        std::size_t const comma{std::min(text.find(','), text.size())};
        std::string_view const range{text.substr(0, comma)};
        std::size_t const dash{range.find('-')};
        std::size_t const first{parse_run(range.substr(0, dash), count)};
        std::size_t const last{dash == std::string_view::npos ? first : parse_run(range.substr(dash + 1), count)};
        if (last < first)
            refuse(fmt::format("--runs: {} is empty, give the lower number first", range));
        for (std::size_t run = first; run <= last; ++run)
            runs.push_back(run);
        more = comma < text.size();
        text.remove_prefix(more ? comma + 1 : comma);
    }
    std::ranges::sort(runs);
    runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
    return runs;
}

std::string runs_text(std::vector<std::size_t> const& runs)
{
    std::vector<std::string> ranges;
    for (std::size_t i = 0; i < runs.size();) {
        std::size_t end{i};
        while (end + 1 < runs.size() && runs[end + 1] == runs[end] + 1)
            ++end;
        ranges.push_back(end == i ? fmt::format("{}", runs[i]) : fmt::format("{}-{}", runs[i], runs[end]));
        i = end + 1;
    }
    return fmt::format("{}", fmt::join(ranges, ","));
}

ExitCode run_sweep(SweepOptions const& options)
{
    if (!(options.timeout_s >= 0.1 && options.timeout_s <= 1e6))
        refuse("--timeout: 0.1 to 1000000 seconds");
    Sweep const sweep{options};
    if (!options.runs.empty()) {
        std::vector<std::size_t> const runs{parse_runs(options.runs, sweep.grid().runs())};
        sweep.open_folder(false);
        sweep.run_here(runs);
        return ExitCode::good;
    }
    sweep.grid().check();
    sweep.open_folder(true);
    if (options.jobs_file.empty())
        return run_all(sweep, options);
    write_jobs(sweep, options);
    return ExitCode::good;
}

void add_sweep(CLI::App& app, SweepOptions& options)
{
    CLI::App& command =
        *app.add_subcommand("sweep", "Simulate every point of a grid: scenarios, policies, parameters, seeds");
    command.add_option("GRID", options.grid, "File that says what is varied, see docs/sweeps.md")->required();
    command.add_option("--out", options.out, "Folder for the results (default: the grid's NAME.sweep)");
    command.add_option("--jobs", options.jobs, "Runs at a time (default: one a host CPU)");
    command.add_option("--timeout", options.timeout_s, "Seconds on a host CPU after which a run is a hang")
        ->capture_default_str();
    command.add_flag("--retry", options.retry, "Also make again what has no figures");
    CLI::Option* const jobs_file = command.add_option(
        "--jobs-file", options.jobs_file, "Only write commands that make the runs, one a line, in any order, anywhere");
    command.add_option("--per-line", options.per_line, "Runs of each such command")
        ->capture_default_str()
        ->needs(jobs_file);
    command.add_option("--runs", options.runs, "Only these runs, in this process: 0-99,200")->excludes(jobs_file);
    command.footer("A sweep that was killed goes on where it was. nv merge shows what came out.\n"
                   "Exit status: 0 every run has figures, 1 one has none, 2 usage or bad input, 4 nv's own failure.");
}

} // namespace hv::nv
