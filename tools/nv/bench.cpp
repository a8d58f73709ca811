#include "tools/nv/bench.hpp"

#include "sched/guest/memory_model.hpp"
#include "tools/nv/bench_ablation.hpp"
#include "tools/nv/bench_kernel.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/json.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace hv::nv {

namespace {

constexpr double agreement_pct = 3;

// Parameters by what the command line calls them: factors with a point become permille.
struct Parameter {
    std::string_view name, key;
    double scale;
};
constexpr std::array parameters{Parameter{"remote", "remote_permille", 1000}, Parameter{"node_mbps", "node_mbps", 1},
                                Parameter{"link_mbps", "link_mbps", 1},
                                Parameter{"queueing", "queueing_permille", 1000}};

std::string names_of_parameters()
{
    std::vector<std::string_view> names;
    for (Parameter const& parameter : parameters)
        names.push_back(parameter.name);
    return fmt::format("{}", fmt::join(names, ", "));
}

double real_number(std::string_view text, std::string_view whole)
{
    double value{0};
    auto const result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || result.ec != std::errc{} || result.ptr != text.data() + text.size() || !std::isfinite(value))
        refuse(fmt::format("{}: \"{}\" is not a number", whole, text));
    return value;
}

std::vector<BenchColumn> columns_of(BenchOptions const& options)
{
    std::string const standard{default_policy};
    std::vector<BenchColumn> columns{{BenchConfig::none, standard, "no affinity"},
                                     {BenchConfig::pinning, standard, "pinning"},
                                     {BenchConfig::numa, standard, "NUMA"}};
    for (std::string const& policy : options.policies) {
        if (policy == standard || sched::find_policy(policy) == nullptr) {
            std::array<char, 512> buffer{};
            BufferSink known{buffer};
            sched::list_policies(known);
            refuse(fmt::format("--policy {}: {}; there are {}", policy,
                               policy == standard ? "is in the table already" : "not known", known.text()));
        }
        columns.push_back({BenchConfig::none, policy, "no aff., " + policy});
        columns.push_back({BenchConfig::numa, policy, "NUMA, " + policy});
    }
    return columns;
}

std::vector<BenchCell> cells_of(BenchOptions const& options, std::vector<BenchColumn> const& columns)
{
    for (std::string const& wanted : options.rows)
        if (std::ranges::none_of(bench_rows, [&](BenchRow row) { return name_of(row) == wanted; }))
            refuse(fmt::format("--row {}: there is no such row, allowed are jbb, memory, fork, cpu", wanted));
    std::vector<BenchCell> cells;
    for (BenchRow const row : bench_rows)
        if (options.rows.empty() || std::ranges::find(options.rows, name_of(row)) != options.rows.end())
            for (unsigned const vms : bench_loads)
                for (BenchColumn const& column : columns)
                    cells.push_back({row, vms, column});
    return cells;
}

BenchReport run_table(BenchOptions const& options, BenchSetup const& setup, unsigned seeds)
{
    BenchReport report{.model =
                           setup.model.empty() ? std::string{sched::guest::named_models().front().name} : setup.model,
                       .home = options.kernel ? "kernel under QEMU" : "simulator",
                       .seeds = seeds,
                       .seconds = setup.seconds,
                       .columns = columns_of(options),
                       .cells = {}};
    report.model += setup.model_members.empty() ? "" : fmt::format(" with {}", fmt::join(setup.model_members, ", "));
    for (BenchCell const& cell : cells_of(options, report.columns))
        report.cells.push_back(
            {cell, std::vector<RunFigures>(seeds), std::vector<RunFigures>(options.kernel ? seeds : 0)});
    std::vector<unsigned> const cpus{allowed_cpus()};
    auto const threads =
        static_cast<unsigned>(options.jobs != 0 ? options.jobs : std::max<std::size_t>(1, cpus.size()));
    KernelRunner const kernel{options.self, options.kernel.value_or(""), options.out};
    JobProgress progress{report.cells.size() * seeds};
    run_jobs(report.cells.size() * seeds, threads, [&](std::size_t i, unsigned worker) {
        CellResult& result{report.cells[i / seeds]};
        std::size_t const seed{i % seeds};
        RunFigures const simulated{simulate_cell(result.cell, setup, seed + 1)};
        if (options.kernel) {
            result.runs[seed] = kernel.run(result.cell, setup, seed + 1, cpus[worker % cpus.size()]);
            result.simulated[seed] = simulated;
        } else {
            result.runs[seed] = simulated;
        }
        progress.done(fmt::format("{} {}, seed {}", cell_name(result.cell), result.cell.column.policy, seed + 1));
    });
    return report;
}

