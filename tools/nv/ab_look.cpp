#include "tools/nv/ab_look.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t shown_lines{24};
constexpr std::uint64_t traced_ns{2'000'000'000};

// The first row of a single scenario that is worse, else better; rows are in that order.
AbRow const* worst_of(AbReport const& report)
{
    auto const found = std::ranges::find_if(
        report.rows, [](AbRow const& row) { return !row.is_family && row.verdict != AbVerdict::same; });
    if (found != report.rows.end())
        return &*found;
    return report.rows.empty() || report.rows.front().verdict == AbVerdict::same ? nullptr : &report.rows.front();
}

std::uint64_t seed_of_largest(AbRow const& row)
{
    std::size_t largest{0};
    auto const size = [&](std::size_t i) { return std::abs(row.change[i] - row.base[i]); };
    for (std::size_t i = 1; i < row.base.size(); ++i)
        largest = size(i) > size(largest) ? i : largest;
    return largest + 1;
}

std::string first_lines(std::string_view text, std::size_t count)
{
    std::size_t end{0};
    for (; count > 0 && end < text.size(); --count)
        end = std::min(text.size() - 1, text.find('\n', end)) + 1;
    return std::string{text.substr(0, end)};
}

ProcessResult run_plainly(std::vector<std::string> words)
{
    ProcessSpec spec{.words = std::move(words), .folder = "."};
    spec.silence_limit = {};
    return run_process(spec, [](std::string_view) {});
}

} // namespace

void add_look(AbReport& report, AbSuite const& suite, AbArm& base, AbArm& change, AbPlaces const& places)
{
    AbRow const* const row{worst_of(report)};
    if (row == nullptr)
        return;
    AbCell const& cell{suite.cells[row->cells.front()]};
    std::uint64_t const seed{seed_of_largest(*row)};
    fs::path const folder{places.work / "look"}, scenario{folder / "scenario.json"};
    fs::create_directories(folder);
    write_text(scenario, suite.text_of(cell, seed, true));
    std::vector<std::string> diff{places.self.string(), "trace", "diff"};
    for (AbArm* const arm : {&base, &change}) {
        arm->build();
        fs::path const trace{folder / (arm->side().role + ".xentrace")};
        ProcessResult const made{
            run_plainly(arm->sim_command({"--trace", fs::absolute(trace).string(), "--set", "warmup_ns=0", "--set",
                                          fmt::format("duration_ns={}", traced_ns)},
                                         {scenario}))};
        if (made.ending != Ending::exited || made.status != 0)
            give_up(fmt::format("{}: left no trace of {}: {}", arm->side().role, cell.name, made.errors));
        diff.push_back(trace.string());
    }
    report.look_title = fmt::format("{}, seed {}, its first {} s ({}: {} and {})", cell.name, seed,
                                    traced_ns / 1'000'000'000, scenario.string(), "base.xentrace", "change.xentrace");
    report.look_command = fmt::format("nv trace diff {} {}", diff[3], diff[4]);
    report.look = first_lines(run_plainly(diff).output, shown_lines);
}

} // namespace hv::nv
