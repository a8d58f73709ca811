#include "tools/nv/trace_waits.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <utility>

namespace hv::nv {

void WaitSamples::add(std::uint64_t ticks)
{
    ++count_;
    sum_ += static_cast<double>(ticks);
    longest_ = std::max(longest_, ticks);
    if (packed_)
        count_in(ticks);
    else
        exact_.push_back(ticks);
}

void WaitSamples::add(WaitSamples const& others)
{
    if (others.packed_)
        pack();
    count_ += others.count_;
    sum_ += others.sum_;
    longest_ = std::max(longest_, others.longest_);
    if (!packed_) {
        exact_.insert(exact_.end(), others.exact_.begin(), others.exact_.end());
        return;
    }
    for (std::uint64_t const ticks : others.exact_)
        count_in(ticks);
    for (std::size_t octave = 0; octave < others.octaves_.size(); ++octave) {
        Octave const& theirs = others.octaves_[octave];
        octaves_[octave].resize(std::max(octaves_[octave].size(), theirs.size()));
        std::ranges::transform(theirs, octaves_[octave], octaves_[octave].begin(), std::plus{});
    }
}

void WaitSamples::pack()
{
    if (std::exchange(packed_, true))
        return;
    octaves_.resize(octaves + 1);
    for (std::uint64_t const ticks : std::exchange(exact_, {}))
        count_in(ticks);
}

// Octave 0 has the values that fit into bucket_bits; octave n > 0 those of n bits more than that, cut to their leading
// bucket_bits + 1 bits, of which the first is always set.
void WaitSamples::count_in(std::uint64_t ticks)
{
    unsigned const bits = std::max(static_cast<unsigned>(std::bit_width(ticks)), bucket_bits);
    unsigned const octave = bits - bucket_bits;
    octaves_[octave].resize(buckets);
    ++octaves_[octave][octave == 0 ? ticks : (ticks >> (octave - 1)) % buckets];
}

template <typename Use>
void WaitSamples::for_each_bucket(Use use) const
{
    for (unsigned octave = 0; octave < octaves_.size(); ++octave) {
        unsigned const shift = octave == 0 ? 0 : octave - 1;
        std::uint64_t const base = octave == 0 ? 0 : std::uint64_t{1} << (bucket_bits + shift);
        for (std::uint64_t i = 0; i < octaves_[octave].size(); ++i)
            if (!use(base + (i << shift) + (std::uint64_t{1} << shift) / 2, octaves_[octave][i]))
                return;
    }
}

std::vector<std::uint64_t> WaitSamples::at(std::span<std::uint64_t const> ranks)
{
    std::vector<std::uint64_t> values;
    if (!packed_) {
        std::ranges::sort(exact_);
        for (std::uint64_t const rank : ranks)
            values.push_back(exact_[rank]);
        return values;
    }
    std::uint64_t below{0};
    for_each_bucket([&](std::uint64_t middle, std::uint32_t count) {
        below += count;
        while (values.size() < ranks.size() && ranks[values.size()] < below)
            values.push_back(std::min(middle, longest_));
        return values.size() < ranks.size();
    });
    return values;
}

std::vector<std::uint64_t> WaitSamples::histogram(std::span<std::uint64_t const> limits) const
{
    std::vector<std::uint64_t> counts(limits.size() + 1);
    auto const place = [&](std::uint64_t ticks) {
        return static_cast<std::size_t>(std::ranges::upper_bound(limits, ticks) - limits.begin());
    };
    for (std::uint64_t const ticks : exact_)
        ++counts[place(ticks)];
    for_each_bucket([&](std::uint64_t middle, std::uint32_t count) {
        counts[place(std::min(middle, longest_))] += count;
        return true;
    });
    return counts;
}

Waits Waits::of(WaitSamples samples)
{
    std::uint64_t const count = samples.count();
    if (count == 0)
        return {};
    auto const rank = [&](std::uint64_t percent) { return std::min(count * percent / 100, count - 1); };
    std::vector<std::uint64_t> const values = samples.at(std::array{rank(50), rank(90), rank(95), rank(99)});
    return {.count = count,
            .mean = samples.sum() / static_cast<double>(count),
            .p50 = values[0],
            .p90 = values[1],
            .p95 = values[2],
            .p99 = values[3],
            .max = samples.longest()};
}

} // namespace hv::nv
