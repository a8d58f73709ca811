#include "tools/nv/sweep_grid.hpp"

#include "tools/nv/ab_key.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario_edit.hpp"
#include "tools/nv/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace hv::nv {

namespace {

constexpr std::string_view grid_schema{"numavisor-sweep/1"};

// As it stands in tables, and behind the = of a setting.
std::string value_text(Json const& value) { return value.kind == Json::Kind::text ? value.text : json_line(value); }

// A list that says each value once.
std::vector<Reader> values_of_axis(Reader const& reader)
{
    std::vector<Reader> const items{reader.list()};
    if (items.empty())
        reader.refuse("an empty list, give at least one value or leave the key out");
    std::set<std::string> seen;
    for (Reader const& item : items)
        if (!seen.insert(value_text(item.value())).second)
            item.refuse(fmt::format("{} is in the list twice", shown(item.value())));
    return items;
}

void refuse_no_setting(Reader const& reader)
{
    Json::Kind const kind{reader.value().kind};
    if (kind != Json::Kind::integer && kind != Json::Kind::boolean && kind != Json::Kind::text)
        reader.refuse(fmt::format("{} is no setting, give an integer, true, false or a text", shown(reader.value())));
}

// "NAME:KEY=VALUE,KEY=VALUE", as nv ab has it.
struct PolicyWord {
    std::string name;
    std::vector<std::string> settings;

    explicit PolicyWord(std::string_view word)
    {
        std::size_t const colon{std::min(word.find(':'), word.size())};
        name = word.substr(0, colon);
        for (word.remove_prefix(std::min(word.size(), colon + 1)); !word.empty();) {
            std::size_t const comma{std::min(word.find(','), word.size())};
            settings.emplace_back(word.substr(0, comma));
            word.remove_prefix(std::min(word.size(), comma + 1));
        }
    }
};

// Every word that {"policy": NAME, "set": {KEY: [VALUE, ...], ...}} stands for.
std::vector<std::string> policy_words(Reader const& reader)
{
    if (reader.value().kind == Json::Kind::text)
        return {reader.text(255)};
    ObjectReader object{reader};
    std::vector<std::string> words{object["policy"].text(31)};
    char separator{':'};
    ObjectReader set{object["set"]};
    for (auto const& member : set.self().value().members) {
        std::vector<std::string> more;
        for (std::string const& word : words)
            for (Reader const& value : values_of_axis(set[member.first])) {
                refuse_no_setting(value);
                more.push_back(fmt::format("{}{}{}={}", word, separator, member.first, value_text(value.value())));
            }
        words = std::move(more);
        separator = ',';
    }
    object.finish();
    return words;
}

// Whether the policy takes its parameters: what parsing cannot know.
void try_to_build(Scenario const& scenario)
{
    std::vector<std::byte> const image{pack(scenario)};
    auto const view = scenario::validate(image);
    if (view)
        Simulation const simulation{*view, {}};
}

} // namespace

SweepGrid SweepGrid::load(std::filesystem::path const& file)
{
    return parse(read_text(file), file.string(), file.parent_path());
}

SweepGrid SweepGrid::parse(std::string_view text, std::string_view file, std::filesystem::path const& folder)
{
    Json const root{parse_json(text, file)};
    ObjectReader top{Reader{root, file, "$"}};
    if (Reader const schema{top["schema"]}; schema.text(64, true) != grid_schema)
        schema.refuse(
            fmt::format("{} is not a schema known here, allowed is \"{}\"", shown(schema.value()), grid_schema));
    SweepGrid grid;
    grid.file_ = file;
    grid.name_ = top["name"].text(63);
    if (grid.name_.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
        std::string::npos)
        top["name"].refuse(
            fmt::format("{} is not a name, allowed are letters, digits, '.', '_' and '-'", json_string(grid.name_)));
    grid.read_scenarios(top["scenarios"], folder);
    grid.read_counts(top, "vms", SweepAxis::Kind::vms, scenario::max_domains);
    grid.read_counts(top, "pcpus", SweepAxis::Kind::pcpus, scenario::max_pcpus);
    if (std::optional<Reader> const parameters = top.maybe("parameters"))
        grid.read_parameters(*parameters);
    if (std::optional<Reader> const policies = top.maybe("policies"))
        grid.read_policies(*policies);
    if (std::optional<Reader> const seeds = top.maybe("seeds"))
        grid.read_seeds(*seeds);
    top.finish();
    double product{1};
    for (SweepAxis const& axis : grid.axes_)
        product *= static_cast<double>(axis.values.size());
    if (product > static_cast<double>(most_runs))
        nv::refuse(fmt::format("{}: $: {:.0f} runs, at most {} are allowed; make several grids of it", file, product,
                               most_runs));
    return grid;
}

