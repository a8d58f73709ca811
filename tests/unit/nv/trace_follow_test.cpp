#include "tools/nv/trace_follow.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tests/unit/nv/trace_sim.hpp"
#include "tests/unit/nv/trace_unpack.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::hertz;
using sample::Sample;
using sample::State;

TEST(TraceFollow, TakesWholeWindowsOnly)
{
    Sample sample;
    sample.change(0, 1000, 1, 0, State::runnable, State::running)
        .change(1, 1100, 2, 0, State::runnable, State::running);
    Bytes const file{sample.file()};
    std::size_t const second = file.size() / 2;
    for (std::size_t size = 0; size <= file.size(); ++size)
        EXPECT_EQ(whole_passes(std::span{file}.first(size), true), size == file.size() ? file.size()
                                                                   : size >= second    ? second
                                                                                       : 0)
            << size;
    EXPECT_EQ(whole_passes(file, false), 0u) << "more of the pass may come";
    Bytes twice{file};
    twice.insert(twice.end(), file.begin(), file.end());
    EXPECT_EQ(whole_passes(twice, false), file.size());
    Bytes garbage(40, std::byte{0x55});
    EXPECT_EQ(whole_passes(garbage, true), 0u);
}

TEST(TraceFollow, DatesARecordWithoutStampByThePreviousOneOfItsPcpu)
{
    constexpr std::uint32_t unknown = 0x00021fff;
    Sample first, second; // which arrive one after the other
    first.change(0, 900, 1, 0, State::runnable, State::running);
    second.put(0, sample::make(unknown, std::nullopt, {1})).change(1, 800, 2, 0, State::runnable, State::running);
    RecordMerger merger{hertz};
    EXPECT_TRUE(merger.add(first.file()).empty());
    EXPECT_TRUE(merger.add(second.file()).empty());
    std::vector<std::uint64_t> stamps;
    for (Record const& record : merger.finish())
        stamps.push_back(record.stamp);
    EXPECT_EQ(stamps, (std::vector<std::uint64_t>{800, 900, 900}));
}

// A real trace of short windows, arriving in pieces of any size: the same figures as of the whole file.
TEST(TraceFollow, GivesTheFiguresOfTheWholeFile)
{
    Bytes const file{unpacked(repository_root() + "/tests/traces/over-soft.xentrace.xz")};
    TraceStream whole{file};
    Summariser at_once{{}, hertz, whole.pcpus()}, in_pieces{{}, hertz, whole.pcpus()};
    std::uint64_t records{0};
    while (std::optional<Record> const record = whole.next()) {
        at_once.record(*record);
        ++records;
    }
    RecordMerger merger{hertz / 10};
    Bytes buffer;
    std::uint64_t stamp{0}, merged{0}, unordered{0};
    auto const take = [&](std::vector<Record> const& complete) {
        for (Record const& record : complete) {
            unordered += record.stamp < stamp ? 1u : 0u;
            stamp = record.stamp;
            in_pieces.record(record);
            ++merged;
        }
    };
    constexpr std::size_t piece = 9973;
    for (std::size_t at = 0; at < file.size(); at += piece) {
        auto const more = std::span{file}.subspan(at, std::min(piece, file.size() - at));
        buffer.insert(buffer.end(), more.begin(), more.end());
        std::size_t const size = whole_passes(buffer, at + piece >= file.size());
        take(merger.add(std::span{buffer}.first(size)));
        buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    }
    take(merger.finish());
    EXPECT_EQ(merged, records);
    EXPECT_EQ(unordered, 0u);
    TraceFigures const ours{in_pieces.finish(0)}, theirs{at_once.finish(0)};
    ASSERT_EQ(ours.vcpus.size(), theirs.vcpus.size());
    EXPECT_EQ(ours.backward, theirs.backward);
    for (std::size_t i = 0; i < ours.vcpus.size(); ++i) {
        EXPECT_EQ(ours.vcpus[i].in_state, theirs.vcpus[i].in_state);
        EXPECT_EQ(ours.vcpus[i].migrations, theirs.vcpus[i].migrations);
    }
}

TEST(TraceFollow, ShowsWhatHappenedSinceTheLastLook)
{
    TraceFacts facts;
    facts.node_of = {0, 1};
    facts.domains[1] = {.home = {{0}}, .hard = {}};
    Sample sample;
    sample.change(0, 1'000, 1, 0, State::runnable, State::running)
        .change(1, 1'000, 2, 0, State::runnable, State::running)
        .change(0, 1'001'000, 1, 0, State::running, State::blocked)
        .change(0, 1'501'000, 1, 0, State::blocked, State::runnable)
        .change(1, 1'751'000, 2, 0, State::running, State::blocked)
        .change(1, 1'751'000, 1, 0, State::runnable, State::running)
        .resume(1, 2'001'000, 1, 0);
    Bytes const file{sample.file()};
    TraceStream stream{file};
    Summariser summariser{facts, hertz, stream.pcpus()};
    TraceFigures before;
    while (std::optional<Record> const record = stream.next()) {
        if (record->stamp == 1'501'000) {
            Summariser copy{summariser};
            before = copy.finish(0);
        }
        summariser.record(*record);
    }
    ASSERT_EQ(before.duration(), 1'000'000u);
    Moment const moment{moment_between(before, summariser.finish(0))};
    EXPECT_NEAR(moment.at, 0.002, 1e-9);
    EXPECT_NEAR(moment.guests, 1.0, 1e-6); // 0.75 ms of d2v0, 0.25 ms of d1v0
    EXPECT_EQ(moment.home, 0.0);           // and that away
    EXPECT_NEAR(moment.p50, 250, 0.1);
    ASSERT_EQ(moment.rows.size(), 2u);
    EXPECT_EQ(moment.rows[0].domain, 2);
    EXPECT_NEAR(moment.rows[1].run, 25, 0.1);
    EXPECT_NEAR(moment.rows[1].wait, 25, 0.1);
    EXPECT_NEAR(*moment.rows[1].home, 80, 0.1);
    EXPECT_NEAR(moment.rows[1].migrations, 1000, 1);
    EXPECT_NE(moment_line(moment).find("guests 1.00 pCPUs  at home 0.0 %"), std::string::npos) << moment_line(moment);
    std::string const screen{moment_screen(moment, "f", 6)};
    EXPECT_EQ(std::ranges::count(screen, '\n'), 5) << screen;
    EXPECT_EQ(screen.find("d1v0"), std::string::npos) << "no room for it";
}

} // namespace
} // namespace hv::nv