ExitCode verdict_of(BenchReport const& report)
{
    for (Bar const& bar : report.bars())
        if (bar.hard && !bar.met)
            return ExitCode::failed;
    // Shares of the control are not held to it: with vCPUs that never block, two simulations that differ in their seed
    // differ more (docs/reference-table.md).
    for (CellResult const& cell : report.cells)
        if (std::abs(cell.figure_difference().value_or(0)) > agreement_pct ||
            (cell.cell.row != BenchRow::cpu && std::abs(cell.share_difference().value_or(0)) > agreement_pct))
            return ExitCode::failed;
    return ExitCode::good;
}

// Tables of gains over none, a line a variant of the setup: pinning / NUMA, a column a row and load. A star: the order
// of the three is another than on the line before it (`consecutive`) or on the first one.
class GainsTable {
public:
    GainsTable(std::string first_heading, std::size_t width, bool consecutive)
        : heading_{std::move(first_heading)}, width_{width}, consecutive_{consecutive}
    {
        fmt::print(
            "Gain over no affinity of pinning / NUMA, percent (fork: of latency); *: another order of the three\n");
    }

    void add(std::string_view name, BenchReport const& report)
    {
        std::vector<std::string> orders;
        std::string head{fmt::format("{:>{}}", heading_, width_)}, line{fmt::format("{:>{}}", name, width_)};
        for (CellResult const& numa : report.cells) {
            if (numa.cell.column.config != BenchConfig::numa || numa.cell.column.policy != default_policy)
                continue;
            auto const gain = [&](BenchConfig config) {
                double const none{report.find(numa.cell.row, numa.cell.vms, BenchConfig::none)->value().mean};
                return 100 * (report.find(numa.cell.row, numa.cell.vms, config)->value().mean / none - 1);
            };
            double const pinned{gain(BenchConfig::pinning)}, preferred{gain(BenchConfig::numa)};
            // What is within a percent is taken for equal.
            auto const sign = [](double d) { return d > 1 ? '+' : d < -1 ? '-' : '='; };
            orders.push_back({sign(pinned), sign(preferred), sign(preferred - pinned)});
            bool const turned = !last_.empty() && last_[orders.size() - 1] != orders.back();
            head += fmt::format(" {:>14} ", fmt::format("{} {}", name_of(numa.cell.row), numa.cell.vms));
            line += fmt::format(" {:>14}{}", fmt::format("{:+.1f}/{:+.1f}", pinned, preferred), turned ? '*' : ' ');
        }
        fmt::print("{}{}\n", last_.empty() ? head + "\n" : "", line);
        std::fflush(stdout);
        if (consecutive_ || last_.empty())
            last_ = orders;
    }

private:
    std::string heading_;
    std::size_t width_;
    bool consecutive_;
    std::vector<std::string> last_;
};

void print_sweep(BenchOptions const& options, BenchSetup const& setup, unsigned seeds)
{
    BenchSweep const& sweep{*options.sweep};
    GainsTable table{sweep.parameter, 10, true};
    for (unsigned step = 0; step <= sweep.steps; ++step) {
        double const value{sweep.low + (sweep.high - sweep.low) * step / sweep.steps};
        BenchSetup at{setup};
        at.model_members.push_back(model_member(sweep.parameter, value));
        table.add(fmt::format("{:.4g}", value), run_table(options, at, seeds));
    }
}

void print_ablation(BenchOptions const& options, BenchSetup const& setup, unsigned seeds)
{
    GainsTable table{"", 21, false};
    for (Ablation const& ablation : ablations(setup))
        table.add(ablation.name, run_table(options, ablation.setup, seeds));
}

