// What differs between the figures of two traces (trace_summary.hpp), and how much it matters.
//
// Effect sizes: of shares and rates Cohen's d over the vCPUs that both traces have, paired (the mean of the
// differences by their standard deviation); of waits Cliff's delta over all waits (how much more often one of B is
// longer than one of A than shorter). Host only. Floor: tools.
#pragma once

#include "tools/nv/trace_summary.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct FigureDiff {
    std::string name, unit;
    double a{0}, b{0};
    std::optional<double> effect;   // nothing: too few vCPUs or waits, or none that differs
    std::string_view effect_name{}; // "d" or "delta"
    std::string_view magnitude{};   // "none", "small", "medium", "large"

    [[nodiscard]] double change_percent() const { return a == 0 ? 0 : 100 * (b - a) / a; }
};

// A vCPU whose share of time differs.
struct VcpuDiff {
    std::uint16_t domain{0}, vcpu{0};
    double run_a{0}, run_b{0}, wait_a{0}, wait_b{0}; // percent of each trace's duration
};

// Guests' figures, and the host's where they are of the machine. Fixed order.
[[nodiscard]] std::vector<FigureDiff> diff_figures(TraceFigures const& a, TraceFigures const& b);
// At most `most`, the largest change of waiting first.
[[nodiscard]] std::vector<VcpuDiff> diff_vcpus(TraceFigures const& a, TraceFigures const& b, std::size_t most);

// In -1 to 1, above 0 if B's are longer; 0 if one has none. From 2000 quantiles of each at most.
[[nodiscard]] double cliffs_delta(WaitSamples a, std::uint64_t hz_a, WaitSamples b, std::uint64_t hz_b);

} // namespace hv::nv