void SweepGrid::read_scenarios(Reader const& reader, std::filesystem::path const& folder)
{
    SweepAxis axis{.name = "scenario", .kind = SweepAxis::Kind::scenario};
    for (Reader const& item : values_of_axis(reader)) {
        std::filesystem::path const path{folder / item.text(4095)};
        if (std::error_code error; !std::filesystem::is_regular_file(path, error))
            item.refuse(fmt::format("there is no file {}; names are relative to the grid's folder", path.string()));
        std::string const text{read_text(path)};
        KeyHash hash;
        hash.add(text);
        SweepScenario scenario{.file = path.string(), .tree = parse_json(text, path.string()), .key = hash.hex()};
        std::string const name{parse_scenario(text, scenario.file).name};
        if (std::ranges::find(axis.values, name) != axis.values.end())
            item.refuse(
                fmt::format("its scenario is called {} as another one's, give it another name", json_string(name)));
        axis.values.push_back(name);
        scenarios_.push_back(std::move(scenario));
    }
    axes_.push_back(std::move(axis));
}

void SweepGrid::read_counts(ObjectReader& top, std::string_view key, SweepAxis::Kind kind, std::uint64_t most)
{
    std::optional<Reader> const list{top.maybe(key)};
    if (!list)
        return;
    SweepAxis axis{.name = std::string{key}, .kind = kind};
    for (Reader const& item : values_of_axis(*list)) {
        axis.values.push_back(fmt::format("{}", item.number(1, most)));
        axis.raw.push_back(item.value());
        for (SweepScenario const& scenario : scenarios_) {
            Json tree{scenario.tree};
            std::size_t const pcpus{list_of(tree.member("machine"), "cpus")->items.size()};
            if (kind == SweepAxis::Kind::pcpus && item.value().magnitude > pcpus)
                item.refuse(
                    fmt::format("{} has {} pCPUs; a sweep takes some away, it adds none", scenario.file, pcpus));
            if (kind == SweepAxis::Kind::vms && std::ranges::none_of(list_of(tree, "domains")->items, is_guest))
                item.refuse(fmt::format("{} has no VM that could be copied", scenario.file));
        }
    }
    axes_.push_back(std::move(axis));
}

void SweepGrid::read_parameters(Reader const& reader)
{
    ObjectReader object{reader};
    for (auto const& [key, member] : reader.value().members) {
        Reader const list{object[key]};
        bool const is_place{key.starts_with("$")};
        SweepAxis axis{.name = key, .kind = is_place ? SweepAxis::Kind::place : SweepAxis::Kind::setting};
        for (Reader const& item : values_of_axis(list)) {
            if (!is_place)
                refuse_no_setting(item);
            axis.values.push_back(value_text(item.value()));
            axis.raw.push_back(item.value());
        }
        for (SweepScenario& scenario : scenarios_)
            if (Json tree{scenario.tree}; is_place && at_path(tree, key) == nullptr)
                list.refuse(fmt::format("{} has no such place", scenario.file));
        axes_.push_back(std::move(axis));
    }
}

void SweepGrid::read_policies(Reader const& reader)
{
    SweepAxis axis{.name = "policy", .kind = SweepAxis::Kind::policy};
    for (Reader const& item : values_of_axis(reader))
        for (std::string const& word : policy_words(item)) {
            if (std::ranges::find(axis.values, word) != axis.values.end())
                item.refuse(fmt::format("{} is in the list twice", json_string(word)));
            axis.values.push_back(word);
        }
    axes_.push_back(std::move(axis));
}

void SweepGrid::read_seeds(Reader const& reader)
{
    SweepAxis axis{.name = "seed", .kind = SweepAxis::Kind::seed};
    if (reader.is_list()) {
        for (Reader const& item : values_of_axis(reader))
            axis.values.push_back(fmt::format("{}", item.number(0, UINT64_MAX)));
    } else {
        std::uint64_t const count{reader.number(1, most_runs)};
        for (std::uint64_t seed = 1; seed <= count; ++seed)
            axis.values.push_back(fmt::format("{}", seed));
    }
    axes_.push_back(std::move(axis));
}

