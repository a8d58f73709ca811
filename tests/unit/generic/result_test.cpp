#include "arch/generic/result.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace hv {
namespace {

enum class Trouble : std::uint8_t { small, large };

struct Pair {
    int a, b;
};

constexpr Result<int, Trouble> half(int n)
{
    if (n % 2 != 0)
        return fail(Trouble::large);
    return n / 2;
}

constexpr Status<Trouble> even(int n)
{
    if (n % 2 != 0)
        return fail(Trouble::small);
    return done;
}

static_assert(half(8).ok() && *half(8) == 4 && !half(3) && half(3).error() == Trouble::large);
static_assert(even(2).ok() && even(1).error() == Trouble::small);
static_assert(std::is_trivially_copyable_v<Result<Pair, Trouble>>);

TEST(Result, HoldsAValueOrTheReasonWhyNot)
{
    EXPECT_EQ(half(10).value(), 5);
    EXPECT_EQ(half(7).error(), Trouble::large);
    Result<Pair, Trouble> const pair{Pair{1, 2}};
    EXPECT_EQ(pair->b, 2);
}

TEST(Result, CanHoldAnErrorOfTheValuesType)
{
    Result<int, int> const bad{fail(7)};
    EXPECT_FALSE(bad.ok());
    EXPECT_EQ(bad.error(), 7);
}

TEST(ResultDeathTest, TheValueOfAFailureIsCaught)
{
    EXPECT_DEATH(static_cast<void>(half(1).value()), "ok_");
    EXPECT_DEATH(static_cast<void>(*half(1)), "ok_");
}

TEST(ResultDeathTest, TheErrorOfASuccessIsCaught) { EXPECT_DEATH(static_cast<void>(half(2).error()), "ok_"); }

} // namespace
} // namespace hv
