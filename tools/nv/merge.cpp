#include "tools/nv/merge.hpp"

#include "tools/nv/ab_figures.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/sweep_results.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_shown{5};

// An axis of several folders has the values of all, in the order in which they come.
void add_values(std::vector<std::string>& values, std::vector<std::string> const& more)
{
    for (std::string const& value : more)
        if (std::ranges::find(values, value) == values.end())
            values.push_back(value);
}

// Seeds are numbers; folders may have parts of them.
bool sooner_seed(std::string const& a, std::string const& b)
{
    return a.size() != b.size() ? a.size() < b.size() : a < b;
}

// A number somewhere below a run's JSON: "guests.wake_latency.p99_us", "groups.db.jobs_per_s".
std::optional<double> figure_at(Json const& run, std::string_view path)
{
    Json const* at{&run};
    while (!path.empty() && at != nullptr) {
        std::size_t const dot{std::min(path.find('.'), path.size())};
        at = at->find(path.substr(0, dot));
        path.remove_prefix(std::min(path.size(), dot + 1));
    }
    bool const is_number{at != nullptr && (at->kind == Json::Kind::integer || at->kind == Json::Kind::real)};
    return is_number ? std::optional{as_double(*at)} : std::nullopt;
}

class Merger {
public:
    explicit Merger(MergeOptions const& options) : options_{options}
    {
        for (std::string const& folder : options.folders)
            open(folder);
        choose_figures();
        limit_axes();
    }

    [[nodiscard]] Merged run()
    {
        for (std::string const& folder : options_.folders)
            read(folder);
        merged_.name = name_;
        std::size_t const seeds{seed_axis_ == npos ? 1 : axes_[seed_axis_].values.size()};
        for (std::size_t i = 0; i < axes_.size(); ++i)
            if (i != seed_axis_)
                merged_.axes.push_back(axes_[i]);
        merged_.runs = seeds;
        for (MergeAxis const& axis : merged_.axes)
            merged_.runs *= axis.values.size();
        std::vector<std::size_t> at(merged_.axes.size(), 0);
        do
            merged_.rows.push_back(row_of(at));
        while (next(at));
        for (MergeFigure const& figure : merged_.figures)
            require(figure);
        return std::move(merged_);
    }

private:
    static constexpr std::size_t npos{static_cast<std::size_t>(-1)};

    struct Taken {
        SweepResult result;
        std::string file;
    };

    void open(std::string const& folder)
    {
        SweepFolder const here{SweepFolder::load(folder)};
        if (axes_.empty())
            name_ = here.name;
        else if (name_ != here.name)
            refuse(fmt::format("{}: has the sweep \"{}\", the folders before \"{}\"; merge them one by one", folder,
                               here.name, name_));
        for (std::size_t i = 0; i < here.axes.size(); ++i) {
            auto const& [name, values] = here.axes[i];
            bool const is_new{axes_.size() == i && folder == options_.folders.front()};
            if (is_new)
                axes_.push_back({name, {}});
            if (i >= axes_.size() || axes_[i].name != name || (!is_new && axes_.size() != here.axes.size()))
                refuse(fmt::format("{}: its grid does not vary the same as {}; merge them one by one", folder,
                                   options_.folders.front()));
            add_values(axes_[i].values, values);
            seed_axis_ = name == "seed" ? i : seed_axis_;
        }
        for (std::string const& scenario : here.scenarios)
            valid_.insert({here.program, scenario});
    }

    void choose_figures()
    {
        for (AbFigure const& figure : ab_figures)
            if (options_.figures.empty() || std::ranges::find(options_.figures, figure.key) != options_.figures.end())
                merged_.figures.push_back(
                    {std::string{figure.key}, std::string{figure.title}, std::string{figure.unit}, figure.digits});
        for (std::string const& key : options_.figures)
            if (std::ranges::find(ab_figures, key, &AbFigure::key) == ab_figures.end())
                merged_.figures.push_back({key, key, "", 4});
    }

