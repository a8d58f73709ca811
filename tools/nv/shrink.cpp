#include "tools/nv/shrink.hpp"

#include "tools/nv/files.hpp"
#include "tools/nv/reproducer.hpp"
#include "tools/nv/scenario_edit.hpp"
#include "tools/nv/shrink_cuts.hpp"
#include "tools/nv/shrink_fault.hpp"
#include "tools/nv/shrink_search.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

// For candidates' files, and gone with us.
class WorkFolder {
public:
    WorkFolder() : path_{fs::temp_directory_path() / fmt::format("nv-shrink-{}", ::getpid())}
    {
        fs::create_directories(path_);
    }
    ~WorkFolder()
    {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    WorkFolder(WorkFolder const&) = delete;
    WorkFolder& operator=(WorkFolder const&) = delete;

    [[nodiscard]] fs::path const& path() const { return path_; }

private:
    fs::path path_;
};

std::uint64_t end_of(Json const& scenario)
{
    return number_of(scenario, "warmup_ns") + number_of(scenario, "duration_ns");
}

Json lasting(Json scenario, std::uint64_t end)
{
    erase_member(scenario, "warmup_ns");
    scenario.member("duration_ns") = Json::integer(static_cast<std::int64_t>(end));
    return scenario;
}

// Where a search ended.
struct End {
    Json scenario{};
    ShrinkFailure failure{};
    std::optional<ShrinkEvents> events{};

    // What somebody has to look at.
    [[nodiscard]] std::uint64_t size() const
    {
        return (events ? events->all() : 0) + shrink_parts()[0].count(scenario) + shrink_parts()[1].count(scenario);
    }
};

std::vector<std::string> lines_of_text(std::string_view text)
{
    std::vector<std::string> lines;
    while (!text.empty()) {
        lines.emplace_back(text.substr(0, text.find('\n')));
        text.remove_prefix(std::min(text.size(), lines.back().size() + 1));
    }
    return lines;
}

class Shrinker {
public:
    Shrinker(ShrinkOptions const& options, fs::path const& work)
        : options_{options},
          programs_{.suspect = program_of(options.program),
                    .sound = program_of(options.against),
                    .work = work,
                    .timeout = std::chrono::milliseconds{static_cast<std::int64_t>(options.timeout_s * 1000)}},
          fault_{fault_of()}, shown_{::isatty(STDERR_FILENO) == 1}
    {
    }
    ~Shrinker()
    {
        if (shown_)
            fmt::print(stderr, "\r\x1b[K");
    }
    Shrinker(Shrinker const&) = delete;
    Shrinker& operator=(Shrinker const&) = delete;

    void run()
    {
        Json scenario{loaded()};
        std::optional<ShrinkFailure> first{fault_(scenario)};
        if (!first)
            refuse(fmt::format("{}: does not fail; give --against, --bar or --command, or another --seed",
                               options_.scenario));
        before_ = scenario;
        best_.failure = *first;
        // How long it may take meanwhile decides what can go: much time lets VMs go that only hasten the failure,
        // little keeps what happens until then small. So three ways are gone, and the smallest end is taken.
        if (!has_time())
            consider(searched(std::move(scenario)));
        else
            for (std::uint64_t const slack : {0u, 3u, 1u})
                consider(attempt(before_, slack));
    }

    [[nodiscard]] Json result() const
    {
        Json scenario{best_.scenario};
        if (!options_.name.empty())
            scenario.member("name") = Json::from_text(options_.name);
        return scenario;
    }

    [[nodiscard]] Reproducer reproducer() const
    {
        Reproducer made{.found = fmt::format("nv shrink: {}", best_.failure.detail), .scenario = result()};
        made.bar = options_.bar;
        if (best_.failure.at_ns)
            made.decisions = lines_of_text(best_.failure.decisions);
        return made;
    }

    [[nodiscard]] std::string report() const
    {
        std::string text{fmt::format("{}: {}\n", options_.scenario, best_.failure.detail)};
        auto const line = [&](std::string_view what, std::size_t from, std::size_t to) {
            if (from != 0)
                text += fmt::format("  {:<18}{:>12} -> {}\n", what, from, to);
        };
        for (ShrinkParts const& parts : shrink_parts())
            line(parts.name, parts.count(before_), parts.count(best_.scenario));
        line("ns", end_of(before_), end_of(best_.scenario));
        line("bytes", json_line(before_).size(), json_line(best_.scenario).size());
        if (std::optional<ShrinkEvents> const& events = best_.events)
            text +=
                fmt::format("  {} events until it fails: {} starts of VMs, {} wake-ups, {} ended phases, {} changes\n",
                            events->all(), events->starts, events->wakes, events->phases, events->changes);
        return text + fmt::format("  {} runs{}\n", asked_,
                                  is_exhausted() ? "; the budget is used up, something may be left that could go" : "");
    }

private:
    static fs::path program_of(std::string const& given)
    {
        if (given.empty())
            return fs::read_symlink("/proc/self/exe");
        if (::access(given.c_str(), X_OK) != 0 || fs::is_directory(given))
            refuse(fmt::format("{}: is no program; give an nv", given));
        return fs::absolute(given);
    }

