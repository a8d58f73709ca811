#include "tools/nv/trace_why.hpp"

#include "tests/unit/nv/trace_sample.hpp"
#include "tests/unit/nv/trace_sim.hpp"
#include "tests/unit/nv/trace_unpack.hpp"
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::Event;
using sample::idle;
using sample::make;
using sample::Sample;
using sample::State;

std::optional<Wait> wait_of(Bytes const& file, TraceFacts const& facts, std::uint32_t vcpu, std::uint64_t when)
{
    TraceStream stream{file};
    WaitFinder finder{facts, vcpu, when};
    while (std::optional<Record> const record = stream.next())
        if (!finder.record(*record))
            break;
    return finder.finish();
}

// --- an independent answer: everything is loaded, intervals are built first and then cut with one another

struct Stay {
    std::uint64_t from, to;
    std::uint32_t what; // a vCPU's state and pCPU, or the vCPU on a pCPU
    std::uint32_t pcpu;
    bool after_wake;
};

class WaitChecker {
public:
    explicit WaitChecker(Bytes const& file)
    {
        TraceStream stream{file};
        while (std::optional<Record> const record = stream.next())
            records_.push_back(*record);
        last_ = records_.back().stamp;
        for (Record const& record : records_)
            note(record);
        for (auto& [vcpu, stays] : of_vcpu_)
            stays.back().to = last_;
        for (auto& [pcpu, stays] : on_pcpu_)
            stays.back().to = last_;
    }

    // (vCPU, begin, end) of waits that are over and are those of guests or of dom0.
    [[nodiscard]] std::vector<std::pair<std::uint32_t, Stay>> waits() const
    {
        std::vector<std::pair<std::uint32_t, Stay>> found;
        for (auto const& [vcpu, stays] : of_vcpu_)
            for (Stay const& stay : stays)
                if (vcpu >> 16 != idle && stay.what == 1 && stay.to < last_ && stay.from < stay.to)
                    found.emplace_back(vcpu, stay);
        return found;
    }

    // Where it last ran, or was moved to, at that time.
    [[nodiscard]] std::optional<std::uint32_t> place_of(std::uint32_t vcpu, std::uint64_t when) const
    {
        std::optional<std::uint32_t> place;
        for (Record const& record : records_) {
            if (record.stamp > when)
                break;
            bool const is_own = record.word_count != 0 && record.word_store[0] == vcpu;
            if (is_own && (is_arrival(record) || record.event == static_cast<std::uint32_t>(Event::continue_running)))
                place = record.pcpu;
            if (is_own && record.event == static_cast<std::uint32_t>(Event::migrate))
                place = record.word_store[2];
        }
        return place;
    }

    // Who had that pCPU, and since when.
    [[nodiscard]] Stay const* holder(std::uint32_t pcpu, std::uint64_t when) const
    {
        auto const found = on_pcpu_.find(pcpu);
        if (found == on_pcpu_.end())
            return nullptr;
        Stay const* last{nullptr};
        for (Stay const& stay : found->second)
            if (stay.from <= when)
                last = &stay;
        return last;
    }

    // By pCPU: how long its idle vCPU had it within the wait.
    [[nodiscard]] std::map<std::uint32_t, std::uint64_t> idle_within(std::uint64_t begin, std::uint64_t end) const
    {
        std::map<std::uint32_t, std::uint64_t> sums;
        for (auto const& [pcpu, stays] : on_pcpu_)
            for (Stay const& stay : stays)
                if (stay.what >> 16 == idle && stay.to > begin && stay.from < end)
                    sums[pcpu] += std::min(stay.to, end) - std::max(stay.from, begin);
        std::erase_if(sums, [](auto const& sum) { return sum.second == 0; });
        return sums;
    }

