#include "tools/nv/trace_waits.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

namespace hv::nv {
namespace {

// From nanoseconds to hours, small ones often.
WaitSamples many(std::uint32_t seed, std::size_t count)
{
    std::mt19937_64 random{seed};
    WaitSamples samples;
    for (std::size_t i = 0; i < count; ++i)
        samples.add(random() >> (20 + random() % 44));
    return samples;
}

void expect_close(std::uint64_t found, std::uint64_t wanted)
{
    EXPECT_LE(std::abs(static_cast<double>(found) - static_cast<double>(wanted)), static_cast<double>(wanted) / 8192)
        << found << " for " << wanted;
}

void expect_close(Waits const& found, Waits const& wanted)
{
    EXPECT_EQ(found.count, wanted.count);
    EXPECT_DOUBLE_EQ(found.mean, wanted.mean);
    EXPECT_EQ(found.max, wanted.max);
    expect_close(found.p50, wanted.p50);
    expect_close(found.p90, wanted.p90);
    expect_close(found.p95, wanted.p95);
    expect_close(found.p99, wanted.p99);
}

TEST(Waits, TakesTheElementAtTheFlooredRank)
{
    WaitSamples samples;
    for (std::uint64_t i = 200; i > 0; --i)
        samples.add(i);
    Waits const waits = Waits::of(samples);
    EXPECT_EQ(waits.p50, 101u);
    EXPECT_EQ(waits.p99, 199u);
    EXPECT_EQ(waits.max, 200u);
    EXPECT_DOUBLE_EQ(waits.mean, 100.5);
    EXPECT_EQ(Waits::of({}).count, 0u);
}

TEST(Waits, PackedValuesGiveThePercentilesOfTheExactOnes)
{
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        WaitSamples samples{many(seed, 1000 * seed)};
        Waits const exact = Waits::of(many(seed, 1000 * seed));
        samples.pack();
        EXPECT_TRUE(samples.exact().empty());
        expect_close(Waits::of(std::move(samples)), exact);
    }
}

TEST(Waits, PackingLeavesShortWaitsExact)
{
    for (std::uint64_t const ticks : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4095}, std::uint64_t{4096},
                                      std::uint64_t{8191}, ~std::uint64_t{0}}) {
        WaitSamples samples;
        samples.add(ticks);
        samples.add(~std::uint64_t{0});
        samples.add(~std::uint64_t{0});
        samples.pack();
        std::uint64_t const found = samples.at(std::array{std::uint64_t{0}}).front();
        if (ticks <= 8191)
            EXPECT_EQ(found, ticks);
        else
            expect_close(found, ticks);
    }
}

TEST(Waits, SumsOfPackedAndExactOnesAreThoseOfAllValues)
{
    WaitSamples all{many(1, 3000)}, sum, packed{many(1, 3000)}, exact{many(2, 500)};
    all.add(many(2, 500));
    packed.pack();
    for (WaitSamples const* const part : {&packed, &exact})
        sum.add(*part);
    expect_close(Waits::of(sum), Waits::of(all));
    exact.add(packed);
    EXPECT_TRUE(exact.is_packed());
    expect_close(Waits::of(std::move(exact)), Waits::of(std::move(all)));
}

TEST(Waits, ValuesThatComeAfterPackingCountToo)
{
    WaitSamples samples;
    samples.pack();
    for (std::uint64_t i = 1; i <= 1000; ++i)
        samples.add(i);
    EXPECT_EQ(samples.count(), 1000u);
    EXPECT_EQ(samples.at(std::array{std::uint64_t{499}, std::uint64_t{999}}), (std::vector<std::uint64_t>{500, 1000}));
}

TEST(Waits, HistogramCountsEachRangeOnceWithItsLowerLimit)
{
    WaitSamples samples;
    for (std::uint64_t const ticks : {0u, 9u, 10u, 19u, 20u, 20u, 5000u})
        samples.add(ticks);
    EXPECT_EQ(samples.histogram(std::array<std::uint64_t, 3>{10, 20, 40}), (std::vector<std::uint64_t>{2, 2, 2, 1}));
    samples.pack();
    EXPECT_EQ(samples.histogram(std::array<std::uint64_t, 3>{10, 20, 40}), (std::vector<std::uint64_t>{2, 2, 2, 1}));
    EXPECT_EQ(WaitSamples{}.histogram(std::array<std::uint64_t, 1>{10}), (std::vector<std::uint64_t>{0, 0}));
}

} // namespace
} // namespace hv::nv
