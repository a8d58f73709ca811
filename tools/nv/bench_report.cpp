#include "tools/nv/bench_report.hpp"

#include "tools/nv/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hv::nv {

namespace {

bool same(BenchColumn const& a, BenchColumn const& b) { return a.config == b.config && a.policy == b.policy; }

double percent(std::uint64_t part, double whole) { return whole == 0 ? 0 : 100 * static_cast<double>(part) / whole; }

VcpuWork sum_of(std::vector<RunFigures> const& runs)
{
    RunFigures all;
    for (RunFigures const& run : runs)
        all.vcpus.push_back(run.total());
    return all.total();
}

double vcpu_time(std::vector<RunFigures> const& runs)
{
    return std::accumulate(runs.begin(), runs.end(), 0.0, [](double sum, RunFigures const& run) {
        return sum + static_cast<double>(run.duration) * static_cast<double>(run.vcpus.size());
    });
}

// Of each VM, in the run time of all.
std::map<std::uint32_t, double> shares_of(RunFigures const& run)
{
    std::map<std::uint32_t, double> shares;
    auto const all = static_cast<double>(run.total().run);
    for (VcpuWork const& vcpu : run.vcpus)
        shares[vcpu.domain] += static_cast<double>(vcpu.run) / all;
    return shares;
}

// A bar is of the figures as printed: means, of which a lower latency is the better one.
class Judge {
public:
    explicit Judge(BenchReport const& report) : report_{report} {}

    [[nodiscard]] std::vector<Bar> run()
    {
        throughput(BenchRow::jbb, {{{8, 18}, {8, 18}, {2, 12}}});
        throughput(BenchRow::memory, {{{8, 19}, {5, 14}, {3, 11}}});
        home_share();
        control();
        fork();
        return std::move(bars_);
    }

private:
    struct Band {
        double low, high;
    };
    struct Three {
        double none, pinning, numa;
    };

    [[nodiscard]] std::optional<Three> figures(BenchRow row, unsigned vms) const
    {
        std::array<CellResult const*, 3> cells{};
        for (std::size_t i = 0; i < cells.size(); ++i)
            if (cells[i] = report_.find(row, vms, static_cast<BenchConfig>(i)); cells[i] == nullptr)
                return std::nullopt;
        return Three{cells[0]->value().mean, cells[1]->value().mean, cells[2]->value().mean};
    }
    void add(bool hard, bool met, std::string text) { bars_.push_back({std::move(text), met, hard}); }
    void in_band(BenchRow row, unsigned vms, std::string_view what, double gain, Band band)
    {
        add(false, gain >= band.low && gain <= band.high,
            fmt::format("{} {}: {} over none {:+.1f} %, band {:+.0f} to {:+.0f}", name_of(row), vms, what, gain,
                        band.low, band.high));
    }

    void throughput(BenchRow row, std::array<Band, 3> bands)
    {
        for (std::size_t i = 0; i < bench_loads.size(); ++i) {
            unsigned const vms{bench_loads[i]};
            auto const f = figures(row, vms);
            if (!f)
                continue;
            double const pinning{100 * (f->pinning / f->none - 1)}, numa{100 * (f->numa / f->none - 1)};
            if (!is_overload(vms)) {
                add(true, f->numa >= f->pinning * 0.99 && f->pinning > f->none,
                    fmt::format("{} {}: NUMA >= pinning (within 1 %) > none", name_of(row), vms));
                in_band(row, vms, "pinning", pinning, bands[i]);
            } else if (row == BenchRow::jbb) {
                add(true, f->pinning > f->numa && f->numa > f->none,
                    fmt::format("{} {}: pinning > NUMA > none", name_of(row), vms));
            } else {
                add(true, f->numa > f->none && f->pinning > f->none && std::abs(pinning - numa) <= 4,
                    fmt::format("{} {}: both > none, NUMA within 4 points of pinning", name_of(row), vms));
                in_band(row, vms, "pinning", pinning, bands[i]);
            }
            in_band(row, vms, "NUMA", numa, bands[i]);
        }
    }

    void home_share()
    {
        CellResult const* const cell{report_.find(BenchRow::jbb, 10, BenchConfig::numa)};
        if (cell == nullptr)
            return;
        double const away{100 - cell->home_share()};
        add(false, away >= 10 && away <= 30,
            fmt::format("jbb 10: NUMA runs {:.1f} % off its node, band 10 to 30", away));
    }

