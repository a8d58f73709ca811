#include "tools/nv/ab_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hv::nv {

namespace {

// The continued fraction of the incomplete beta function (Lentz's method); converges fast for x < (a + 1) / (a + b +
// 2).
double beta_fraction(double a, double b, double x)
{
    constexpr double tiny = 1e-300, precision = 1e-15;
    auto const away_from_zero = [](double value) { return std::abs(value) < tiny ? tiny : value; };
    double c{1}, d{1 / away_from_zero(1 - (a + b) * x / (a + 1))}, result{d};
    for (int m = 1; m < 500; ++m) {
        double const even{m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))};
        double const odd{-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))};
        for (double const term : {even, odd}) {
            d = 1 / away_from_zero(1 + term * d);
            c = away_from_zero(1 + term / c);
            result *= c * d;
        }
        if (std::abs(c * d - 1) < precision)
            break;
    }
    return result;
}

// Regularised incomplete beta function.
double beta_share(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double const front{
        std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x))};
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

} // namespace

double student_tail(double t, unsigned freedom)
{
    double const n{static_cast<double>(freedom)};
    return beta_share(n / 2, 0.5, n / (n + t * t));
}

PairedTest paired_test(std::span<double const> base, std::span<double const> change)
{
    PairedTest result;
    auto const n = static_cast<double>(base.size());
    if (base.empty())
        return result;
    std::vector<double> differences(base.size());
    std::ranges::transform(change, base, differences.begin(), std::minus<>{});
    result.base = std::accumulate(base.begin(), base.end(), 0.0) / n;
    result.change = std::accumulate(change.begin(), change.end(), 0.0) / n;
    result.difference = std::accumulate(differences.begin(), differences.end(), 0.0) / n;
    result.one_sign = std::ranges::all_of(differences, [](double d) { return d > 0; }) ||
                      std::ranges::all_of(differences, [](double d) { return d < 0; });
    if (base.size() < 2 || result.difference == 0)
        return result;
    double squares{0};
    for (double const d : differences)
        squares += (d - result.difference) * (d - result.difference);
    double const error{std::sqrt(squares / (n - 1) / n)};
    // Differences that are all the same are as sure as it gets.
    result.p = error <= std::abs(result.difference) * 1e-9
                   ? 0
                   : student_tail(std::abs(result.difference) / error, static_cast<unsigned>(base.size()) - 1);
    return result;
}

std::vector<bool> holm(std::span<double const> p, double alpha)
{
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p[i]; });
    std::vector<bool> rejected(p.size());
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        if (p[order[rank]] > alpha / static_cast<double>(order.size() - rank))
            break;
        rejected[order[rank]] = true;
    }
    return rejected;
}

} // namespace hv::nv
