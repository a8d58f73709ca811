#include "tools/nv/ab.hpp"

#include "tools/nv/ab_build.hpp"
#include "tools/nv/ab_history.hpp"
#include "tools/nv/ab_look.hpp"
#include "tools/nv/ab_report.hpp"
#include "tools/nv/ab_runs.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/folder_lock.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

namespace hv::nv {

namespace {

std::optional<double> family_mean(AbArm const& arm, std::vector<std::size_t> const& cells, std::uint64_t seed,
                                  std::size_t figure)
{
    double sum{0};
    for (std::size_t const cell : cells) {
        std::optional<double> const value{arm.at({cell, seed})[figure]};
        if (!value)
            return std::nullopt;
        sum += *value;
    }
    return sum / static_cast<double>(cells.size());
}

class AbComparison {
public:
    AbComparison(AbSuite const& suite, AbArm& base, AbArm& change, AbOptions const& options, RunLimits const& limits)
        : suite_{suite}, base_{base}, change_{change}, options_{options}, limits_{limits},
          seeds_(suite.cells.size(), options.seeds)
    {
        for (std::size_t i = 0; i < suite.cells.size(); ++i)
            families_[suite.cells[i].family].push_back(i);
    }

    [[nodiscard]] std::vector<AbRow> run()
    {
        std::vector<std::size_t> every(suite_.cells.size());
        for (std::size_t i = 0; i < every.size(); ++i)
            every[i] = i;
        run_both({&base_, &change_}, suite_, every, options_.seeds, limits_);
        std::vector<AbRow> first{rows()};
        std::set<std::size_t> again;
        for (AbRow const& row : first)
            if (looks_different(row))
                again.insert(row.cells.begin(), row.cells.end());
        if (again.empty() || options_.more_seeds <= options_.seeds) {
            judge_rows(first);
            return first;
        }
        run_both({&base_, &change_}, suite_, {again.begin(), again.end()}, options_.more_seeds, limits_);
        for (std::size_t const cell : again)
            seeds_[cell] = options_.more_seeds;
        std::vector<AbRow> second{rows()};
        judge_rows(second);
        return second;
    }

private:
    [[nodiscard]] std::vector<AbRow> rows() const
    {
        std::vector<AbRow> result;
        for (auto const& [name, cells] : families_)
            if (cells.size() > 1)
                add_rows(
                    result,
                    {.name = fmt::format("{} ({} scenarios)", name, cells.size()), .is_family = true, .cells = cells});
        for (std::size_t i = 0; i < suite_.cells.size(); ++i)
            add_rows(result, {.name = suite_.cells[i].name, .cells = {i}});
        return result;
    }

    void add_rows(std::vector<AbRow>& to, AbRow const& like) const
    {
        for (std::size_t figure = 0; figure < ab_figures.size(); ++figure) {
            AbRow row{like};
            row.figure = figure;
            unsigned seeds{options_.more_seeds};
            for (std::size_t const cell : row.cells)
                seeds = std::min(seeds, seeds_[cell]);
            for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
                auto const base = family_mean(base_, row.cells, seed, figure);
                auto const change = family_mean(change_, row.cells, seed, figure);
                if (!base || !change)
                    break;
                row.base.push_back(*base);
                row.change.push_back(*change);
            }
            if (row.base.size() != seeds)
                continue; // Not a figure of this scenario.
            measure(row);
            to.push_back(std::move(row));
        }
    }

    AbSuite const& suite_;
    AbArm& base_;
    AbArm& change_;
    AbOptions const& options_;
    RunLimits const& limits_;
    std::vector<unsigned> seeds_; // that are run, by cell
    std::map<std::string, std::vector<std::size_t>> families_;
};

std::string policy_text(AbSide const& side)
{
    std::string const name{side.policy.empty() ? "the scenarios'" : side.policy};
    return side.settings.empty() ? name : fmt::format("{} with {}", name, fmt::join(side.settings, ", "));
}

std::string suite_text(AbSuite const& suite, AbOptions const& options)
{
    std::size_t const cells{static_cast<std::size_t>(
        std::ranges::count_if(suite.cells, [](AbCell const& cell) { return cell.bench.has_value(); }))};
    std::string text{fmt::format("{} cells of the reference table, {} scenarios; ", cells, suite.cells.size() - cells)};
    if (options.scenarios.empty())
        text += fmt::format("{} s, ", options.seconds);
    return text + fmt::format("{} seeds, {} where it looks different; {}", options.seeds, options.more_seeds,
                              options.kernel ? "booted" : "simulated");
}

void check(AbOptions const& options)
{
    if (options.seeds < 2 || options.seeds > 1000 || options.more_seeds < options.seeds || options.more_seeds > 1000)
        refuse("--seeds, --more-seeds: 2 to 1000, and not fewer of the second");
    if (!(options.timeout_s >= 0.1 && options.timeout_s <= 1e6))
        refuse("--timeout: 0.1 to 1000000 seconds");
    if (options.kernel && !options.scenarios.empty())
        refuse("--kernel: boots the cells of the reference table, not --scenario files");
}

} // namespace