    // Who else began to run: (time, pCPU, vCPU).
    [[nodiscard]] std::vector<std::array<std::uint64_t, 3>> taken_within(std::uint64_t begin, std::uint64_t end) const
    {
        std::vector<std::array<std::uint64_t, 3>> found;
        for (Record const& record : records_)
            if (is_arrival(record) && record.word_store[0] >> 16 != idle && record.stamp > begin && record.stamp < end)
                found.push_back({record.stamp, record.pcpu, record.word_store[0]});
        return found;
    }

    // The last that the trace says of its priority; nothing: it says nothing.
    [[nodiscard]] std::optional<std::int32_t> priority(std::uint32_t vcpu, std::uint64_t when) const
    {
        for (auto at = records_.rbegin(); at != records_.rend(); ++at) {
            if (at->stamp > when || at->word_count == 0)
                continue;
            if (at->event == static_cast<std::uint32_t>(Event::prio) && at->word_store[0] == vcpu)
                return static_cast<std::int32_t>(at->word_store[2]);
            bool const is_it =
                at->word_count >= 2 && at->word_store[0] == vcpu >> 16 && at->word_store[1] == (vcpu & 0xffff);
            if (is_it && at->event == static_cast<std::uint32_t>(Event::boost_start))
                return 0;
            if (is_it && at->event == static_cast<std::uint32_t>(Event::boost_end))
                return -1;
        }
        return std::nullopt;
    }

    // Whether the last decision on that pCPU, since this one holds it, was to leave it alone for the rate limit.
    [[nodiscard]] bool is_limited(std::uint32_t pcpu, std::uint64_t after, std::uint64_t when) const
    {
        for (auto at = records_.rbegin(); at != records_.rend(); ++at) {
            if (at->stamp > when || at->pcpu != pcpu)
                continue;
            if (at->stamp < after || at->event == static_cast<std::uint32_t>(Event::schedule))
                return false;
            if (at->event == static_cast<std::uint32_t>(Event::ratelimit))
                return true;
        }
        return false;
    }

    [[nodiscard]] WaitRule rule(std::uint32_t vcpu, std::uint32_t pcpu, std::uint64_t begin, std::uint64_t when) const
    {
        Stay const* const there = holder(pcpu, when);
        if (there == nullptr)
            return WaitRule::not_known;
        if (there->what >> 16 == idle)
            return WaitRule::on_its_way;
        if (is_limited(pcpu, std::max(begin, there->from), when))
            return WaitRule::rate_limit;
        auto const mine = priority(vcpu, when), its = priority(there->what, when);
        if (!mine || !its)
            return WaitRule::not_known;
        return *mine == *its ? WaitRule::equal_priority : *mine < *its ? WaitRule::lower_priority : WaitRule::not_asked;
    }

private:
    static bool is_arrival(Record const& record)
    {
        auto const change = sched::trace::decode_runstate(record.event);
        return change && change->to == RunState::running;
    }

    void note(Record const& record)
    {
        auto const change = sched::trace::decode_runstate(record.event);
        bool const goes_on = record.event == static_cast<std::uint32_t>(Event::continue_running);
        if (!change && !goes_on)
            return;
        std::uint32_t const vcpu = record.word_store[0];
        auto& stays = of_vcpu_[vcpu];
        if (goes_on && !stays.empty())
            return;
        if (!stays.empty())
            stays.back().to = record.stamp;
        auto const to = change ? static_cast<std::uint32_t>(change->to) : 0u;
        stays.push_back({record.stamp, record.stamp, to, record.pcpu, change && change->from == RunState::blocked});
        if (to != 0)
            return;
        auto& there = on_pcpu_[record.pcpu];
        if (!there.empty())
            there.back().to = record.stamp;
        there.push_back({record.stamp, record.stamp, vcpu, record.pcpu, false});
    }

    std::vector<Record> records_;
    std::map<std::uint32_t, std::vector<Stay>> of_vcpu_, on_pcpu_;
    std::uint64_t last_{0};
};

