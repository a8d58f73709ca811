#include "tools/nv/xentrace_flight.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/sim.hpp"
#include "tools/nv/trace_check.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <unistd.h>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::Sample;
using sample::State;
namespace fs = std::filesystem;

constexpr std::uint16_t idle_domain = 32767;

std::vector<Stream> streams_of(Bytes const& file)
{
    std::vector<Stream> streams;
    TraceStream trace{file};
    for (std::uint32_t const pcpu : trace.pcpus())
        streams.push_back({pcpu, {}});
    while (std::optional<Record> const record = trace.next()) {
        Bytes const bytes = encode(*record);
        Stream& stream = *std::ranges::find(streams, record->pcpu, &Stream::pcpu);
        stream.bytes.insert(stream.bytes.end(), bytes.begin(), bytes.end());
    }
    return streams;
}

// What remains of a ring that has given up its first records.
void forget(Stream& stream, std::size_t records)
{
    std::vector<Record> const all = records_of(stream);
    auto const end = records < all.size() ? all[records].offset : stream.bytes.size();
    stream.bytes.erase(stream.bytes.begin(), stream.bytes.begin() + static_cast<std::ptrdiff_t>(end));
}

std::string breach_in(Bytes const& file)
{
    Losses losses;
    TraceStream stream{file};
    Checker checker{losses, false};
    while (std::optional<Record> const record = stream.next())
        checker.record(*record);
    checker.finish();
    return checker.breaches().empty()
               ? ""
               : fmt::format("{}: {}", checker.breaches().front().rule, checker.breaches().front().what);
}

std::vector<std::string> told(std::vector<Stream> streams)
{
    start_together(streams);
    std::vector<std::string> lines;
    for (Stream const& stream : streams)
        for (Record const& record : records_of(stream))
            lines.push_back(
                fmt::format("{}: {} {:#x} {:#x}", record.pcpu, record.stamp, record.event, record.word_store[0]));
    return lines;
}

TEST(FlightRecorder, BeginsAllPcpusAtTheLastFirstStampWithWhatRuns)
{
    Sample sample;
    sample.change(0, 100, 1, 0, State::running, State::blocked); // d2v0 came and still runs at 200
    sample.change(0, 101, 2, 0, State::runnable, State::running);
    sample.change(0, 300, 2, 0, State::running, State::blocked);
    sample.change(0, 301, idle_domain, 0, State::runnable, State::running);
    sample.put(1, sample::make(0x22006, 200, {0})); // what ran here before 250 shows when it leaves
    sample.change(1, 250, 3, 0, State::running, State::runnable);
    sample.change(1, 251, idle_domain, 1, State::runnable, State::running);
    EXPECT_EQ(
        told(streams_of(sample.file())),
        (std::vector<std::string>{"0: 200 0x21101 0x7fff0000", "0: 200 0x21011 0x7fff0000", "0: 200 0x21101 0x20000",
                                  "0: 300 0x21021 0x20000", "0: 301 0x21101 0x7fff0000", "1: 200 0x21101 0x7fff0001",
                                  "1: 200 0x21011 0x7fff0001", "1: 200 0x21101 0x30000", "1: 250 0x21011 0x30000",
                                  "1: 251 0x21101 0x7fff0001"}));
}

TEST(FlightRecorder, DoesNotBeginInTheMidstOfASwitch)
{
    Sample sample;
    sample.change(0, 100, 1, 0, State::running, State::blocked); // across 101
    sample.change(0, 102, idle_domain, 0, State::runnable, State::running);
    sample.change(0, 300, idle_domain, 0, State::running, State::runnable);
    sample.resume(1, 101, 2, 0).resume(1, 200, 2, 0);
    EXPECT_EQ(
        told(streams_of(sample.file())),
        (std::vector<std::string>{"0: 102 0x21101 0x7fff0000", "0: 300 0x21011 0x7fff0000", "1: 102 0x21101 0x7fff0001",
                                  "1: 102 0x21011 0x7fff0001", "1: 102 0x21101 0x20000", "1: 200 0x21002 0x20000"}));
}

TEST(FlightRecorder, BeginsWithAnArrivalWhoseDepartureIsForgotten)
{
    Sample sample;
    sample.change(0, 150, 1, 0, State::runnable, State::running);
    sample.change(0, 170, 1, 0, State::running, State::offline);
    sample.resume(1, 101, 2, 0).resume(1, 160, 2, 0);
    EXPECT_EQ(
        told(streams_of(sample.file())),
        (std::vector<std::string>{"0: 150 0x21101 0x7fff0000", "0: 150 0x21011 0x7fff0000", "0: 150 0x21101 0x10000",
                                  "0: 170 0x21031 0x10000", "1: 150 0x21101 0x7fff0001", "1: 150 0x21011 0x7fff0001",
                                  "1: 150 0x21101 0x20000", "1: 160 0x21002 0x20000"}));
}

TEST(FlightRecorder, LeavesEmptyRingsEmpty)
{
    std::vector<Stream> streams{{0, {}}, {1, {}}};
    start_together(streams);
    EXPECT_TRUE(streams[0].bytes.empty());
    EXPECT_TRUE(streams[1].bytes.empty());
}

// Wherever the rings of a real run begin, the trace keeps the rules, and xenalyze is content.
TEST(FlightRecorder, AnyEndOfARunMakesATraceThatKeepsTheRules)
{
    fs::path const folder = fs::temp_directory_path() / fmt::format("nv-flight-{}", ::getpid());
    testing::internal::CaptureStdout();
    SimOptions options;
    options.scenarios = {"tests/scenarios/two-nodes-nodeaff.json"};
    options.overrides.settings = {"duration_ns=300000000"};
    options.out = folder;
    EXPECT_EQ(simulate_scenarios(options), ExitCode::good);
    static_cast<void>(testing::internal::GetCapturedStdout());
    std::vector<Stream> const whole{streams_of(read_bytes(folder / "two-nodes-nodeaff-credit-1" / "trace.xentrace"))};
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        std::mt19937 random{seed};
        std::vector<Stream> streams{whole};
        for (Stream& stream : streams)
            forget(stream, 1 + random() % (records_of(stream).size() - 60));
        start_together(streams);
        std::size_t left{0};
        for (Stream const& stream : streams)
            left += records_of(stream).size();
        ASSERT_GT(left, 8u * 3u) << seed;
        Bytes const file = write_xentrace(streams);
        ASSERT_EQ(breach_in(file), "") << seed;
        if (seed > 10 || !program_exists("xenalyze"))
            continue;
        write_bytes(folder / "t", file);
        ProcessResult const result =
            run_process({.words = {"sh", "-c",
                                   "xenalyze --cpu-hz 1G --summary t 2>err >out; echo $?; grep -c 'Strange\\|"
                                   "FATAL\\|skew\\|WARNING\\|first_tsc' err"},
                         .folder = folder},
                        [](auto) {});
        EXPECT_EQ(result.output, "0\n0\n") << seed << ": " << read_text(folder / "err");
    }
    fs::remove_all(folder);
}

} // namespace
} // namespace hv::nv
