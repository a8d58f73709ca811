#include "arch/generic/time.hpp"

#include "arch/generic/types.hpp"

#include <gtest/gtest.h>

#include <concepts>

namespace hv {
namespace {

// Sums that make no sense do not compile.
template <typename A, typename B>
concept Addable = requires(A a, B b) { a + b; };
static_assert(Addable<Instant, Duration> && !Addable<Instant, Instant> && !Addable<CpuId, CpuId>);
static_assert(!std::constructible_from<Duration, int> && !std::convertible_to<int, CpuId>);
static_assert(!std::equality_comparable_with<CpuId, NodeId>);
static_assert(std::same_as<decltype(Instant{} - Instant{}), Duration>);

static_assert(Duration::from_ms(3) == Duration::from_us(3000) && Duration::from_us(2) == Duration::from_ns(2000));

TEST(Duration, DividesTowardsZero)
{
    EXPECT_EQ(Duration::from_ms(7) / Duration::from_ms(2), 3);
    EXPECT_EQ(Duration::from_ms(7) % Duration::from_ms(2), Duration::from_ms(1));
    EXPECT_EQ(Duration::from_ns(-7) / 2, Duration::from_ns(-3));
    EXPECT_EQ(-Duration::from_us(5) * 2, Duration::from_us(-10));
}

TEST(Duration, CountsUpAndDown)
{
    Duration d{Duration::from_us(10)};
    d += Duration::from_us(5);
    d -= Duration::from_us(20);
    EXPECT_EQ(d.ns(), -5'000);
    EXPECT_LT(d, Duration{});
}

TEST(Instant, DifferencesUndoSums)
{
    Instant const t{Instant::at(Duration::from_ms(10))};
    EXPECT_EQ((t + Duration::from_ms(5)) - t, Duration::from_ms(5));
    EXPECT_EQ(t - Duration::from_ms(10), Instant{});
    EXPECT_EQ(t, Instant::at_ns(10'000'000));
    EXPECT_EQ(t.since_start(), Duration::from_ms(10));
}

TEST(Instant, NextMultipleIsAlwaysLater)
{
    Duration const period{Duration::from_ms(10)};
    EXPECT_EQ(Instant::at_ns(0).next_multiple(period).ns(), 10'000'000);
    EXPECT_EQ(Instant::at_ns(1).next_multiple(period).ns(), 10'000'000);
    EXPECT_EQ(Instant::at_ns(9'999'999).next_multiple(period).ns(), 10'000'000);
    EXPECT_EQ(Instant::at_ns(10'000'000).next_multiple(period).ns(), 20'000'000);
}

} // namespace
} // namespace hv
