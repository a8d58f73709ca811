#include "arch/generic/format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string>

namespace hv {
namespace {

template <typename... Args>
std::string text_of(std::string_view format, Args const&... args)
{
    std::array<char, 256> buffer{};
    BufferSink sink{buffer};
    print(sink, format, args...);
    EXPECT_FALSE(sink.truncated());
    return std::string{sink.text()};
}

TEST(Format, PrintsEachKindOfArgument)
{
    EXPECT_EQ(text_of("{} {} {}", 7, -7, 7u), "7 -7 7");
    EXPECT_EQ(text_of("{} {}", "text", std::string_view{"view"}), "text view");
    EXPECT_EQ(text_of("{} {}", true, false), "yes no");
    EXPECT_EQ(text_of("{} {} {}", CpuId{3}, NodeId{63}, PhysAddr{1ull << 40}), "3 63 1099511627776");
    EXPECT_EQ(text_of("{} {}", Duration::from_us(2), Duration::from_ns(-5)), "2000 -5");
    EXPECT_EQ(text_of("{}", static_cast<std::uint8_t>(200)), "200"); // a number, not a character
}

TEST(Format, PrintsTheExtremesOf64Bits)
{
    EXPECT_EQ(text_of("{}", std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
    EXPECT_EQ(text_of("{}", std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
    EXPECT_EQ(text_of("{:x}", std::numeric_limits<std::uint64_t>::max()), "0xffffffffffffffff");
}

TEST(Format, PrintsHexadecimal)
{
    EXPECT_EQ(text_of("{:x}", 0xbeefu), "0xbeef");
    EXPECT_EQ(text_of("{:08x}", 0xbeefu), "0000beef");
    EXPECT_EQ(text_of("{:08x}", 0x123456789u), "123456789"); // too wide is not cut
    EXPECT_EQ(text_of("{:8x}|", 0xbeefu), "  0xbeef|");
    EXPECT_EQ(text_of("{:x}", PhysAddr{0xfee00000}), "0xfee00000");
}

TEST(Format, AlignsToAWidth)
{
    EXPECT_EQ(text_of("{:5}|{:<5}|", 42, 42), "   42|42   |");
    EXPECT_EQ(text_of("{:5}|{:<5}|", "ab", "ab"), "   ab|ab   |");
    EXPECT_EQ(text_of("{:5}|{:05}|", -42, -42), "  -42|-0042|");
    EXPECT_EQ(text_of("{:12}|", 1), "           1|");
    EXPECT_EQ(text_of("{:2}|", 12345), "12345|");
}

TEST(Format, TwoBracesPrintOne)
{
    EXPECT_EQ(text_of("{{}"), "{}");
    EXPECT_EQ(text_of("a{{b{}", 1), "a{b1");
    EXPECT_EQ(text_of("{{{}}", 1), "{1}");
}

TEST(Format, AMissingArgumentIsShownAndASurplusOneIgnored)
{
    EXPECT_EQ(text_of("{} {}", 1), "1 {?}");
    EXPECT_EQ(text_of("{}"), "{?}");
    EXPECT_EQ(text_of("{}", 1, 2), "1");
    EXPECT_EQ(text_of("plain", 1), "plain");
}

TEST(Format, AnUnfinishedPlaceHolderEndsTheText)
{
    EXPECT_EQ(text_of("ab {", 1), "ab ");
    EXPECT_EQ(text_of("ab {:08x", 1), "ab ");
    EXPECT_EQ(text_of(""), "");
}

TEST(BufferSink, RemembersThatItWasTooSmall)
{
    std::array<char, 4> buffer{};
    BufferSink sink{buffer};
    print(sink, "{}", 1234);
    EXPECT_FALSE(sink.truncated());
    EXPECT_EQ(sink.text(), "1234");
    print(sink, "{}", 5);
    EXPECT_TRUE(sink.truncated());
    EXPECT_EQ(sink.text(), "1234");
    sink.clear();
    EXPECT_FALSE(sink.truncated());
    print(sink, "x");
    EXPECT_EQ(sink.text(), "x");
}

} // namespace
} // namespace hv