// Random waits, each asked about at a random time, answered twice. Returns how many answers agree in everything.
unsigned agreeing(Bytes const& file, TraceFacts const& facts, unsigned count, std::uint64_t seed,
                  std::map<WaitRule, unsigned>& rules)
{
    WaitChecker const checker{file};
    auto const waits = checker.waits();
    std::mt19937_64 random{seed};
    unsigned agreed{0};
    for (unsigned i = 0; i < count; ++i) {
        auto const& [vcpu, stay] = waits[random() % waits.size()];
        std::uint64_t const when = stay.from + random() % (stay.to - stay.from);
        std::optional<Wait> const wait{wait_of(file, facts, vcpu, when)};
        SCOPED_TRACE(fmt::format("d{}v{} at {}", vcpu >> 16, vcpu & 0xffff, when));
        if (!wait) {
            ADD_FAILURE() << "no wait was found";
            continue;
        }
        int const failures_before = testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
        EXPECT_EQ(wait->begin, stay.from);
        EXPECT_EQ(wait->end, stay.to);
        EXPECT_EQ(wait->after_wake, stay.after_wake);
        std::optional<std::uint32_t> const place = checker.place_of(vcpu, when);
        if (!wait->holds.empty() && place) {
            WaitHold const& hold = wait->holds[wait->hold_asked];
            Stay const* const there = checker.holder(*place, when);
            EXPECT_EQ(hold.pcpu, *place);
            EXPECT_EQ(hold.holder, there == nullptr ? std::nullopt : std::optional{there->what});
            EXPECT_EQ(hold.running_since, there == nullptr ? hold.from : there->from);
            EXPECT_EQ(wait->rule, checker.rule(vcpu, *place, wait->begin, when));
        }
        EXPECT_EQ(wait->priority_asked, checker.priority(vcpu, when));
        std::map<std::uint32_t, std::uint64_t> idle_times;
        for (auto const& [pcpu, of] : wait->idle)
            if (of.total != 0)
                idle_times[pcpu] = of.total;
        EXPECT_EQ(idle_times, checker.idle_within(stay.from, stay.to));
        std::vector<std::array<std::uint64_t, 3>> taken;
        for (WaitTaken const& other : wait->taken)
            taken.push_back({other.when, other.pcpu, other.taken});
        auto expected = checker.taken_within(stay.from, stay.to);
        EXPECT_EQ(wait->taken_count, expected.size());
        expected.resize(std::min(expected.size(), Wait::most_kept));
        EXPECT_EQ(taken, expected);
        EXPECT_EQ(wait->ran_on.has_value(), true);
        auto const* const result = testing::UnitTest::GetInstance()->current_test_info()->result();
        agreed += result->total_part_count() == failures_before ? 1u : 0u;
        ++rules[wait->rule];
    }
    return agreed;
}

TEST(TraceWhy, AgreesWithAnIndependentAnswerOnRandomWaits)
{
    std::map<WaitRule, unsigned> rules;
    SimulatedTrace const ours{simulated_trace(repository_root() + "/tests/scenarios/two-nodes-nodeaff.json",
                                              {.settings = {"duration_ns=400000000"}})};
    unsigned agreed{agreeing(ours.bytes, ours.facts, 60, 1, rules)};
    for (std::string const name : {"over-soft", "skew-soft"}) {
        std::string const path{repository_root() + "/tests/traces/" + name};
        agreed += agreeing(unpacked(path + ".xentrace.xz"), load_trace_facts(path + ".facts.json"), 20, 2, rules);
    }
    EXPECT_EQ(agreed, 100u);
    EXPECT_GE(rules.size(), 5u) << "too few kinds of waits to mean anything";
}

