// One writer's ring, record by record: bytes, losses, masks of pCPUs, the end.
#include "tests/unit/trace/test_ring.hpp"

#include <string_view>

namespace hv::sched::trace {
namespace {

// Four bytes to a word, as they lie in memory.
std::string hex(std::span<std::byte const> bytes)
{
    constexpr std::string_view digits{"0123456789abcdef"};
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i != 0 && i % 4 == 0)
            text += ' ';
        text += digits[std::to_integer<unsigned>(bytes[i]) >> 4];
        text += digits[std::to_integer<unsigned>(bytes[i]) & 15];
    }
    return text;
}

// --- bytes, as xentrace would have them

TEST(TraceRing, RunStateChangeHasXentracesBytes)
{
    TestRing test{4096};
    test.write(runstate_event(RunStateCode::runnable, RunStateCode::running), 0x123456789a, {pack_vcpu(1, 0)});
    EXPECT_EQ(hex(test.consume()), "01110290 9a785634 12000000 00000100");
}

TEST(TraceRing, ContinueRunningHasXentracesBytes)
{
    TestRing test{4096};
    test.write(Event::continue_running, 0x123456789a, {pack_vcpu(1, 0)});
    EXPECT_EQ(hex(test.consume()), "02100290 9a785634 12000000 00000100");
}

TEST(TraceRing, PickedCpuHasXentracesBytes)
{
    TestRing test{4096};
    test.write(Event::picked_cpu, 0x10, {1, 0, 2});
    EXPECT_EQ(hex(test.consume()), "052002b0 10000000 00000000 01000000 00000000 02000000");
}

TEST(TraceRing, LostRecordsHasXentracesBytes)
{
    TestRing test{128};
    test.ring.set_current(2, 1);
    test.write(Event::tick, 1, {0}); // 16 bytes of the 32 that are not kept back
    for (int i = 0; i < 106; ++i)
        test.write(Event::switch_to, 0x2211111111 + static_cast<std::uint64_t>(i), {0, 0, 0, 0});
    static_cast<void>(test.consume());
    test.ring.close(0x2333333333);
    EXPECT_EQ(hex(test.consume()), "01f001c0 33333333 23000000 6a000000 02000100 11111111 22000000");
}

// --- losses

TEST(TraceRing, DropsTheNewestAndTellsExactlyHowMany)
{
    TestRing test{256};
    constexpr std::uint32_t written = 100;
    for (std::uint32_t i = 0; i < written; ++i)
        test.write(Event::tick, 1000 + i, {i});
    auto const before = decode(test.consume());
    std::uint32_t const kept{static_cast<std::uint32_t>(before.size())};
    EXPECT_EQ(kept, (256 - Ring::closing_reserve) / record_bytes(1)); // All that fits beside what is kept back.
    for (std::uint32_t i = 0; i < kept; ++i)
        EXPECT_EQ(before[i].words[0], i);
    EXPECT_EQ(test.control().lost_total, written - kept);

    test.write(Event::tick, 5000, {777});
    auto const after = decode(test.consume());
    ASSERT_EQ(after.size(), 2u);
    EXPECT_TRUE(is_lost(after[0]));
    EXPECT_EQ(after[0].words[0], written - kept);
    EXPECT_EQ(after[0].words[2], 1000 + kept); // stamp of the first that was lost
    EXPECT_EQ(after[0].stamp, 5000u);
    EXPECT_EQ(after[1].words[0], 777u);

    test.write(Event::tick, 5001, {778});
    EXPECT_EQ(decode(test.consume()).size(), 1u) << "a loss is told once";
}

TEST(TraceRing, CloseAlwaysHasRoomForTheLosses)
{
    for (std::size_t const filler : {0u, 1u, 2u, 3u, 5u, 6u, 7u}) {
        TestRing test{256};
        std::vector<std::uint32_t> const words(filler, 0xffu);
        for (std::uint64_t i = 0; i < 100; ++i)
            test.write(Event::hello, i, words);
        test.ring.close(4242);
        auto const records = decode(test.consume());
        ASSERT_FALSE(records.empty());
        EXPECT_TRUE(is_lost(records.back()));
        EXPECT_EQ(records.back().words[0] + records.size() - 1, 100u) << filler;
    }
}