    void limit_axes()
    {
        for (std::string const& word : options_.only) {
            std::size_t const equals{word.find('=')};
            auto const axis = std::ranges::find(axes_, word.substr(0, equals), &MergeAxis::name);
            if (equals == std::string::npos || axis == axes_.end())
                refuse(fmt::format("--only {}: give AXIS=VALUE; the sweep varies {}", word, axis_names()));
            std::string const value{word.substr(equals + 1)};
            if (std::ranges::find(axis->values, value) == axis->values.end())
                refuse(fmt::format("--only {}: no such value; there are {}", word, fmt::join(axis->values, ", ")));
            axis->values = {value};
        }
        if (seed_axis_ != npos)
            std::ranges::sort(axes_[seed_axis_].values, sooner_seed);
    }

    [[nodiscard]] std::string axis_names() const
    {
        std::vector<std::string> names;
        for (MergeAxis const& axis : axes_)
            names.push_back(axis.name);
        return fmt::format("{}", fmt::join(names, ", "));
    }

    void read(std::string const& folder)
    {
        std::vector<fs::path> files;
        for (auto const& entry : fs::directory_iterator{folder})
            if (entry.path().extension() == ".json" && entry.path().filename() != SweepFolder::file_name)
                files.push_back(entry.path());
        std::ranges::sort(files);
        for (fs::path const& file : files) {
            std::string damage;
            std::optional<SweepResult> result{kept_result(folder, file.stem().string(), damage)};
            if (!result)
                merged_.damaged.push_back(fmt::format("{}: {}", file.string(), damage));
            else if (!valid_.contains({result->identity.program, result->identity.scenario}) || !names_fit(*result))
                ++merged_.outdated;
            else
                take(std::move(*result), file.string());
        }
    }

    [[nodiscard]] bool names_fit(SweepResult const& result) const
    {
        return std::ranges::equal(result.identity.names, axes_, {}, {}, &MergeAxis::name);
    }

    void take(SweepResult result, std::string file)
    {
        auto const [there, is_new] = taken_.try_emplace(result.identity.values, Taken{});
        if (is_new)
            there->second = {std::move(result), std::move(file)};
        else if (there->second.result.run != result.run || there->second.result.failed != result.failed)
            conflicts_.try_emplace(result.identity.values, fmt::format("{} and {} differ", there->second.file, file));
    }

    static std::string text_of(std::vector<MergeAxis> const& axes, std::vector<std::string> const& values)
    {
        std::vector<std::string> names;
        for (MergeAxis const& axis : axes)
            names.push_back(axis.name);
        return point_text(names, values);
    }

    [[nodiscard]] MergeRow row_of(std::vector<std::size_t> const& at)
    {
        MergeRow row;
        for (std::size_t i = 0; i < at.size(); ++i)
            row.values.push_back(merged_.axes[i].values[at[i]]);
        row.by_seed.resize(merged_.figures.size());
        std::vector<std::string> const no_seed{""};
        for (std::string const& seed : seed_axis_ == npos ? no_seed : axes_[seed_axis_].values) {
            std::vector<std::string> values{row.values};
            if (seed_axis_ != npos)
                values.insert(values.begin() + static_cast<std::ptrdiff_t>(seed_axis_), seed);
            add_run(row, values, seed);
        }
        return row;
    }

    void add_run(MergeRow& row, std::vector<std::string> const& values, std::string const& seed)
    {
        std::string const text{text_of(axes_, values)};
        if (auto const conflict = conflicts_.find(values); conflict != conflicts_.end()) {
            merged_.conflicts.push_back(fmt::format("{}: {}", text, conflict->second));
            return;
        }
        auto const found = taken_.find(values);
        if (found == taken_.end()) {
            merged_.missing.push_back(text);
            return;
        }
        SweepResult const& result{found->second.result};
        if (!result.failed.empty()) {
            merged_.failed.push_back(fmt::format("{}: {}", text, result.failed));
            return;
        }
        row.seeds.push_back(seed);
        std::optional<Json> run;
        for (std::size_t i = 0; i < merged_.figures.size(); ++i) {
            std::string const& key{merged_.figures[i].key};
            bool const is_known{std::ranges::find(ab_figures, key, &AbFigure::key) != ab_figures.end()};
            if (!is_known && !run)
                run = parse_json(result.run, found->second.file);
            auto const value = std::ranges::find(result.figures, key, [](auto const& figure) { return figure.first; });
            row.by_seed[i].push_back(!is_known                       ? figure_at(*run, key)
                                     : value == result.figures.end() ? std::nullopt
                                                                     : std::optional{value->second});
        }
    }