// d1v0 wakes on pCPU 0, which d2v0 holds, while pCPU 1 idles and pCPU 2 idles but is forbidden.
Sample held()
{
    Sample sample;
    sample.change(0, 1000, 1, 0, State::runnable, State::running)
        .change(0, 1500, 1, 0, State::running, State::blocked)
        .change(0, 1501, 2, 0, State::runnable, State::running)
        .change(1, 1600, 3, 0, State::runnable, State::running)
        .change(2, 1700, idle, 2, State::runnable, State::running)
        .change(3, 2000, 1, 0, State::blocked, State::runnable)
        .put(3, make(static_cast<std::uint32_t>(Event::prio), 2001, {0x10000, 0xffff'ffff, 0}))
        .put(3, make(static_cast<std::uint32_t>(Event::prio), 2001, {0x20000, 0, 0xffff'ffff}))
        .put(3, make(static_cast<std::uint32_t>(Event::tickle), 2002, {1}))
        .change(1, 3000, 3, 0, State::running, State::blocked)
        .change(1, 3001, idle, 1, State::runnable, State::running)
        .change(0, 9000, 2, 0, State::running, State::blocked)
        .change(0, 9001, 1, 0, State::runnable, State::running);
    return sample;
}

TEST(TraceWhy, NamesTheHolderTheRuleAndWhatWouldHaveHelped)
{
    TraceFacts facts;
    facts.node_of = {0, 0, 1, 1};
    facts.domains[1] = {.home = {{0}}, .hard = {{0, 1}}};
    std::optional<Wait> const wait{wait_of(held().file(), facts, 0x10000, 5000)};
    ASSERT_TRUE(wait);
    EXPECT_EQ(wait->begin, 2000u);
    EXPECT_EQ(wait->end, 9001u);
    EXPECT_TRUE(wait->after_wake);
    EXPECT_EQ(wait->woken_on, 3u);
    EXPECT_EQ(wait->priority, 0);
    EXPECT_EQ(wait->rule, WaitRule::not_asked);
    EXPECT_EQ(wait->asked, std::vector<std::uint32_t>{1});
    EXPECT_EQ(wait->ran_on, 0u);
    ASSERT_TRUE(wait->idle.contains(1) && wait->idle.contains(2));
    EXPECT_EQ(wait->idle.at(1).first, 3001u);
    EXPECT_EQ(wait->idle.at(1).total, 6000u);
    EXPECT_EQ(wait->idle.at(1).is_home, true);
    EXPECT_FALSE(wait->idle.at(2).is_allowed);
    std::string const text{why_text(*wait, {.facts = facts, .hz = 1'000'000'000, .first = 1000, .when = 5000})};
    for (char const* const line :
         {"d1v0 waited 7.0 us", "it waited for pCPU 0 (node 0, its home); d2v0", "rule: not asked",
          "the wake-up asked pCPU 1 instead", "taking it to pCPU 1 (node 0, its home), idle at 0.000002001 s: 1.0 us",
          "idle meanwhile, but forbidden by hard affinity:\n  pCPU 2"})
        EXPECT_NE(text.find(line), std::string::npos) << line << " is not in\n" << text;
}

TEST(TraceWhy, NamesTheRateLimitWhileItLasts)
{
    auto const rule_at = [](std::uint64_t when) {
        Sample limited;
        limited.change(0, 1000, 1, 0, State::runnable, State::running)
            .change(0, 1500, 1, 0, State::running, State::blocked)
            .change(0, 1501, 2, 0, State::runnable, State::running)
            .change(0, 2000, 1, 0, State::blocked, State::runnable)
            .put(0, make(static_cast<std::uint32_t>(Event::schedule), 2001, {0}))
            .put(0, make(static_cast<std::uint32_t>(Event::ratelimit), 2002, {0x20000, 501}))
            .put(0, make(static_cast<std::uint32_t>(Event::schedule), 6000, {0}))
            .change(0, 9001, 2, 0, State::running, State::runnable)
            .change(0, 9002, 1, 0, State::runnable, State::running);
        return wait_of(limited.file(), {}, 0x10000, when)->rule;
    };
    EXPECT_EQ(rule_at(2001), WaitRule::not_known);
    EXPECT_EQ(rule_at(3000), WaitRule::rate_limit);
    EXPECT_EQ(rule_at(7000), WaitRule::not_known);
}

// d1v0 waits behind d2v0 on pCPU 0, then is moved to pCPU 1, which d3v0 holds.
TEST(TraceWhy, AsksForTheHolderWhereItWasMoved)
{
    Sample moved;
    moved.change(0, 1000, 1, 0, State::runnable, State::running)
        .change(1, 1200, 3, 0, State::runnable, State::running)
        .change(0, 1500, 1, 0, State::running, State::blocked)
        .change(0, 1501, 2, 0, State::runnable, State::running)
        .change(0, 2000, 1, 0, State::blocked, State::runnable)
        .put(0, make(static_cast<std::uint32_t>(Event::migrate), 5000, {0x10000, 0, 1}))
        .change(1, 9000, 3, 0, State::running, State::blocked)
        .change(1, 9001, 1, 0, State::runnable, State::running);
    for (auto const& [when, pcpu, holder] : {std::array{4000u, 0u, 0x20000u}, std::array{6000u, 1u, 0x30000u}}) {
        std::optional<Wait> const wait{wait_of(moved.file(), {}, 0x10000, when)};
        ASSERT_TRUE(wait);
        EXPECT_EQ(wait->holds[wait->hold_asked].pcpu, pcpu);
        EXPECT_EQ(wait->holds[wait->hold_asked].holder, holder);
    }
}

TEST(TraceWhy, SaysNothingOfATimeWithoutAWait)
{
    Bytes const file{held().file()};
    EXPECT_FALSE(wait_of(file, {}, 0x10000, 1200)); // it runs
    EXPECT_FALSE(wait_of(file, {}, 0x10000, 1800)); // it is blocked
    EXPECT_FALSE(wait_of(file, {}, 0x10000, 9001)); // it has just begun to run
    EXPECT_FALSE(wait_of(file, {}, 0x90000, 5000)); // nobody
    EXPECT_TRUE(wait_of(file, {}, 0x10000, 2000));
    EXPECT_TRUE(wait_of(file, {}, 0x10000, 9000));
}

TEST(TraceWhy, AWaitThatTheTraceDoesNotEndIsToldUpToItsEnd)
{
    Sample sample;
    sample.change(0, 1000, 2, 0, State::runnable, State::running)
        .change(1, 1500, 1, 0, State::blocked, State::runnable)
        .change(0, 4000, 2, 0, State::running, State::blocked);
    std::optional<Wait> const wait{wait_of(sample.file(), {}, 0x10000, 9999)};
    ASSERT_TRUE(wait);
    EXPECT_FALSE(wait->has_ended);
    EXPECT_EQ(wait->end, 4000u);
    EXPECT_FALSE(wait->ran_on);
}

TEST(TraceWhy, FindsTheLongestWait)
{
    Sample sample;
    std::uint64_t now{1000};
    for (std::uint64_t const wait : {100u, 500u, 200u}) {
        sample.change(0, now, 1, 0, State::running, State::runnable)
            .change(0, now + wait, 1, 0, State::runnable, State::running);
        now += 1000;
    }
    LongestWait longest{0x10000};
    Bytes const file{sample.file()};
    TraceStream stream{file};
    while (std::optional<Record> const record = stream.next())
        longest.record(*record);
    ASSERT_TRUE(longest.when());
    EXPECT_EQ(wait_of(file, {}, 0x10000, *longest.when())->begin, 2000u);
    EXPECT_EQ(wait_of(file, {}, 0x10000, *longest.when())->end, 2500u);
}

TEST(TraceWhy, RefusesAQuestionThatIsNone)
{
    for (std::string const question : {"d1", "v1@3", "d1v0@", "d1v0@x", "d1v0@-1", "d1v0@1h", "d1v0@1e30", "@1"}) {
        try {
            static_cast<void>(trace_why({.trace = {}, .question = question}));
            ADD_FAILURE() << question << " was taken";
        } catch (Error const& error) {
            EXPECT_EQ(error.code(), ExitCode::bad_input);
            EXPECT_TRUE(std::string_view{error.what()}.starts_with(question)) << error.what();
        }
    }
}

} // namespace
} // namespace hv::nv