ExitCode run_ab(AbOptions const& options)
{
    check(options);
    AbPlaces const places{.self = options.self, .own = options.folder, .work = options.folder / "ab"};
    std::filesystem::create_directories(places.work);
    FolderLock const lock{places.work, "nv ab", "build with another O=DIR"}; // They would build in the same place.
    std::optional<GitTrees> trees;
    try {
        trees.emplace(".", places.work);
    } catch (Error const&) {
        // Two policies need none; who needs one says so.
    }
    AbSides const sides{resolve_sides(options.words, trees)};
    RunLimits const limits{.jobs = options.jobs,
                           .timeout = std::chrono::milliseconds{static_cast<std::int64_t>(options.timeout_s * 1000)},
                           .kernel = options.kernel};
    AbSuite const suite{make_suite({.scenarios = {options.scenarios.begin(), options.scenarios.end()},
                                    .pattern = options.pattern,
                                    .seconds = options.seconds,
                                    .bench_only = options.kernel},
                                   trees ? trees->root() : ".")};
    GitTrees const* const git{trees ? &*trees : nullptr};
    AbArm base{sides.base, AbProgram{sides.base, git, places, limits.kernel}, suite, places, limits};
    AbArm change{sides.change, AbProgram{sides.change, git, places, limits.kernel}, suite, places, limits};
    bool const same{change.is_same_as(base)};
    AbReport report{.base = sides.base.name,
                    .change = sides.change.name,
                    .policy = policy_text(sides.base),
                    .suite = suite_text(suite, options),
                    .rows = AbComparison{suite, base, same ? base : change, options, limits}.run(),
                    .look_title = {},
                    .look_command = {},
                    .look = {}};
    if (std::string const other{policy_text(sides.change)}; other != report.policy)
        report.policy += " against " + other;
    if (!same)
        add_look(report, suite, base, change, places);
    if (!options.html.empty())
        write_text(options.html, ab_html(report));
    if (!options.save.empty() && trees) {
        save_side(options.save, sides.base, *trees, report, true, options.seeds);
        save_side(options.save, sides.change, *trees, report, false, options.seeds);
        write_history_page(options.save);
    }
    fmt::print("{}", options.json ? ab_json(report) : ab_text(report, options.all));
    return report.count(AbVerdict::worse) == 0 ? ExitCode::good : ExitCode::failed;
}

void add_ab(CLI::App& app, AbOptions& options)
{
    CLI::App& command = *app.add_subcommand("ab", "Compare two versions of the scheduler: what got better, what worse");
    command
        .add_option("BASE", options.words.base,
                    "A git revision, a patch file, . for the working tree, or a policy: NAME[:KEY=VALUE,...]")
        ->required();
    command.add_option("CHANGE", options.words.change, "The same; a patch is applied to BASE")->required();
    command.add_option("--policy", options.words.policy,
                       "Policy of sides that name none (default: the one whose folder differs, else the scenarios')");
    command.add_option("--set", options.words.settings, "KEY=VALUE for such sides, as in nv sim; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--scenario", options.scenarios, "Run these files, as they are, instead of the suite");
    command.add_option("-k", options.pattern, "Only scenarios with this in their name");
    command.add_option("--seconds", options.seconds, "Virtual seconds of a run of the suite")->capture_default_str();
    command.add_option("--seeds", options.seeds, "Seeds of each scenario")->capture_default_str();
    command.add_option("--more-seeds", options.more_seeds, "Seeds of what looks different")->capture_default_str();
    command.add_option("--jobs", options.jobs, "Runs at a time (default: one a host CPU)");
    command.add_option("--timeout", options.timeout_s, "Seconds on a host CPU after which a run is a hang")
        ->capture_default_str();
    command.add_flag("--kernel", options.kernel, "Boot the cells of the reference table instead of simulating");
    command.add_flag("--all", options.all, "Also show what is the same");
    command.add_option("--html", options.html, "Also one self-contained page");
    command.add_option("--save", options.save,
                       "Also leave the figures of sides that are commits in this folder, and a page of all in it");
    command.add_flag("--json", options.json, "The report as JSON");
    command.footer(
        "Exit status: 0 nothing is worse, 1 something is, 2 usage or bad input, 3 timed out, 4 a side could not "
        "be built, booted or run.");
}

} // namespace hv::nv