    [[nodiscard]] ShrinkFault fault_of() const
    {
        if (!options_.against.empty())
            return divergence_fault(programs_);
        if (!options_.bar.empty())
            return bar_fault(programs_, ShrinkBar::parse(options_.bar));
        return options_.command.empty() ? crash_fault(programs_) : command_fault(programs_, options_.command);
    }

    // Of schema 2, with what the command line says.
    [[nodiscard]] Json loaded() const
    {
        std::string const text{read_text(options_.scenario)};
        Json tree{parse_json(text, options_.scenario)};
        apply_overrides(tree, options_.overrides);
        static_cast<void>(parse_scenario(json_line(tree), options_.scenario));
        tree.member("schema") = Json::from_text("credit-scenario/2");
        return tree;
    }

    [[nodiscard]] bool is_exhausted() const { return asked_ >= options_.budget; }

    void show(std::size_t asked, std::string_view what) const
    {
        if (shown_)
            fmt::print(stderr, "\r\x1b[K{} runs; {} VMs, {} vCPUs, {} pCPUs, {} ns: {}", asked,
                       shrink_parts()[0].count(last_), shrink_parts()[1].count(last_), shrink_parts()[3].count(last_),
                       end_of(last_), what);
    }

    [[nodiscard]] bool still_fails(Json const& scenario)
    {
        std::optional<ShrinkFailure> const failure{fault_(scenario)};
        if (!failure || failure->way != best_.failure.way)
            return false;
        last_ = scenario;
        return true;
    }

    // Whether it can be known when it fails, and so what is not needed behind.
    [[nodiscard]] bool has_time() const { return options_.bar.empty() && options_.command.empty(); }

    // slack: of the time that it takes; 0: all there is, until VMs, vCPUs, nodes and pCPUs are few.
    [[nodiscard]] Json attempt(Json scenario, std::uint64_t slack)
    {
        if (slack == 0) {
            last_ = scenario;
            ShrinkSearch search{search_for()};
            scenario = search.drop_only(std::move(scenario), shrink_parts().first(4));
            asked_ += search.asked();
        }
        scenario = tightened(std::move(scenario), slack == 0 ? 3 : slack);
        for (std::size_t length{SIZE_MAX}; json_line(scenario).size() < length && !is_exhausted();) {
            length = json_line(scenario).size();
            scenario = tightened(searched(std::move(scenario)), 1);
        }
        return scenario;
    }

    void consider(Json scenario)
    {
        std::optional<ShrinkFailure> const failure{fault_(scenario)};
        if (!failure)
            give_up(fmt::format("{}: does not fail each time that it is run", options_.scenario));
        End end{std::move(scenario), *failure, {}};
        end.events = events_of(end.scenario, *failure);
        if (best_.scenario.kind == Json::Kind::null || end.size() < best_.size())
            best_ = std::move(end);
    }

    [[nodiscard]] ShrinkSearch search_for()
    {
        return {[&](Json const& candidate) { return still_fails(candidate); },
                options_.budget - std::min(asked_, options_.budget),
                [&](std::size_t asked, std::string_view what) { show(asked_ + asked, what); }};
    }

    [[nodiscard]] Json searched(Json scenario)
    {
        last_ = scenario;
        ShrinkSearch search{search_for()};
        scenario = search.run(std::move(scenario));
        asked_ += search.asked();
        return scenario;
    }

    // As short as it can be, times `slack`, where the time of the failure can be known: a crash or a divergence needs
    // what is before it and nothing behind.
    [[nodiscard]] Json tightened(Json scenario, std::uint64_t slack)
    {
        std::uint64_t const end{end_of(scenario)};
        std::uint64_t const needed{options_.against.empty() ? crash_time(scenario) : divergence_time(scenario)};
        if (needed * slack >= end)
            return scenario;
        Json shorter{lasting(scenario, std::max<std::uint64_t>(1, needed * slack))};
        return still_fails(shorter) ? shorter : scenario;
    }

    [[nodiscard]] std::uint64_t divergence_time(Json const& scenario)
    {
        ++asked_;
        std::optional<ShrinkFailure> const failure{fault_(scenario)};
        return failure && failure->at_ns ? *failure->at_ns : crash_time(scenario);
    }

