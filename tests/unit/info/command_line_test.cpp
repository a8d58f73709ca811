#include "boot/info/command_line.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

namespace hv::boot {
namespace {

std::string message(std::string_view line)
{
    Result<Options, OptionError> const parsed{parse_options(line)};
    if (parsed)
        return "";
    std::array<char, 512> buffer{};
    BufferSink sink{buffer};
    describe(parsed.error(), sink);
    EXPECT_FALSE(sink.truncated());
    return std::string{sink.text()};
}

TEST(CommandLine, AnEmptyLineGivesTheDefaults)
{
    for (std::string_view const line : {"", "   ", " \t "}) {
        Result<Options, OptionError> const options{parse_options(line)};
        ASSERT_TRUE(options);
        EXPECT_EQ(options->sched, "");
        EXPECT_FALSE(options->selftest);
        EXPECT_EQ(options->khz, 0u);
        EXPECT_EQ(options->trace_kib, 1024u);
        EXPECT_TRUE(options->numa);
        EXPECT_FALSE(options->quiet);
        EXPECT_FALSE(options->console);
        EXPECT_EQ(options->maxcpus, 255u);
        EXPECT_EQ(options->chop_ns, 0u);
        EXPECT_EQ(options->watchdog_ms, 5000u);
    }
}

TEST(CommandLine, EveryOptionArrives)
{
    Result<Options, OptionError> const options{
        parse_options(" sched=numacredit selftest=Timer  khz=1000000\ttrace=64 numa=off quiet console maxcpus=16 "
                      "chop=7001 watchdog=100 ")};
    ASSERT_TRUE(options);
    EXPECT_EQ(options->sched, "numacredit");
    EXPECT_TRUE(options->selftest);
    EXPECT_EQ(options->selftest_pattern, "Timer");
    EXPECT_EQ(options->khz, 1'000'000u);
    EXPECT_EQ(options->trace_kib, 64u);
    EXPECT_FALSE(options->numa);
    EXPECT_TRUE(options->quiet);
    EXPECT_TRUE(options->console);
    EXPECT_EQ(options->maxcpus, 16u);
    EXPECT_EQ(options->chop_ns, 7001u);
    EXPECT_EQ(options->watchdog_ms, 100u);
}

TEST(CommandLine, SelftestWithoutAPatternMeansAll)
{
    Result<Options, OptionError> const options{parse_options("selftest")};
    ASSERT_TRUE(options);
    EXPECT_TRUE(options->selftest);
    EXPECT_EQ(options->selftest_pattern, "");
}

TEST(CommandLine, QuotesKeepSpacesTogether)
{
    Result<Options, OptionError> const options{parse_options("selftest=\"two words=x\" quiet")};
    ASSERT_TRUE(options);
    EXPECT_EQ(options->selftest_pattern, "two words=x");
    EXPECT_TRUE(options->quiet);
}

TEST(CommandLine, LimitsOfNumbersAreInclusive)
{
    EXPECT_EQ(parse_options("khz=1000")->khz, 1000u);
    EXPECT_EQ(parse_options("khz=100000000")->khz, 100'000'000u);
    EXPECT_EQ(parse_options("khz=0")->khz, 0u);
    EXPECT_EQ(parse_options("trace=4")->trace_kib, 4u);
    EXPECT_EQ(parse_options("trace=65536")->trace_kib, 65'536u);
    EXPECT_EQ(parse_options("trace=0")->trace_kib, 0u);
    EXPECT_EQ(parse_options("trace=off")->trace_kib, 0u);
    EXPECT_EQ(parse_options("maxcpus=1")->maxcpus, 1u);
    EXPECT_EQ(parse_options("maxcpus=255")->maxcpus, 255u);
    EXPECT_EQ(parse_options("chop=100")->chop_ns, 100u);
    EXPECT_EQ(parse_options("chop=1000000000")->chop_ns, 1'000'000'000u);
    EXPECT_EQ(parse_options("chop=off")->chop_ns, 0u);
    EXPECT_EQ(parse_options("watchdog=10")->watchdog_ms, 10u);
    EXPECT_EQ(parse_options("watchdog=60000")->watchdog_ms, 60'000u);
    EXPECT_EQ(parse_options("watchdog=off")->watchdog_ms, 0u);
}

TEST(CommandLine, ValuesOutOfRangeAreRefusedWithWhatIsAllowed)
{
    for (std::string_view const line : {"khz=999", "khz=100000001", "khz=99999999999", "khz=-1", "khz=1e6", "khz=0x10"})
        EXPECT_NE(message(line).find("allowed: 0 (calibrate) or 1000 to 100000000"), std::string::npos) << line;
    for (std::string_view const line : {"trace=2", "trace=131072", "trace=6", "trace=on", "trace=4k"})
        EXPECT_NE(message(line).find("allowed: off, 0 or a power of two from 4 to 65536"), std::string::npos) << line;
    for (std::string_view const line : {"maxcpus=0", "maxcpus=256", "maxcpus=65537", "maxcpus=x"})
        EXPECT_NE(message(line).find("allowed: 1 to 255"), std::string::npos) << line;
    for (std::string_view const line : {"chop=99", "chop=1000000001", "chop=7us"})
        EXPECT_NE(message(line).find("allowed: off, 0 or 100 to 1000000000"), std::string::npos) << line;
    for (std::string_view const line : {"watchdog=9", "watchdog=60001", "watchdog=on"})
        EXPECT_NE(message(line).find("allowed: off, 0 or 10 to 60000"), std::string::npos) << line;
    for (std::string_view const line : {"numa=yes", "numa=ON", "numa=offf"})
        EXPECT_NE(message(line).find("allowed: on or off"), std::string::npos) << line;
}

TEST(CommandLine, TraceMasksAreNamesAndNumbersOredTogether)
{
    EXPECT_EQ(parse_options("")->trace_mask, std::nullopt);
    EXPECT_EQ(parse_options("trace_mask=off")->trace_mask, 0u);
    EXPECT_EQ(parse_options("trace_mask=0")->trace_mask, 0u);
    EXPECT_EQ(parse_options("trace_mask=sched")->trace_mask, 0x0002f000u);
    EXPECT_EQ(parse_options("trace_mask=TRC_SCHED")->trace_mask, 0x0002f000u);
    EXPECT_EQ(parse_options("trace_mask=gen,sched,dom0op,hvm,mem")->trace_mask, 0x001ff000u);
    EXPECT_EQ(parse_options("trace_mask=all")->trace_mask, 0x0ffff000u);
    EXPECT_EQ(parse_options("trace_mask=0x21000")->trace_mask, 0x00021000u);
    EXPECT_EQ(parse_options("trace_mask=0xffffffff")->trace_mask, 0xffffffffu);
    EXPECT_EQ(parse_options("trace_mask=135168,dom0op")->trace_mask, 0x0006f000u);
    for (std::string_view const line : {"trace_mask=sched,", "trace_mask=,sched", "trace_mask=Sched", "trace_mask=0x",
                                        "trace_mask=0x100000000", "trace_mask=-1", "trace_mask=sched,off"})
        EXPECT_NE(message(line).find("allowed: off, or a list of gen, sched, dom0op"), std::string::npos) << line;
}

TEST(CommandLine, TracedPcpusAreAListOfNumbersAndRanges)
{
    auto const listed = [](std::string_view line) {
        std::string text;
        std::optional<TraceCpus> const cpus{parse_options(line)->trace_cpus};
        for (unsigned i = 0; cpus && i < TraceCpus::capacity; ++i)
            if (cpus->test(i) && (i < 12 || i > 253))
                text += std::to_string(i) + " ";
        return text;
    };
    EXPECT_EQ(parse_options("")->trace_cpus.has_value(), false);
    EXPECT_EQ(listed("trace_cpus=3"), "3 ");
    EXPECT_EQ(listed("trace_cpus=0,2,5-7"), "0 2 5 6 7 ");
    EXPECT_EQ(listed("trace_cpus=7-7,1"), "1 7 ");
    EXPECT_EQ(listed("trace_cpus=-3"), "0 1 2 3 ");
    EXPECT_EQ(listed("trace_cpus=9-"), "9 10 11 254 255 ");
    EXPECT_EQ(listed("trace_cpus=255"), "255 ");
    EXPECT_EQ(listed("trace_cpus=all"), "0 1 2 3 4 5 6 7 8 9 10 11 254 255 ");
    EXPECT_EQ(parse_options("trace_cpus=0,2,5-70")->trace_cpus->highest(), 70u);
    EXPECT_EQ(parse_options("trace_cpus=0")->trace_cpus->highest(), 0u);
    for (std::string_view const line : {"trace_cpus=256", "trace_cpus=3-2", "trace_cpus=-", "trace_cpus=1,,2",
                                        "trace_cpus=1,", "trace_cpus=0x1", "trace_cpus=1-2-3", "trace_cpus=1-256"})
        EXPECT_NE(message(line).find("allowed: all, or a list of pCPUs below 256"), std::string::npos) << line;
}

TEST(CommandLine, TraceModesAreThree)
{
    EXPECT_EQ(parse_options("")->trace_mode, TraceMode::drop);
    EXPECT_EQ(parse_options("trace_mode=stop")->trace_mode, TraceMode::stop);
    EXPECT_EQ(parse_options("trace_mode=flight")->trace_mode, TraceMode::flight);
    EXPECT_EQ(
        message("trace_mode=fly"),
        "command line, column 1: 'trace_mode=fly' has a value that is not allowed; allowed: drop, stop or flight");
}

TEST(CommandLine, ErrorsNameTheOptionItsColumnAndTheRemedy)
{
    EXPECT_EQ(
        message("quiet  shed=credit"),
        "command line, column 8: 'shed=credit' is not an option; allowed: sched=NAME selftest[=PATTERN] khz=N "
        "trace=KIB trace_mask=LIST trace_cpus=LIST trace_mode=drop|stop|flight numa=on|off quiet console maxcpus=N "
        "chop=NS watchdog=MS");
    EXPECT_EQ(message("khz=5000 quiet khz=6000"),
              "command line, column 16: 'khz=6000' is given twice; allowed: 0 (calibrate) or 1000 to 100000000");
    EXPECT_EQ(message("sched"), "command line, column 1: 'sched' needs a value; allowed: the name of a policy");
    EXPECT_EQ(message("sched= quiet"), "command line, column 1: 'sched=' needs a value; allowed: the name of a policy");
    EXPECT_EQ(message("selftest="),
              "command line, column 1: 'selftest=' needs a value; allowed: selftest or selftest=PATTERN");
    EXPECT_EQ(message("quiet=1"), "command line, column 1: 'quiet=1' takes no value; allowed: quiet, without a value");
}

TEST(CommandLine, QuotesThatDoNotWrapAWholeValueAreRefused)
{
    EXPECT_NE(message("selftest=\"abc").find("its quote is never closed"), std::string::npos);
    EXPECT_NE(message("selftest=\"a\"b quiet").find("'selftest=\"a\"b' there is text behind"), std::string::npos);
    EXPECT_NE(message("sched=\"\"").find("needs a value"), std::string::npos);
    EXPECT_NE(message("\"sched=credit\"").find("is not an option"), std::string::npos);
    EXPECT_NE(message("sched=").find("needs a value"), std::string::npos);
    EXPECT_NE(message("=credit").find("is not an option"), std::string::npos);
}

TEST(CommandLine, HelpHasOneLineForEachOptionThatErrorsOffer)
{
    std::array<char, 2048> buffer{};
    BufferSink sink{buffer};
    print_option_help(sink);
    EXPECT_FALSE(sink.truncated());
    std::string const help{sink.text()};
    EXPECT_EQ(std::count(help.begin(), help.end(), '\n'), 13);
    for (std::string_view const usage :
         {"sched=NAME", "selftest[=PATTERN]", "khz=N", "trace=KIB", "trace_mask=LIST", "trace_cpus=LIST",
          "trace_mode=drop|stop|flight", "numa=on|off", "quiet", "console", "maxcpus=N", "chop=NS", "watchdog=MS"})
        EXPECT_NE(help.find("  " + std::string{usage} + " "), std::string::npos) << usage;
}

// The line may hold anything: every answer is options or an error whose text stands in the line at its column.
TEST(CommandLine, AnyLineIsParsedOrRefusedAtTheRightColumn)
{
    std::mt19937 random{20250302};
    std::array<std::string_view, 12> const pieces{"sched", "=",       "quiet", " ",  "\"",       "khz",
                                                  "1000",  "trace=8", "x",     "\t", "numa=off", " "};
    unsigned refused{0}, accepted{0};
    for (int round = 0; round < 20'000; ++round) {
        std::string line;
        for (auto i = random() % 8; i > 0; --i)
            line += pieces[random() % pieces.size()];
        Result<Options, OptionError> const parsed{parse_options(line)};
        if (parsed) {
            ++accepted;
            continue;
        }
        ++refused;
        ASSERT_GE(parsed.error().column, 1u);
        ASSERT_EQ(line.compare(parsed.error().column - 1, parsed.error().option.size(), parsed.error().option), 0)
            << line;
        ASSERT_FALSE(parsed.error().option.empty());
        ASSERT_FALSE(parsed.error().what.empty());
    }
    EXPECT_GT(refused, 1000u);
    EXPECT_GT(accepted, 1000u);
}

} // namespace
} // namespace hv::boot
