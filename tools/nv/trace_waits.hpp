// Lengths of waits and their percentiles, in memory that does not grow with the trace.
//
// WaitSamples keeps values as they are until it is told to pack(): from then on it counts them in buckets, of one tick
// up to 8191 ticks and of 1/4096 of the value at most above, so that a percentile is off by 1/8192 (0.012 %) at most,
// and count, sum and longest stay exact. Whoever owns many decides when. Host only. Floor: tools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hv::nv {

class WaitSamples {
public:
    void add(std::uint64_t ticks);
    void add(WaitSamples const& others);
    // Exact values become buckets, for good.
    void pack();

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double sum() const { return sum_; }
    [[nodiscard]] std::uint64_t longest() const { return longest_; }
    // In no certain order; empty once packed.
    [[nodiscard]] std::span<std::uint64_t const> exact() const { return exact_; }
    [[nodiscard]] bool is_packed() const { return packed_; }
    // The values at these ranks of the sorted samples, counted from 0, ascending and below count(). Sorts exact ones.
    [[nodiscard]] std::vector<std::uint64_t> at(std::span<std::uint64_t const> ranks);
    // How many samples are below the first limit, from each limit up to the next, and from the last on. Limits ascend.
    // Packed values count where their bucket's middle is.
    [[nodiscard]] std::vector<std::uint64_t> histogram(std::span<std::uint64_t const> limits) const;

private:
    static constexpr unsigned bucket_bits = 12;
    static constexpr unsigned octaves = 64 - bucket_bits;
    static constexpr std::size_t buckets = std::size_t{1} << bucket_bits;
    using Octave = std::vector<std::uint32_t>; // of so many buckets, or empty: none in use

    void count_in(std::uint64_t ticks);
    // Calls use(value, how often) for each bucket, ascending, until it returns false. Only once packed.
    template <typename Use>
    void for_each_bucket(Use use) const;

    bool packed_{false};
    std::uint64_t count_{0}, longest_{0};
    double sum_{0};
    std::vector<std::uint64_t> exact_;
    std::vector<Octave> octaves_; // once packed
};

// Percentile p of n sorted samples: element floor(p/100 * n), the last at most. All zero without samples.
struct Waits {
    std::uint64_t count{0};
    double mean{0};
    std::uint64_t p50{0}, p90{0}, p95{0}, p99{0}, max{0};

    [[nodiscard]] static Waits of(WaitSamples samples);
};

} // namespace hv::nv