    void control()
    {
        for (unsigned const vms : bench_loads) {
            auto const f = figures(BenchRow::cpu, vms);
            if (!f)
                continue;
            add(true, std::abs(f->pinning / f->numa - 1) <= 0.02,
                fmt::format("cpu {}: pinning and NUMA within 2 %", vms));
            double const limit{vms == 2 ? 5.0 : 2.0};
            add(true, std::abs(100 * (f->none / f->numa - 1)) <= limit,
                fmt::format("cpu {}: none within {:.0f} % of NUMA", vms, limit));
        }
    }

    void fork()
    {
        if (auto const f = figures(BenchRow::fork, 2)) {
            in_band(BenchRow::fork, 2, "pinning", 100 * (f->pinning / f->none - 1), {-12, -2});
            in_band(BenchRow::fork, 2, "NUMA", 100 * (f->numa / f->none - 1), {-12, -2});
        }
        if (auto const f = figures(BenchRow::fork, 6))
            add(false, f->numa < f->none && f->none < f->pinning, "fork 6: NUMA < none < pinning in latency");
        if (auto const f = figures(BenchRow::fork, 10))
            add(false, f->none < f->numa && f->numa < f->pinning, "fork 10: none < NUMA < pinning in latency");
    }

    BenchReport const& report_;
    std::vector<Bar> bars_;
};

} // namespace

Spread Spread::of(std::vector<double> const& values)
{
    if (values.empty())
        return {};
    auto const count = static_cast<double>(values.size());
    double const mean{std::accumulate(values.begin(), values.end(), 0.0) / count};
    double squares{0};
    for (double const value : values)
        squares += (value - mean) * (value - mean);
    return {mean, values.size() < 2 ? 0 : std::sqrt(squares / (count - 1))};
}

double by_the_report(double numa, double other) { return 100 * (numa - other) / numa; }

Spread CellResult::value() const
{
    std::vector<double> values;
    for (RunFigures const& run : runs)
        values.push_back(run.value(cell.row));
    return Spread::of(values);
}

double CellResult::home_share() const
{
    VcpuWork const sum{sum_of(runs)};
    return percent(sum.home, static_cast<double>(sum.run));
}

double CellResult::wait_share() const { return percent(sum_of(runs).wait, vcpu_time(runs)); }

double CellResult::stall_share() const
{
    VcpuWork const sum{sum_of(runs)};
    return percent(sum.stall, static_cast<double>(sum.run));
}

double CellResult::refill_share() const
{
    VcpuWork const sum{sum_of(runs)};
    return percent(sum.refill, static_cast<double>(sum.run));
}

double CellResult::node_moves_per_second() const
{
    return static_cast<double>(sum_of(runs).node_moves) / vcpu_time(runs) * 1e9;
}

double CellResult::core_moves_per_second() const
{
    return static_cast<double>(sum_of(runs).core_moves) / vcpu_time(runs) * 1e9;
}

std::optional<double> CellResult::figure_difference() const
{
    if (simulated.empty())
        return std::nullopt;
    double worst{0};
    for (std::size_t i = 0; i < runs.size(); ++i) {
        double const difference{100 * (runs[i].value(cell.row) / simulated[i].value(cell.row) - 1)};
        worst = std::abs(difference) > std::abs(worst) ? difference : worst;
    }
    return worst;
}

std::optional<double> CellResult::share_difference() const
{
    if (simulated.empty())
        return std::nullopt;
    double worst{0};
    for (std::size_t i = 0; i < runs.size(); ++i) {
        auto const a = shares_of(runs[i]), b = shares_of(simulated[i]);
        for (auto const& [domain, share] : a) {
            auto const other = b.find(domain);
            double const difference{other == b.end() ? 100 : 100 * (share / other->second - 1)};
            worst = std::abs(difference) > std::abs(worst) ? difference : worst;
        }
    }
    return worst;
}

CellResult const* BenchReport::find(BenchRow row, unsigned vms, BenchColumn const& column) const
{
    auto const cell = std::ranges::find_if(cells, [&](CellResult const& c) {
        return c.cell.row == row && c.cell.vms == vms && same(c.cell.column, column);
    });
    return cell == cells.end() ? nullptr : &*cell;
}

CellResult const* BenchReport::find(BenchRow row, unsigned vms, BenchConfig config) const
{
    return columns.empty() ? nullptr : find(row, vms, BenchColumn{config, columns.front().policy, {}});
}

std::vector<Bar> BenchReport::bars() const { return Judge{*this}.run(); }

} // namespace hv::nv
