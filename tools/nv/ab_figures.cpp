#include "tools/nv/ab_figures.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace hv::nv {

namespace {

using scenario::WorkloadKind;

std::size_t index_of_figure(std::string_view key)
{
    return static_cast<std::size_t>(std::ranges::find(ab_figures, key, &AbFigure::key) - ab_figures.begin());
}

Json const& found_at(Json const& from, std::string_view path)
{
    Json const* at{&from};
    while (!path.empty()) {
        std::string_view const key{path.substr(0, path.find('.'))};
        at = at->find(key);
        if (at == nullptr)
            give_up(fmt::format("a run has no figure \"{}\"", key));
        path.remove_prefix(std::min(path.size(), key.size() + 1));
    }
    return *at;
}

double number_at(Json const& from, std::string_view path) { return as_double(found_at(from, path)); }

// The part of a pCPU that the workload can use.
double demand_of(Workload const& workload)
{
    auto const mean = [](std::uint64_t low, std::uint64_t high) { return static_cast<double>(low + high) / 2; };
    double const run{mean(workload.run_min_ns, workload.run_max_ns)};
    if (workload.kind == WorkloadKind::periodic && workload.period_ns != 0)
        return std::min(1.0, run / static_cast<double>(workload.period_ns));
    if (workload.kind == WorkloadKind::burst)
        return run / (run + mean(workload.block_min_ns, workload.block_max_ns));
    return 1;
}

// The largest distance of a domain's share from what is fair, in percent of that.
double share_error(Json const& run, Scenario const& scenario)
{
    std::vector<double> const fair{fair_shares(scenario)};
    Json const& domains{found_at(run, "domains")};
    if (domains.items.size() != fair.size())
        give_up(fmt::format("a run of {} has {} domains, not {}", scenario.name, domains.items.size(), fair.size()));
    double worst{0};
    for (std::size_t i = 0; i < fair.size(); ++i)
        worst = std::max(worst, std::abs(number_at(domains.items[i], "cpu_pct") / fair[i] - 100));
    return worst;
}

bool has_jobs(Scenario const& scenario)
{
    return std::ranges::any_of(scenario.domains, [](Domain const& domain) {
        return std::ranges::any_of(domain.vcpus,
                                   [](Vcpu const& vcpu) { return vcpu.workload.kind != WorkloadKind::hog; });
    });
}

bool is_left_out(AbFigure const& figure, Json const& run, Scenario const& scenario, bool has_shares)
{
    Json const& guests{found_at(run, "guests")};
    if (figure.key == "throughput")
        return !has_jobs(scenario);
    if (figure.key == "home" || figure.key == "misplaced")
        return number_at(guests, figure.path) < 0;
    if (figure.key == "share_error")
        return !has_shares;
    // Where shares differ, more for one is not better, and less is not unfair.
    if (figure.key == "fairness" || figure.key == "cpu")
        return has_shares;
    if (figure.key == "node_moves")
        return scenario.machine.node_count() < 2;
    std::size_t const dot{figure.path.find('.')};
    bool const is_latency{dot != 0 && dot != std::string_view::npos};
    return is_latency && number_at(found_at(guests, figure.path.substr(0, dot)), "n") == 0;
}

} // namespace

std::vector<double> fair_shares(Scenario const& scenario)
{
    struct Claim {
        double weight, most;
        std::size_t domain;
    };
    std::vector<Claim> open;
    for (std::size_t i = 0; i < scenario.domains.size(); ++i) {
        Domain const& domain{scenario.domains[i]};
        double const cap{domain.cap == 0 ? 1e9 : domain.cap / 100.0 / static_cast<double>(domain.vcpus.size())};
        for (Vcpu const& vcpu : domain.vcpus)
            open.push_back({static_cast<double>(domain.weight), std::min(demand_of(vcpu.workload), cap), i});
    }
    std::vector<double> shares(scenario.domains.size());
    double left{static_cast<double>(scenario.machine.pcpus.size())};
    while (!open.empty()) {
        double const weights{
            std::accumulate(open.begin(), open.end(), 0.0, [](double sum, Claim const& c) { return sum + c.weight; })};
        double const level{left / weights};
        auto const full =
            std::stable_partition(open.begin(), open.end(), [&](Claim const& c) { return c.weight * level < c.most; });
        if (full == open.end()) {
            for (Claim const& claim : open)
                shares[claim.domain] += claim.weight * level;
            break;
        }
        for (auto claim = full; claim != open.end(); ++claim) {
            shares[claim->domain] += claim->most;
            left -= claim->most;
        }
        open.erase(full, open.end());
    }
    return shares;
}

AbValues values_of(Json const& run, Scenario const& scenario, bool has_shares)
{
    if (number_at(run, "contradictions") != 0)
        give_up(fmt::format("{} events contradict those before them", number_at(run, "contradictions")));
    if (found_at(run, "scenario").text != scenario.name || number_at(run, "seed") != static_cast<double>(scenario.seed))
        give_up(fmt::format("the figures are of another run, of {}", shown(found_at(run, "scenario"))));
    AbValues values{};
    for (std::size_t i = 0; i < ab_figures.size(); ++i) {
        AbFigure const& figure{ab_figures[i]};
        if (is_left_out(figure, run, scenario, has_shares))
            continue;
        if (figure.path.empty())
            values[i] = share_error(run, scenario);
        else if (figure.path.starts_with('.'))
            values[i] = number_at(run, figure.path.substr(1));
        else
            values[i] = number_at(found_at(run, "guests"), figure.path);
    }
    return values;
}

AbValues values_of(RunFigures const& run, BenchRow row)
{
    VcpuWork const total{run.total()};
    auto const part = [](std::uint64_t value, std::uint64_t whole) {
        return whole == 0 ? 0.0 : static_cast<double>(value) / static_cast<double>(whole);
    };
    double const seconds{static_cast<double>(run.duration) / 1e9};
    AbValues values{};
    // fork's figure is the time of a cycle.
    double const figure{run.value(row)};
    values[index_of_figure("throughput")] = !lower_is_better(row) ? 1000 * figure : figure == 0 ? 0 : 1e6 / figure;
    values[index_of_figure("cpu")] = static_cast<double>(total.run) / 1e9;
    values[index_of_figure("home")] = 100 * part(total.home, total.run);
    values[index_of_figure("moves")] = static_cast<double>(total.core_moves + total.node_moves) / seconds;
    values[index_of_figure("node_moves")] = static_cast<double>(total.node_moves) / seconds;
    return values;
}

std::string values_text(AbValues const& values)
{
    std::string text;
    for (std::size_t i = 0; i < values.size(); ++i)
        if (values[i])
            text += fmt::format("{} {:.17g}\n", ab_figures[i].key, *values[i]);
    return text + "end\n";
}

AbValues values_from(std::string_view text, std::string_view file)
{
    AbValues values{};
    while (text != "end\n") {
        std::string_view const line{text.substr(0, text.find('\n'))};
        std::string_view const key{line.substr(0, line.find(' '))};
        std::size_t const index{index_of_figure(key)};
        std::string_view const number{line.substr(std::min(line.size(), key.size() + 1))};
        double value{0};
        auto const read = std::from_chars(number.data(), number.data() + number.size(), value);
        if (index == values.size() || read.ec != std::errc{} || read.ptr != number.data() + number.size())
            give_up(fmt::format("{}: is damaged; remove it", file));
        values[index] = value;
        text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    return values;
}

} // namespace hv::nv
