#include "tools/nv/xentrace.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace hv::nv {
namespace {

using sched::trace::Event;
using sched::trace::RunStateCode;
using Bytes = std::vector<std::byte>;

Bytes from_hex(std::string_view hex)
{
    Bytes bytes;
    std::string digits;
    for (char const c : hex)
        if (c != ' ')
            digits += c;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        bytes.push_back(std::byte{static_cast<unsigned char>(std::stoi(digits.substr(i, 2), nullptr, 16))});
    return bytes;
}

Record record(std::uint32_t event, std::optional<std::uint64_t> stamp, std::initializer_list<std::uint32_t> words)
{
    Record result;
    result.event = event;
    result.stamp = stamp.value_or(0);
    result.has_stamp = stamp.has_value();
    for (std::uint32_t const word : words)
        result.word_store[result.word_count++] = word;
    return result;
}

Record change(std::uint64_t stamp, RunStateCode from, RunStateCode to, std::uint16_t domain, std::uint16_t vcpu)
{
    return record(sched::trace::runstate_event(from, to), stamp, {sched::trace::pack_vcpu(domain, vcpu)});
}

Bytes joined(std::vector<Record> const& records)
{
    Bytes bytes;
    for (Record const& one : records) {
        Bytes const part = encode(one);
        bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
}

std::vector<Record> all(Bytes const& file)
{
    TraceStream trace{file};
    std::vector<Record> records;
    while (std::optional<Record> const next = trace.next())
        records.push_back(*next);
    EXPECT_EQ(trace.damage_count(), 0u);
    return records;
}

TEST(Xentrace, EncodesTheKnownVectors)
{
    EXPECT_EQ(encode(record(0x21011, 0x123456789A, {0x00010000})).size(), 16u);
    EXPECT_EQ(encode(change(0x123456789A, RunStateCode::runnable, RunStateCode::running, 1, 0)),
              from_hex("01110290 9a785634 12000000 00000100"));
    EXPECT_EQ(encode(record(static_cast<std::uint32_t>(Event::continue_running), 0x123456789A, {0x10000})),
              from_hex("02100290 9a785634 12000000 00000100"));
    EXPECT_EQ(
        encode(record(static_cast<std::uint32_t>(Event::lost_records), 0x2333333333, {106, 0x10002, 0x11111111, 0x22})),
        from_hex("01f001c0 33333333 23000000 6a000000 02000100 11111111 22000000"));
    EXPECT_EQ(encode(record(static_cast<std::uint32_t>(Event::wrap_buffer), {}, {0, 0, 0})),
              from_hex("02f00130 00000000 00000000 00000000"));
    EXPECT_EQ(encode(record(static_cast<std::uint32_t>(Event::picked_cpu), 0x10, {1, 0, 2})),
              from_hex("052002b0 10000000 00000000 01000000 00000000 02000000"));
}

TEST(Xentrace, DecodesWhatItEncodes)
{
    Bytes const file = write_xentrace({{3, joined({record(0x22005, 7, {1, 0, 2}), record(0x1f002, {}, {9})})}});
    EXPECT_EQ(Bytes(file.begin(), file.begin() + 12), from_hex("03f00120 03000000 20000000"));
    std::vector<Record> const records = all(file);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].pcpu, 3u);
    EXPECT_EQ(records[0].event, 0x22005u);
    EXPECT_EQ(records[0].stamp, 7u);
    EXPECT_EQ(records[0].offset, 12u);
    EXPECT_EQ(std::vector(records[0].words().begin(), records[0].words().end()), (std::vector<std::uint32_t>{1, 0, 2}));
    EXPECT_FALSE(records[1].has_stamp);
    EXPECT_EQ(records[1].stamp, 7u) << "a record without stamp is as late as the one before it on its pCPU";
    EXPECT_EQ(records[1].words()[0], 9u);
}

TEST(Xentrace, MergesPcpusByStampOverWindowsThatAreNotAligned)
{
    std::vector<Stream> streams(2);
    std::vector<Record> even, odd;
    for (std::uint32_t i = 0; i < 20; ++i)
        (i % 2 == 0 ? even : odd).push_back(record(0x21002, 100 + i, {i}));
    streams[0] = {5, joined(odd)};
    streams[1] = {0, joined(even)};
    for (std::size_t const window : {std::size_t{40}, std::size_t{47}, std::size_t{1000}}) {
        Bytes const file = write_xentrace(streams, window);
        std::vector<Record> const records = all(file);
        ASSERT_EQ(records.size(), 20u);
        for (std::uint32_t i = 0; i < 20; ++i) {
            EXPECT_EQ(records[i].stamp, 100u + i);
            EXPECT_EQ(records[i].pcpu, i % 2 == 0 ? 0u : 5u);
        }
        EXPECT_EQ(TraceStream{file}.pcpus(), (std::vector<std::uint32_t>{0, 5}));
    }
}

TEST(Xentrace, EqualStampsComeInTheOrderOfPcpus)
{
    Bytes const one = joined({record(0x21002, 5, {0})});
    std::vector<Record> const records = all(write_xentrace({{2, one}, {0, one}, {1, one}}));
    ASSERT_EQ(records.size(), 3u);
    for (std::uint32_t i = 0; i < 3; ++i)
        EXPECT_EQ(records[i].pcpu, i);
}