void write_scenarios(BenchOptions const& options, BenchSetup setup, unsigned seeds)
{
    setup.traced = true; // They are for nv sim and nv run.
    std::filesystem::create_directories(*options.write);
    for (BenchCell const& cell : cells_of(options, columns_of(options)))
        for (std::uint64_t seed = 1; seed <= seeds; ++seed)
            write_text(*options.write / fmt::format("{}-{}-{}.json", cell_name(cell), cell.column.policy, seed),
                       cell_scenario(cell, setup, seed));
}

} // namespace

std::string model_member(std::string_view parameter, double value)
{
    for (Parameter const& known : parameters)
        if (known.name == parameter)
            return fmt::format("\"{}\": {}", known.key, std::llround(value * known.scale));
    refuse(fmt::format("{}: no parameter of the model that can be set here, allowed are {}", parameter,
                       names_of_parameters()));
}

BenchSweep parse_sweep(std::string_view text)
{
    std::size_t const equals = text.find('='), dots = text.find(".."), slash = text.find('/');
    if (equals == text.npos || dots == text.npos || dots < equals || (slash != text.npos && slash < dots))
        refuse(fmt::format("--sweep {}: give PARAMETER=LOW..HIGH or PARAMETER=LOW..HIGH/STEPS; parameters are {}", text,
                           names_of_parameters()));
    std::string const whole{fmt::format("--sweep {}", text)};
    BenchSweep sweep{.parameter = std::string{text.substr(0, equals)},
                     .low = real_number(text.substr(equals + 1, dots - equals - 1), whole),
                     .high = real_number(text.substr(dots + 2, slash == text.npos ? slash : slash - dots - 2), whole)};
    if (slash != text.npos) {
        double const steps{real_number(text.substr(slash + 1), whole)};
        if (!(steps >= 1 && steps <= 100))
            refuse(fmt::format("{}: 1 to 100 steps are allowed", whole));
        sweep.steps = static_cast<unsigned>(steps);
    }
    static_cast<void>(model_member(sweep.parameter, sweep.low));
    if (!(sweep.low < sweep.high))
        refuse(fmt::format("{}: the range is empty, give the lower end first", whole));
    return sweep;
}

ExitCode run_bench(BenchOptions const& options)
{
    BenchSetup setup{.seconds = options.seconds.value_or(options.kernel ? 10 : 30),
                     .model = options.model,
                     .placement = options.placement};
    for (std::string const& setting : options.settings) {
        std::size_t const equals = setting.find('=');
        if (equals == std::string::npos)
            refuse(
                fmt::format("--model-set {}: give PARAMETER=VALUE; parameters are {}", setting, names_of_parameters()));
        setup.model_members.push_back(model_member(std::string_view{setting}.substr(0, equals),
                                                   real_number(std::string_view{setting}.substr(equals + 1), setting)));
    }
    setup.sets_further = !options.policies.empty();
    for (std::string const& param : options.params) {
        std::size_t const equals = param.find('=');
        if (equals == std::string::npos || equals == 0)
            refuse(fmt::format("--set {}: give KEY=VALUE, a parameter of the policy", param));
        setup.policy_members.push_back(
            fmt::format("{}: {}", json_string(std::string_view{param}.substr(0, equals)),
                        std::llround(real_number(std::string_view{param}.substr(equals + 1), param))));
    }
    unsigned const seeds{options.seeds.value_or(options.kernel ? 1 : 5)};
    if (setup.seconds < 1 || setup.seconds > 100'000 || seeds < 1 || seeds > 1000)
        refuse("--seconds: 1 to 100000, --seeds: 1 to 1000");
    if (options.write) {
        write_scenarios(options, setup, seeds);
        return ExitCode::good;
    }
    if (options.sweep) {
        print_sweep(options, setup, seeds);
        return ExitCode::good;
    }
    if (options.ablate) {
        print_ablation(options, setup, seeds);
        return ExitCode::good;
    }
    BenchReport const report{run_table(options, setup, seeds)};
    if (options.html)
        write_text(*options.html, bench_html(report));
    if (options.svg)
        write_text(*options.svg, bench_svg(report));
    fmt::print("{}", options.json ? bench_json(report) : bench_text(report));
    return verdict_of(report);
}

} // namespace hv::nv