std::size_t SweepGrid::runs() const
{
    std::size_t product{1};
    for (SweepAxis const& axis : axes_)
        product *= axis.values.size();
    return product;
}

SweepGrid::Point SweepGrid::point(std::size_t run) const
{
    Point point(axes_.size());
    for (std::size_t i = axes_.size(); i-- > 0;) {
        point[i] = run % axes_[i].values.size();
        run /= axes_[i].values.size();
    }
    return point;
}

std::vector<std::string> SweepGrid::values(Point const& point) const
{
    std::vector<std::string> values;
    for (std::size_t i = 0; i < axes_.size(); ++i)
        values.push_back(axes_[i].values[point[i]]);
    return values;
}

SweepScenario const& SweepGrid::scenario_of(Point const& point) const { return scenarios_[point[0]]; }

std::string SweepGrid::text_of(Point const& point) const
{
    std::vector<std::string> names;
    for (SweepAxis const& axis : axes_)
        names.push_back(axis.name);
    return point_text(names, values(point), "seed");
}

Json SweepGrid::tree_of(Point const& point) const
{
    Json tree{scenario_of(point).tree};
    for (std::size_t i = 0; i < axes_.size(); ++i) {
        SweepAxis const& axis{axes_[i]};
        if (axis.kind == SweepAxis::Kind::vms)
            set_vms(tree, axis.raw[point[i]].magnitude);
        else if (axis.kind == SweepAxis::Kind::pcpus)
            set_pcpus(tree, axis.raw[point[i]].magnitude);
    }
    for (std::size_t i = 0; i < axes_.size(); ++i)
        if (axes_[i].kind == SweepAxis::Kind::place)
            if (Json* const place{at_path(tree, axes_[i].name)})
                *place = axes_[i].raw[point[i]];
    return tree;
}

Overrides SweepGrid::overrides_of(Point const& point) const
{
    Overrides overrides;
    for (std::size_t i = 0; i < axes_.size(); ++i) {
        std::string const& value{axes_[i].values[point[i]]};
        if (axes_[i].kind == SweepAxis::Kind::setting)
            overrides.settings.push_back(fmt::format("{}={}", axes_[i].name, value));
        else if (axes_[i].kind == SweepAxis::Kind::seed)
            overrides.seed = std::stoull(value);
        if (axes_[i].kind != SweepAxis::Kind::policy)
            continue;
        PolicyWord word{value};
        overrides.policy = std::move(word.name);
        std::ranges::move(word.settings, std::back_inserter(overrides.settings));
    }
    return overrides;
}

Scenario SweepGrid::resolve(Point const& point) const
{
    try {
        return parse_scenario(json_line(tree_of(point)), scenario_of(point).file, overrides_of(point));
    } catch (Error const& error) {
        throw Error{error.code(), fmt::format("{}: {}: {}", file_, text_of(point), error.what())};
    }
}

void SweepGrid::check() const
{
    bool const has_seeds{axes_.back().kind == SweepAxis::Kind::seed};
    std::size_t const step{has_seeds ? axes_.back().values.size() : 1};
    std::set<std::vector<std::string>> built;
    for (std::size_t run = 0; run < runs(); run += step) {
        Point const here{point(run)};
        Scenario const scenario{resolve(here)};
        Overrides const overrides{overrides_of(here)};
        std::vector<std::string> what{overrides.settings};
        what.push_back(scenario.policy);
        if (!built.insert(std::move(what)).second)
            continue;
        try {
            try_to_build(scenario);
        } catch (Error const& error) {
            throw Error{error.code(), fmt::format("{}: {}: {}", file_, text_of(here), error.what())};
        }
    }
}

std::string point_text(std::vector<std::string> const& names, std::vector<std::string> const& values,
                       std::string_view but)
{
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < names.size() && i < values.size(); ++i)
        if (names[i] != but)
            parts.push_back(fmt::format("{} {}", names[i], values[i]));
    return fmt::format("{}", fmt::join(parts, ", "));
}

} // namespace hv::nv
