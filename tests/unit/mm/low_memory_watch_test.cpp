#include "mm/low_memory_watch.hpp"

#include <gtest/gtest.h>

namespace hv::mm {
namespace {

constexpr std::uint64_t top = LowMemoryWatch::highest;

TEST(LowMemoryWatch, SpeaksOnceForEachHalving)
{
    LowMemoryWatch watch{8 * top};
    unsigned events{0};
    for (std::uint64_t free = 8 * top; free > top / 8; --free)
        events += watch.update(free) ? 1u : 0u;
    EXPECT_EQ(events, 3u) << "below 64, 32 and 16 MiB";
    EXPECT_EQ(watch.threshold(), top / 8);
    EXPECT_FALSE(watch.update(top / 8));
    EXPECT_TRUE(watch.update(top / 8 - 1));
}

TEST(LowMemoryWatch, IsSilentWhereMemoryHovers)
{
    LowMemoryWatch watch{8 * top};
    EXPECT_TRUE(watch.update(top - 1));
    for (int i = 0; i < 1000; ++i)
        EXPECT_FALSE(watch.update(i % 2 == 0 ? top - 1 : 2 * top - 1));
    EXPECT_EQ(watch.threshold(), top / 2);
}

TEST(LowMemoryWatch, GoesBackUpWhenFourTimesAsMuchIsFree)
{
    LowMemoryWatch watch{8 * top};
    EXPECT_TRUE(watch.update(top / 4 - 1)) << "two halvings at once are one event";
    EXPECT_EQ(watch.threshold(), top / 8 * 1);
    EXPECT_FALSE(watch.update(top / 2 - 1));
    EXPECT_EQ(watch.threshold(), top / 8);
    EXPECT_FALSE(watch.update(top / 2));
    EXPECT_EQ(watch.threshold(), top / 4);
    EXPECT_FALSE(watch.update(8 * top));
    EXPECT_EQ(watch.threshold(), top) << "and never higher";
    EXPECT_TRUE(watch.update(top - 1));
}

TEST(LowMemoryWatch, ComesBackFromExhaustionAndKnowsSmallMachines)
{
    LowMemoryWatch watch{1000};
    EXPECT_EQ(watch.threshold(), 256u);
    EXPECT_TRUE(watch.update(0));
    EXPECT_EQ(watch.threshold(), 0u);
    EXPECT_FALSE(watch.update(0));
    EXPECT_FALSE(watch.update(1000));
    EXPECT_EQ(watch.threshold(), 256u);
    EXPECT_FALSE(LowMemoryWatch{0}.update(0));
}

} // namespace
} // namespace hv::mm