TEST(TraceRing, CloseWithoutLossesWritesNothing)
{
    TestRing test{256};
    test.write(Event::tick, 1, {0});
    static_cast<void>(test.consume());
    test.ring.close(2);
    EXPECT_TRUE(test.consume().empty());
}

// Model: a host that takes whole passes at random times. Whatever it does, records come out in order, and those that
// are missing are exactly those that LOST records tell.
TEST(TraceRing, AccountsForEveryRecordWhateverTheHostsPace)
{
    for (unsigned seed = 1; seed <= 20; ++seed) {
        TestRing test{512};
        unsigned state{seed};
        std::uint32_t expected{0};
        auto const check = [&] {
            for (Record const& record : decode(test.consume())) {
                if (is_lost(record)) {
                    EXPECT_EQ(record.words[2], expected) << "the first that was lost";
                    expected += record.words[0];
                } else {
                    EXPECT_EQ(record.words[0], expected++);
                }
            }
        };
        constexpr std::uint32_t written = 3'000;
        for (std::uint32_t i = 0; i < written; ++i) {
            state = state * 1103515245 + 12345;
            std::vector<std::uint32_t> words(1 + (state >> 16) % 7, i);
            test.write(Event::hello, i, words);
            if ((state >> 24) % 37 == 0)
                check();
        }
        test.ring.close(written);
        check();
        EXPECT_EQ(expected, written);
        EXPECT_GT(test.control().lost_total, 0u);
        EXPECT_GT(test.control().head, 2 * 512u); // It went round more than once.
    }
}

TEST(TraceRingDeathTest, MemoryThatIsNoPowerOfTwoIsCaught)
{
    std::vector<std::byte> memory(192);
    Ring ring;
    EXPECT_DEATH(ring.attach(memory, Mode::drop), "has_single_bit");
}

// LOST names the vCPU that is current: within another's record that is not for an interruption to say.
TEST(TraceRing, AnInterruptionLeavesItsLossesToTheNextRecord)
{
    TestRing test{256}; // 160 bytes beside what is kept back
    std::uint64_t time{0};
    auto const write = [&](std::vector<std::uint32_t> const& words, std::function<void()> const& within) {
        return test.write_with(static_cast<std::uint32_t>(Event::tick), [&] { return ++time; }, words, within);
    };
    for (std::uint32_t i = 1; i <= 8; ++i)
        EXPECT_TRUE(write({i}, [] {}));
    std::size_t unread{0};
    EXPECT_TRUE(write({9}, [&] {
        EXPECT_FALSE(write({10, 10, 10, 10}, [] {})) << "there is no more room";
        unread = decode(test.consume()).size();
        EXPECT_TRUE(write({11}, [] {}));
    }));
    EXPECT_EQ(unread, 8u);
    EXPECT_TRUE(write({12}, [] {}));
    auto const records = decode(test.consume());
    ASSERT_EQ(records.size(), 4u);
    EXPECT_EQ(records[0].words[0], 9u);
    EXPECT_EQ(records[1].words[0], 11u);
    EXPECT_TRUE(is_lost(records[2]));
    EXPECT_EQ(records[2].words[0], 1u);
    EXPECT_EQ(records[3].words[0], 12u);
}

// --- modes

TEST(TraceRing, ThatStopsKeepsTheBeginningAndTellsTheRestAtItsEnd)
{
    TestRing test{256, Mode::stop};
    for (std::uint32_t i = 0; i < 100; ++i)
        test.write(Event::tick, i, {i});
    auto const kept = decode(test.consume());
    EXPECT_EQ(kept.size(), (256 - Ring::closing_reserve) / record_bytes(1));
    for (std::uint32_t i = 100; i < 200; ++i) // There is room again, but nobody wants half a story.
        EXPECT_FALSE(test.write(Event::tick, i, {i}));
    test.ring.begin_close(1000);
    EXPECT_TRUE(test.write(Event::tick, 1001, {1001})) << "what closes the trace is written";
    test.ring.close(1002);
    auto const end = decode(test.consume());
    ASSERT_EQ(end.size(), 2u);
    EXPECT_TRUE(is_lost(end[0]));
    EXPECT_EQ(end[0].words[0], 200 - kept.size());
    EXPECT_EQ(end[1].words[0], 1001u);
}

