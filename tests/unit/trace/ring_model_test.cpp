// The ring against a model: whatever sizes, hosts and interruptions come, each record comes out whole, once and in
// order, or a count says that it is lost.
#include "tests/unit/trace/test_ring.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <set>

namespace hv::sched::trace {
namespace {

// Writes records that carry their own number, some of them from interruptions of others, to any depth.
class Model {
public:
    Model(unsigned seed, std::size_t bytes, Mode mode, bool has_interruptions)
        : test{bytes, mode}, random_{seed}, has_interruptions_{has_interruptions}
    {
    }

    void write(unsigned depth = 0)
    {
        constexpr std::array<std::size_t, 7> sizes{1, 4, 7, 1, 2, 3, 5};
        std::vector<std::uint32_t> words(sizes[random_() % sizes.size()]);
        std::uint32_t const name{++written};
        std::ranges::fill(words, name);
        auto const maybe_interrupted = [&, depth] {
            if (has_interruptions_ && depth < 3 && random_() % 4 == 0) {
                std::uint64_t const head{test.control().head};
                ++interruptions;
                write(depth + 1);
                if (depth + 1 > nested_)
                    nested_ = depth + 1;
                in_the_middle += test.control().head == head ? 1u : 0u;
            }
        };
        auto const clock = [&] {
            std::uint64_t const stamp{++time_};
            maybe_interrupted(); // after the clock was read, before the bytes are reserved
            return stamp;
        };
        test.write_with(static_cast<std::uint32_t>(Event::hello), clock, words, maybe_interrupted);
    }

    // What a host reads, checked: returns how many records it accounts for.
    std::uint64_t account(std::vector<std::byte> const& bytes)
    {
        std::uint64_t count{0};
        for (Record const& record : decode(bytes)) {
            EXPECT_GE(record.stamp, last_stamp_);
            last_stamp_ = record.stamp;
            if (is_lost(record)) {
                count += record.words[0];
                continue;
            }
            for (std::uint32_t const word : record.words)
                EXPECT_EQ(word, record.words[0]) << "a record is whole";
            EXPECT_TRUE(seen_.insert(record.words[0]).second) << "a record comes out once";
            ++count;
        }
        return count;
    }

    [[nodiscard]] bool chance(unsigned one_in) { return random_() % one_in == 0; }
    [[nodiscard]] std::uint64_t time() { return ++time_; }

    TestRing test;
    std::uint32_t written{0};
    unsigned interruptions{0};
    unsigned in_the_middle{0}; // interruptions whose record was left to the interrupted one to publish

private:
    std::minstd_rand random_;
    bool has_interruptions_;
    std::uint64_t time_{0};
    std::uint64_t last_stamp_{0};
    unsigned nested_{0};
    std::set<std::uint32_t> seen_;
};

struct Run {
    Mode mode;
    bool has_interruptions;
    unsigned host_one_in; // how often a host takes everything out; 0: never
};

// Accounted for: what came out, what LOST records tell, and what flight mode overwrote.
void run_and_account(Run const& run, std::uint64_t* lost_in_all)
{
    for (unsigned seed = 1; seed <= 30; ++seed) {
        Model model{seed, std::size_t{256} << seed % 4, run.mode, run.has_interruptions};
        std::uint64_t accounted{0};
        for (unsigned i = 0; i < 2'000; ++i) {
            model.write();
            if (run.host_one_in != 0 && model.chance(run.host_one_in))
                accounted += model.account(model.test.consume());
        }
        model.test.ring.begin_close(model.time());
        model.write();
        model.test.ring.close(model.time());
        accounted += model.account(model.test.content());
        RingControl const& control{model.test.control()};
        EXPECT_EQ(accounted + control.overwritten, model.written) << "seed " << seed;
        EXPECT_EQ(control.lost_pending, 0u);
        EXPECT_EQ(control.reserve, control.head);
        EXPECT_GT(model.test.quick_records, 0u);
        if (run.has_interruptions) {
            EXPECT_GT(model.interruptions, 200u);
            EXPECT_GT(model.in_the_middle, 2u);
        }
        *lost_in_all += control.lost_total + control.overwritten;
    }
}

TEST(TraceRingModel, DropModeAccountsForEveryRecordWhateverTheHostsPace)
{
    for (unsigned const pace : {1u, 37u, 400u, 0u}) {
        std::uint64_t lost{0};
        run_and_account({Mode::drop, false, pace}, &lost);
        EXPECT_EQ(lost == 0, pace == 1) << "a quick host loses nothing, the slower ones do";
    }
}

TEST(TraceRingModel, DropModeAccountsForEveryRecordUnderInterruptions)
{
    for (unsigned const pace : {3u, 37u, 0u}) {
        std::uint64_t lost{0};
        run_and_account({Mode::drop, true, pace}, &lost);
        EXPECT_GT(lost, 0u);
    }
}

TEST(TraceRingModel, StopModeAccountsForEveryRecord)
{
    std::uint64_t lost{0};
    run_and_account({Mode::stop, false, 0}, &lost);
    run_and_account({Mode::stop, true, 50}, &lost);
    EXPECT_GT(lost, 0u);
}

TEST(TraceRingModel, FlightModeAccountsForEveryRecord)
{
    std::uint64_t lost{0};
    run_and_account({Mode::flight, false, 0}, &lost);
    EXPECT_GT(lost, 0u);
}

TEST(TraceRingModel, FlightModeAccountsForEveryRecordUnderInterruptions)
{
    std::uint64_t lost{0};
    run_and_account({Mode::flight, true, 0}, &lost);
    EXPECT_GT(lost, 0u);
}

// At any moment, since the machine may die at any: what the host finds begins with a record and is whole.
TEST(TraceRingModel, InFlightModeAHostFindsWholeRecordsAtAnyMoment)
{
    for (unsigned seed = 1; seed <= 10; ++seed) {
        TestRing test{512, Mode::flight};
        std::minstd_rand random{seed};
        std::uint32_t next{0};
        auto const look = [&] {
            auto const records = decode(test.content());
            for (std::size_t i = 0; i < records.size(); ++i)
                ASSERT_EQ(records[i].words[0], next - records.size() + i);
        };
        for (unsigned i = 0; i < 500; ++i) {
            std::vector<std::uint32_t> const words(std::array<std::size_t, 3>{1, 4, 7}[random() % 3], next);
            test.write_with(static_cast<std::uint32_t>(Event::hello), [&] { return std::uint64_t{i}; }, words, look);
            ++next;
            look();
        }
    }
}

} // namespace
} // namespace hv::sched::trace
