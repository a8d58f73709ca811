#include "tools/nv/ab_suite.hpp"

#include "sched/guest/workload.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

// Prefixes of the files' names.
struct Family {
    std::string_view prefix, name;
    bool has_shares;
};
constexpr std::array families{Family{"weights-", "weights", true},        Family{"caps-", "caps", true},
                              Family{"booststeal-", "theft", true},       Family{"wakelat-", "latency", false},
                              Family{"overstarve-", "starvation", false}, Family{"seed-10dom-nodeaff-", "home", false}};

std::vector<AbCell> bench_cells()
{
    constexpr std::array configs{BenchConfig::none, BenchConfig::pinning, BenchConfig::numa};
    std::vector<AbCell> cells;
    for (BenchRow const row : bench_rows)
        for (unsigned const vms : bench_loads)
            for (BenchConfig const config : configs) {
                BenchCell cell{row, vms, {config, std::string{default_policy}, ""}};
                cell.column.label = cell_name(cell);
                if (row != BenchRow::cpu) // the control is no cell of the table
                    cells.push_back({.name = cell_name(cell), .family = std::string{name_of(row)}, .bench = cell});
            }
    return cells;
}

AbCell file_cell(std::filesystem::path const& file, std::string_view family)
{
    std::string const text{read_text(file)};
    static_cast<void>(parse_scenario(text, file.string())); // refuses what is no scenario
    Json tree{parse_json(text, file.string())};
    return {.name = tree.member("name").text, .family = std::string{family}, .file = std::move(tree)};
}

std::vector<AbCell> golden_cells(std::filesystem::path const& root)
{
    std::vector<std::pair<std::filesystem::path, Family const*>> files;
    for (char const* const folder : {"tests/golden/figures", "tests/golden/decisions"}) {
        if (!std::filesystem::is_directory(root / folder))
            refuse(fmt::format("{}: is not there; call nv within a clone of numavisor", (root / folder).string()));
        for (auto const& entry : std::filesystem::directory_iterator{root / folder})
            for (Family const& family : families)
                if (entry.path().extension() == ".json" && entry.path().filename().string().starts_with(family.prefix))
                    files.emplace_back(entry.path(), &family);
    }
    std::ranges::sort(files, {}, [](auto const& file) { return std::pair{file.second, file.first.filename()}; });
    std::vector<AbCell> cells;
    for (auto const& [file, family] : files)
        cells.push_back(file_cell(file, family->name));
    return cells;
}

} // namespace

bool AbCell::has_shares() const
{
    return std::ranges::any_of(families, [&](Family const& known) { return known.name == family && known.has_shares; });
}

std::string AbSuite::text_of(AbCell const& cell, std::uint64_t seed, bool traced) const
{
    if (cell.bench)
        return cell_scenario(*cell.bench, {.seconds = seconds, .traced = traced}, seed);
    Json tree{cell.file};
    tree.member("seed") = Json::integer(static_cast<std::int64_t>(seed));
    if (cell.as_it_is)
        return json_line(tree) + "\n";
    tree.member("warmup_ns") = Json::integer(second_ns);
    tree.member("duration_ns") = Json::integer(static_cast<std::int64_t>(seconds * second_ns));
    sched::guest::Random random{seed, DomainId{9998}, VcpuIndex{0}};
    for (Json& domain : tree.member("domains").items) {
        Json& start{domain.member("start_ns")};
        start = Json::integer(static_cast<std::int64_t>(start.magnitude) +
                              random.between(Duration{}, Duration::from_ms(20)).ns());
    }
    return json_line(tree) + "\n";
}

AbSuite make_suite(SuiteOptions const& options, std::filesystem::path const& root)
{
    if (options.seconds < 1 || options.seconds > 100'000)
        refuse("--seconds: 1 to 100000");
    AbSuite suite{.cells = {}, .seconds = options.seconds};
    for (std::filesystem::path const& file : options.scenarios) {
        suite.cells.push_back(file_cell(file, "scenarios"));
        suite.cells.back().as_it_is = true;
    }
    if (options.scenarios.empty()) {
        suite.cells = bench_cells();
        if (!options.bench_only)
            std::ranges::move(golden_cells(root), std::back_inserter(suite.cells));
    }
    std::erase_if(suite.cells,
                  [&](AbCell const& cell) { return cell.name.find(options.pattern) == std::string::npos; });
    if (suite.cells.empty())
        refuse(fmt::format("-k {}: no scenario has that in its name", options.pattern));
    std::vector<std::string> names;
    for (AbCell const& cell : suite.cells)
        names.push_back(cell.name);
    std::ranges::sort(names);
    if (auto const twice = std::ranges::adjacent_find(names); twice != names.end())
        refuse(fmt::format("{}: two scenarios have this name, give one another", *twice));
    return suite;
}

} // namespace hv::nv
