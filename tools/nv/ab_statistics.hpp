// Whether a figure that was measured with the same seeds on both sides differs by more than chance explains: a paired
// t test, and Holm's correction for many figures. Deterministic. Host only. Floor: tools.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace hv::nv {

struct PairedTest {
    double base{0}, change{0}; // means
    double difference{0};      // mean of change - base
    double p{1};               // of a difference this large by chance, two-sided; 1 with fewer than two pairs
    bool one_sign{false};      // every pair differs, and in the same direction
};

// `base` and `change` are by seed, of equal length.
[[nodiscard]] PairedTest paired_test(std::span<double const> base, std::span<double const> change);

// Probability that |t| of `freedom` (at least 1) degrees of freedom is `t` (not negative) or more.
[[nodiscard]] double student_tail(double t, unsigned freedom);

// Which of the hypotheses are rejected so that the chance of rejecting any wrongly is at most `alpha`.
[[nodiscard]] std::vector<bool> holm(std::span<double const> p, double alpha);

} // namespace hv::nv