TEST(TraceRing, InFlightModeKeepsTheLastRecordsWhole)
{
    TestRing test{1024, Mode::flight};
    constexpr std::uint32_t written = 1000;
    for (std::uint32_t i = 0; i < written; ++i)
        EXPECT_TRUE(test.write(Event::hello, i, std::vector<std::uint32_t>(1 + i % 7, i)));
    auto const records = decode(test.content()); // decode() fails if it does not begin with a record
    ASSERT_GT(records.size(), 10u);
    for (std::size_t i = 0; i < records.size(); ++i)
        EXPECT_EQ(records[i].words[0], written - records.size() + i);
    EXPECT_EQ(test.control().lost_total, 0u);
    EXPECT_EQ(test.control().overwritten, written - records.size());
    EXPECT_GT(test.content().size(), 1024 - Ring::closing_reserve - 1024 / 16 - record_bytes(7));
    EXPECT_GT(test.quick_records, 0u) << "not each record has to give up an old one";
}

TEST(TraceRing, GoesTheQuickWayAlmostAlways)
{
    TestRing test{4096};
    for (std::uint32_t i = 0; i < 1000; ++i) {
        test.write(Event::tick, i, {i});
        if (i % 8 == 0)
            static_cast<void>(test.consume());
    }
    EXPECT_EQ(test.control().lost_total, 0u);
    EXPECT_GT(test.quick_records, 950u);
}

// --- muting

TEST(TraceRing, AMutedRingTakesNothingAndLosesNothing)
{
    TestRing test{4096};
    test.write(Event::tick, 1, {1});
    test.ring.set_muted(true);
    EXPECT_FALSE(test.write(Event::tick, 2, {2}));
    test.ring.set_muted(false);
    EXPECT_TRUE(test.write(Event::tick, 3, {3}));
    EXPECT_TRUE(test.write(Event::tick, 4, {4}));
    auto const records = decode(test.consume());
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[1].words[0], 3u);
    EXPECT_EQ(test.control().lost_total, 0u);
    EXPECT_GE(test.quick_records, 2u);
}

// --- the end

TEST(TraceRing, AFullRingStillHasRoomForWhatRunsToLeave)
{
    for (Mode const mode : {Mode::drop, Mode::stop}) {
        TestRing test{256, mode};
        for (std::uint64_t i = 0; i < 100; ++i)
            test.write(Event::hello, i, {1, 2, 3, 4});
        test.ring.begin_close(200);
        EXPECT_TRUE(test.write(runstate_event(RunStateCode::running, RunStateCode::offline), 201, {5}));
        for (std::uint64_t i = 202; i < 210; ++i)
            test.write(Event::hello, i, {1, 2, 3, 4}); // no more room
        test.ring.close(210);
        auto const records = decode(test.consume());
        std::uint64_t lost{0};
        std::uint64_t whole{0};
        for (Record const& record : records)
            is_lost(record) ? lost += record.words[0] : whole += 1;
        EXPECT_EQ(lost + whole, 109u);
        EXPECT_TRUE(is_lost(records.back()));
    }
}

TEST(TraceRing, ALostRecordIsStampedAfterTheFirstThatItTellsOf)
{
    TestRing test{256};
    for (std::uint64_t i = 0; i < 20; ++i)
        test.write(Event::tick, 7, {0}); // a clock that stands still
    test.ring.close(7);
    Record const last{decode(test.consume()).back()};
    ASSERT_TRUE(is_lost(last));
    EXPECT_GT(last.stamp, last.words[2] | std::uint64_t{last.words[3]} << 32);
}

TEST(TraceRing, AfterAPanicAnIncompleteRecordIsForgotten)
{
    TestRing test{4096};
    test.write(Event::tick, 1, {1});
    test.control().reserve += 16; // its pCPU was stopped right then
    test.ring.forget_incomplete();
    test.write(Event::tick, 2, {2});
    auto const records = decode(test.consume());
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[1].words[0], 2u);
}

} // namespace
} // namespace hv::sched::trace