    // The shortest duration that fails: all longer ones do.
    [[nodiscard]] std::uint64_t crash_time(Json const& scenario)
    {
        std::uint64_t low{0}, high{end_of(scenario)};
        while (high - low > 1 && !is_exhausted()) {
            std::uint64_t const middle{low + (high - low) / 2};
            ++asked_;
            show(asked_, "a shorter time");
            (still_fails(lasting(scenario, middle)) ? high : low) = middle;
        }
        return high;
    }

    // Until it fails; a crash is not survived, so that it is until one nanosecond before.
    [[nodiscard]] std::optional<ShrinkEvents> events_of(Json const& scenario, ShrinkFailure const& failure) const
    {
        if (!options_.command.empty())
            return std::nullopt;
        std::uint64_t const end{end_of(scenario)};
        bool const crashes{!failure.at_ns && options_.bar.empty()};
        // What happens at the very end counts in a run that goes on.
        return count_events(programs_, scenario, crashes ? end - 1 : failure.at_ns ? *failure.at_ns + 1 : end);
    }

    ShrinkOptions const& options_;
    ShrinkPrograms programs_;
    ShrinkFault fault_;
    bool shown_;
    std::size_t asked_{1};
    Json before_, last_;
    End best_;
};

ExitCode check_reproducer(std::string const& file)
{
    Reproducer const reproducer{Reproducer::parse(read_text(file), file)};
    std::string const complaint{complaint_about(reproducer, file)};
    fmt::print("{}: {}\n", file, complaint.empty() ? "holds" : complaint);
    return complaint.empty() ? ExitCode::good : ExitCode::failed;
}

void check_options(ShrinkOptions const& options)
{
    if (!(options.timeout_s >= 0.1 && options.timeout_s <= 1e6))
        refuse("--timeout: 0.1 to 1000000 seconds");
    if (options.budget < 1 || options.budget > 10'000'000)
        refuse("--budget: 1 to 10000000 runs");
    if (!options.test.empty() && !options.command.empty())
        refuse("--test: a command is no test that the suite could make; use --output");
}

} // namespace

ExitCode run_shrink(ShrinkOptions const& options)
{
    check_options(options);
    if (options.check)
        return check_reproducer(options.scenario);
    WorkFolder const work;
    Shrinker shrinker{options, work.path()};
    shrinker.run();
    if (!options.output.empty())
        write_text(options.output, json_text(shrinker.result()));
    if (!options.test.empty())
        write_text(options.test, shrinker.reproducer().text());
    fmt::print("{}", shrinker.report());
    if (options.output.empty() && options.test.empty())
        fmt::print("\n{}", json_text(shrinker.result()));
    return ExitCode::good;
}

void add_shrink(CLI::App& app, ShrinkOptions& options)
{
    CLI::App& command =
        *app.add_subcommand("shrink", "Make a scenario that fails as small as it gets, and a test of it");
    command.add_option("SCENARIO", options.scenario, "Scenario file that fails")->required();
    command.add_option("--seed", options.overrides.seed, "Seed of the workloads, instead of the scenario's");
    command.add_option("--policy", options.overrides.policy, "Scheduling policy, instead of the scenario's");
    command.add_option("--set", options.overrides.settings, "KEY=VALUE, as in nv sim; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--program", options.program, "The nv that fails (default: this one)");
    CLI::Option* const against =
        command.add_option("--against", options.against,
                           "It fails if it decides differently from this nv (default: if it crashes or hangs)");
    CLI::Option* const bar =
        command.add_option("--bar", options.bar, "It fails if this does not hold: guests.max_wait_ms<100")
            ->excludes(against);
    command.add_option("--command", options.command, "It fails as this does, with {} for the scenario's file")
        ->excludes(against)
        ->excludes(bar);
    command.add_option("-o,--output", options.output, "Scenario file to write");
    command.add_option("--test", options.test, "Test to write, for tests/reproducers");
    command.add_option("--name", options.name, "Name of the small scenario (default: the large one's)");
    command.add_option("--budget", options.budget, "How many scenarios it may run")->capture_default_str();
    command.add_option("--timeout", options.timeout_s, "Seconds on a host CPU after which a run hangs")
        ->capture_default_str();
    command.add_flag("--check", options.check, "SCENARIO is a test that --test wrote: say whether it holds");
    command.footer("Exit status: 0 done, 1 a test that is checked does not hold, 2 usage or bad input, also if the "
                   "scenario does not fail, 4 nv's own failure.");
}

} // namespace hv::nv
