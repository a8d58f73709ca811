#include "tools/nv/trace_diff_figures.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace hv::nv {

namespace {

using OfVcpu = std::function<std::optional<double>(VcpuFigures const&, TraceFigures const&)>;

double seconds(TraceFigures const& figures)
{
    return static_cast<double>(figures.duration()) / static_cast<double>(figures.hz);
}

double share(std::uint64_t part, std::uint64_t whole)
{
    return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

double rate(std::uint64_t count, TraceFigures const& figures)
{
    return figures.duration() == 0 ? 0 : static_cast<double>(count) / seconds(figures);
}

// The usual bounds: Cohen's for d, Romano's for delta.
std::string_view magnitude(double effect, double small, double medium, double large)
{
    double const size = std::abs(effect);
    return size < small ? "none" : size < medium ? "small" : size < large ? "medium" : "large";
}

// Guests that both have, in pairs.
template <typename Use>
void for_pairs(TraceFigures const& a, TraceFigures const& b, Use use)
{
    auto const key = [](VcpuFigures const& v) { return std::pair{v.domain, v.vcpu}; };
    auto at = b.vcpus.begin();
    for (VcpuFigures const& mine : a.vcpus) {
        while (at != b.vcpus.end() && key(*at) < key(mine))
            ++at;
        if (at != b.vcpus.end() && key(*at) == key(mine) && mine.domain != 0)
            use(mine, *at);
    }
}

class Differ {
public:
    Differ(TraceFigures const& a, TraceFigures const& b) : a_{a}, b_{b} {}

    [[nodiscard]] std::vector<FigureDiff> run()
    {
        GuestTotals const a{a_.guests()}, b{b_.guests()};
        if (a.placed != 0 && b.placed != 0) {
            share_row("at home", share(a.home, a.placed), share(b.home, b.placed), [](auto const& v, auto const&) {
                return v.home && v.placed != 0 ? std::optional{share(*v.home, v.placed)} : std::nullopt;
            });
            share_row("misplaced", share(misplaced(a_), a.placed), share(misplaced(b_), b.placed),
                      [](auto const& v, auto const&) {
                          return v.misplaced && v.placed != 0 ? std::optional{share(*v.misplaced, v.placed)}
                                                              : std::nullopt;
                      });
        }
        state_row("running", 0);
        state_row("runnable", 1);
        rate_row("migrations", &VcpuFigures::migrations);
        if (a_.nodes_known && b_.nodes_known)
            rate_row("across nodes", &VcpuFigures::cross_node);
        row("switches", "/s", rate(a_.switches, a_), rate(b_.switches, b_));
        row("wake-ups", "/s", rate(a_.wakeups, a_), rate(b_.wakeups, b_));
        row("long waits beside an idle pCPU", "/s", rate(a_.long_gaps, a_), rate(b_.long_gaps, b_));
        wait_rows("after a wake-up", &VcpuFigures::wakes);
        wait_rows("after preemption", &VcpuFigures::preempts);
        return std::move(rows_);
    }

private:
    FigureDiff& row(std::string name, std::string unit, double a, double b)
    {
        return rows_.emplace_back(
            FigureDiff{.name = std::move(name), .unit = std::move(unit), .a = a, .b = b, .effect = {}});
    }

    void paired_row(std::string name, std::string unit, double a, double b, OfVcpu const& of)
    {
        FigureDiff& made = row(std::move(name), std::move(unit), a, b);
        std::vector<double> changes;
        for_pairs(a_, b_, [&](VcpuFigures const& mine, VcpuFigures const& theirs) {
            std::optional<double> const before = of(mine, a_), after = of(theirs, b_);
            if (before && after)
                changes.push_back(*after - *before);
        });
        double mean{0}, spread{0};
        for (double const change : changes)
            mean += change / static_cast<double>(changes.size());
        for (double const change : changes)
            spread += (change - mean) * (change - mean);
        if (changes.size() < 2 || spread == 0)
            return;
        made.effect = mean / std::sqrt(spread / static_cast<double>(changes.size() - 1));
        made.effect_name = "d";
        made.magnitude = magnitude(*made.effect, 0.2, 0.5, 0.8);
    }

    void share_row(std::string name, double a, double b, OfVcpu const& of)
    {
        paired_row(std::move(name), "%", a, b, of);
    }

    static std::uint64_t misplaced(TraceFigures const& figures)
    {
        std::uint64_t sum{0};
        for (VcpuFigures const& vcpu : figures.vcpus)
            sum += vcpu.domain != 0 ? vcpu.misplaced.value_or(0) : 0;
        return sum;
    }

    void state_row(std::string name, std::size_t state)
    {
        auto const mean = [&](TraceFigures const& figures) {
            std::uint64_t time{0}, count{0};
            for (VcpuFigures const& vcpu : figures.vcpus)
                if (vcpu.domain != 0) {
                    time += vcpu.in_state[state];
                    ++count;
                }
            return share(time, count * figures.duration());
        };
        share_row(std::move(name), mean(a_), mean(b_), [state](VcpuFigures const& v, TraceFigures const& of) {
            return std::optional{share(v.in_state[state], of.duration())};
        });
    }

    void rate_row(std::string name, std::uint64_t VcpuFigures::* count)
    {
        auto const sum = [&](TraceFigures const& figures) {
            std::uint64_t all{0};
            for (VcpuFigures const& vcpu : figures.vcpus)
                all += vcpu.domain != 0 ? vcpu.*count : 0;
            return rate(all, figures);
        };
        paired_row(std::move(name), "/s", sum(a_), sum(b_),
                   [count](VcpuFigures const& v, TraceFigures const& of) { return std::optional{rate(v.*count, of)}; });
    }

    void wait_rows(std::string const& name, WaitSamples VcpuFigures::* samples)
    {
        auto const all = [&](TraceFigures const& figures) {
            WaitSamples sum;
            for (VcpuFigures const& vcpu : figures.vcpus)
                if (vcpu.domain != 0)
                    sum.add(vcpu.*samples);
            return sum;
        };
        WaitSamples const a{all(a_)}, b{all(b_)};
        Waits const wa{Waits::of(a)}, wb{Waits::of(b)};
        auto const us = [](double ticks, TraceFigures const& of) { return ticks * 1e6 / static_cast<double>(of.hz); };
        auto const put = [&](std::string_view which, double mine, double theirs) -> FigureDiff& {
            return row(name + ", " + std::string{which}, "us", us(mine, a_), us(theirs, b_));
        };
        FigureDiff& p50 = put("p50", static_cast<double>(wa.p50), static_cast<double>(wb.p50));
        if (wa.count != 0 && wb.count != 0) {
            p50.effect = cliffs_delta(a, a_.hz, b, b_.hz);
            p50.effect_name = "delta";
            p50.magnitude = magnitude(*p50.effect, 0.147, 0.33, 0.474);
        }
        put("p99", static_cast<double>(wa.p99), static_cast<double>(wb.p99));
        put("mean", wa.mean, wb.mean);
    }

    TraceFigures const& a_;
    TraceFigures const& b_;
    std::vector<FigureDiff> rows_;
};

// In us, so that clocks of different rates compare.
std::vector<double> quantiles(WaitSamples samples, std::uint64_t hz)
{
    constexpr std::uint64_t most = 2000;
    std::uint64_t const count = samples.count();
    std::uint64_t const taken = std::min(count, most);
    std::vector<std::uint64_t> ranks;
    for (std::uint64_t i = 0; i < taken; ++i)
        ranks.push_back((2 * i + 1) * count / (2 * taken));
    std::vector<double> values;
    if (count != 0)
        for (std::uint64_t const ticks : samples.at(ranks))
            values.push_back(static_cast<double>(ticks) * 1e6 / static_cast<double>(hz));
    return values;
}

} // namespace

double cliffs_delta(WaitSamples a, std::uint64_t hz_a, WaitSamples b, std::uint64_t hz_b)
{
    std::vector<double> const mine{quantiles(std::move(a), hz_a)}, theirs{quantiles(std::move(b), hz_b)};
    if (mine.empty() || theirs.empty())
        return 0;
    double sum{0};
    for (double const value : theirs) {
        auto const [low, high] = std::equal_range(mine.begin(), mine.end(), value);
        sum += static_cast<double>(low - mine.begin()) - static_cast<double>(mine.end() - high);
    }
    return sum / static_cast<double>(mine.size()) / static_cast<double>(theirs.size());
}

std::vector<FigureDiff> diff_figures(TraceFigures const& a, TraceFigures const& b) { return Differ{a, b}.run(); }

std::vector<VcpuDiff> diff_vcpus(TraceFigures const& a, TraceFigures const& b, std::size_t most)
{
    std::vector<VcpuDiff> rows;
    for_pairs(a, b, [&](VcpuFigures const& mine, VcpuFigures const& theirs) {
        rows.push_back({.domain = mine.domain,
                        .vcpu = mine.vcpu,
                        .run_a = share(mine.in_state[0], a.duration()),
                        .run_b = share(theirs.in_state[0], b.duration()),
                        .wait_a = share(mine.in_state[1], a.duration()),
                        .wait_b = share(theirs.in_state[1], b.duration())});
    });
    auto const change = [](VcpuDiff const& row) { return -std::abs(row.wait_b - row.wait_a); };
    std::ranges::stable_sort(rows, {}, change);
    rows.resize(std::min(rows.size(), most));
    std::erase_if(rows, [&](VcpuDiff const& row) { return row.wait_a == row.wait_b && row.run_a == row.run_b; });
    return rows;
}

} // namespace hv::nv