TEST(Xentrace, NoWindowIsLongerThanAsked)
{
    std::vector<Record> const ten(10, record(0x21002, 1, {0})); // 16 bytes each
    // 10 records in windows of two and a bit: five windows, one a pass.
    EXPECT_EQ(write_xentrace({{0, joined(ten)}}, 47).size(), 10 * 16u + 5 * 12u);
    EXPECT_EQ(write_xentrace({{0, joined(ten)}}, 48).size(), 10 * 16u + 4 * 12u);
}

TEST(Xentrace, EveryPcpuIsInTheFirstPassInAscendingOrder)
{
    Bytes const one = joined({record(0x21002, 1, {0})});
    Bytes const file = write_xentrace({{2, one}, {0, {}}, {1, one}});
    EXPECT_EQ(file.size(), 3 * 12 + 2 * one.size());
    EXPECT_EQ(Bytes(file.begin(), file.begin() + 12), from_hex("03f00120 00000000 00000000"));
    EXPECT_EQ(Bytes(file.begin() + 12, file.begin() + 20), from_hex("03f00120 01000000"));
}

TEST(Xentrace, ARingThatEndsInsideARecordIsTheKernelsFault)
{
    Bytes bytes = joined({record(0x21002, 1, {0}), record(0x21002, 2, {0})});
    for (std::size_t const missing : {1u, 4u, 15u}) {
        Bytes const cut(bytes.begin(), bytes.end() - static_cast<std::ptrdiff_t>(missing));
        EXPECT_THROW(static_cast<void>(write_xentrace({{1, cut}})), Error) << missing;
    }
}

Scenario machine_of(std::size_t pcpus, std::size_t vcpus)
{
    Scenario scenario;
    scenario.name = "large";
    scenario.machine.pcpus.resize(pcpus);
    scenario.domains.emplace_back().id = 7;
    scenario.domains.back().vcpus.resize(vcpus);
    return scenario;
}

TEST(Xentrace, IsForMachinesThatItsReadersSurvive)
{
    EXPECT_EQ(why_no_xentrace(machine_of(256, 256)), "");
    EXPECT_EQ(why_no_xentrace(machine_of(257, 1)),
              "large: no xentrace file can be made of 257 pCPUs, its readers take pCPUs 0 to 255");
    EXPECT_NE(why_no_xentrace(machine_of(1, 257)).find("domain 7's 257 vCPUs"), std::string::npos);
}

// Two pCPUs: d1v0 wakes on pCPU 0 at 1 ms, runs 3 ms, is preempted, moves to pCPU 1, runs 1 ms and blocks.
Bytes clean_trace()
{
    using enum RunStateCode;
    constexpr std::uint64_t ms = 1'000'000;
    std::vector<Record> const first{change(1, runnable, running, 32767, 0),
                                    change(100, offline, blocked, 1, 0),
                                    change(ms, blocked, runnable, 1, 0),
                                    change(ms + 10, running, runnable, 32767, 0),
                                    change(ms + 11, runnable, running, 1, 0),
                                    change(4 * ms + 11, running, runnable, 1, 0),
                                    change(4 * ms + 12, runnable, running, 32767, 0),
                                    change(9 * ms, running, offline, 32767, 0)};
    std::vector<Record> const second{
        change(2, runnable, running, 32767, 1),          change(5 * ms, running, runnable, 32767, 1),
        change(5 * ms + 1, runnable, running, 1, 0),     change(6 * ms + 1, running, blocked, 1, 0),
        change(6 * ms + 2, runnable, running, 32767, 1), change(8 * ms, blocked, offline, 1, 0),
        change(9 * ms + 1, running, offline, 32767, 1)};
    return write_xentrace({{0, joined(first)}, {1, joined(second)}});
}

TEST(Xentrace, TheRealXenalyzeReadsWhatWeWrite)
{
    if (!program_exists("xenalyze"))
        GTEST_SKIP() << "xenalyze is not installed (apt-get install xen-utils-common)";
    std::filesystem::path const folder = std::filesystem::path{::testing::TempDir()} / "nv-xenalyze";
    std::filesystem::create_directories(folder);
    write_bytes(folder / "t.xentrace", clean_trace());
    ProcessResult const result = run_process(
        {.words = {"xenalyze", "--cpu-hz", "1G", "--summary", "t.xentrace"}, .folder = folder}, [](auto) {});
    EXPECT_EQ(result.status, 0) << result.errors;
    EXPECT_NE(result.output.find("|-- Domain 1 --|"), std::string::npos);
    EXPECT_NE(result.output.find("running:       2  0.00s 2000000"), std::string::npos)
        << "two runs, 2 ms in the mean\n"
        << result.output;
    EXPECT_EQ(result.errors.find("FATAL"), std::string::npos) << result.errors;
    EXPECT_EQ(result.errors.find("Strange"), std::string::npos) << result.errors;
    EXPECT_EQ(result.errors.find("skew"), std::string::npos) << result.errors;
}

} // namespace
} // namespace hv::nv