    // The last axis varies fastest.
    [[nodiscard]] bool next(std::vector<std::size_t>& at) const
    {
        for (std::size_t i = at.size(); i-- > 0;) {
            if (++at[i] < merged_.axes[i].values.size())
                return true;
            at[i] = 0;
        }
        return false;
    }

    // A figure that was asked for and that no run has.
    void require(MergeFigure const& figure) const
    {
        auto const index = static_cast<std::size_t>(&figure - merged_.figures.data());
        bool const has_runs{std::ranges::any_of(merged_.rows, [](MergeRow const& row) { return !row.seeds.empty(); })};
        bool const has_it{
            std::ranges::any_of(merged_.rows, [&](MergeRow const& row) { return row.spread(index).has_value(); })};
        if (options_.figures.empty() || has_it || !has_runs)
            return;
        std::vector<std::string_view> keys;
        for (AbFigure const& known : ab_figures)
            keys.push_back(known.key);
        refuse(fmt::format("--figure {}: no run has it; there are {}, and places in what nv sim --json says, like "
                           "guests.wake_latency.p95_us",
                           figure.key, fmt::join(keys, ", ")));
    }

    MergeOptions const& options_;
    std::string name_;
    std::vector<MergeAxis> axes_; // with the seed
    std::size_t seed_axis_{npos};
    std::set<std::pair<std::string, std::string>> valid_; // program and scenario
    std::map<std::vector<std::string>, Taken> taken_;     // by values
    std::map<std::vector<std::string>, std::string> conflicts_;
    Merged merged_;
};

void tell(std::string_view what, std::vector<std::string> const& lines)
{
    for (std::size_t i = 0; i < lines.size() && i < most_shown; ++i)
        fmt::print(stderr, "nv: {}: {}\n", what, lines[i]);
    if (lines.size() > most_shown)
        fmt::print(stderr, "nv: {}: {} in all\n", what, lines.size());
}

} // namespace

std::optional<Spread> MergeRow::spread(std::size_t figure) const
{
    std::vector<double> known;
    for (std::optional<double> const& value : by_seed[figure])
        if (value)
            known.push_back(*value);
    return known.empty() ? std::nullopt : std::optional{Spread::of(known)};
}

Merged merge_folders(MergeOptions const& options) { return Merger{options}.run(); }

ExitCode run_merge(MergeOptions const& options)
{
    Merged const merged{merge_folders(options)};
    if (!options.html.empty())
        write_text(options.html, merge_html(merged, options.axis));
    fmt::print("{}", options.json ? merge_json(merged) : options.csv ? merge_csv(merged) : merge_text(merged));
    tell("damaged", merged.damaged);
    tell("missing", merged.missing);
    tell("no figures", merged.failed);
    tell("conflict", merged.conflicts);
    if (merged.outdated != 0)
        fmt::print(stderr, "nv: left out: {} results of other versions of the grid, its scenarios or nv\n",
                   merged.outdated);
    return merged.is_whole() ? ExitCode::good : ExitCode::failed;
}

void add_merge(CLI::App& app, MergeOptions& options)
{
    CLI::App& command = *app.add_subcommand("merge", "One table, and plots, of what nv sweep left in folders");
    command.add_option("DIR", options.folders, "Folders of one sweep")->required();
    command
        .add_option("--figure", options.figures,
                    "Only these: keys as in docs/sweeps.md, or places in a run's JSON; separated by commas")
        ->delimiter(',')
        ->allow_extra_args(false);
    command.add_option("--only", options.only, "AXIS=VALUE: only points with that; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    command.add_option("--x", options.axis, "Axis that the plots have to the right");
    CLI::Option* const json = command.add_flag("--json", options.json, "As JSON, with the figures of each seed");
    command.add_flag("--csv", options.csv, "As CSV, one line a point: mean and deviation of each figure")
        ->excludes(json);
    command.add_option("--html", options.html, "Also one self-contained page with plots");
    command.footer("Exit status: 0 every run of the grid has figures, 1 some are missing, failed or contradict each "
                   "other, 2 usage or bad input.");
}

} // namespace hv::nv
