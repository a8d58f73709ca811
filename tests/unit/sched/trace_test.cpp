#include "sched/trace/tracer.hpp"

#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace hv::sched::trace {
namespace {

constexpr std::size_t record_bytes(std::size_t words) { return 12 + 4 * words; }

// A ring with memory of its own, and a host that reads it.
class TestRing {
public:
    explicit TestRing(std::size_t bytes) : memory_(bytes) { ring.attach(control, memory_); }

    void write(Event event, std::uint64_t stamp, std::vector<std::uint32_t> const& words)
    {
        ring.write(static_cast<std::uint32_t>(event), stamp, words);
    }

    // Takes everything out, as the host does.
    std::vector<std::byte> consume()
    {
        std::vector<std::byte> bytes;
        for (; control.tail < control.head; ++control.tail)
            bytes.push_back(memory_[control.tail % memory_.size()]);
        return bytes;
    }

    Ring ring;
    RingControl control;

private:
    std::vector<std::byte> memory_;
};

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

struct Record {
    std::uint32_t number;
    std::uint64_t stamp;
    std::vector<std::uint32_t> words;
};

std::vector<Record> decode(std::span<std::byte const> bytes)
{
    std::vector<Record> records;
    auto const word = [&](std::size_t at) {
        std::uint32_t value{0};
        std::memcpy(&value, bytes.data() + at, sizeof value);
        return value;
    };
    for (std::size_t at = 0; at < bytes.size();) {
        std::uint32_t const header{word(at)};
        std::size_t const words{(header >> 28) & 7};
        Record record{
            .number = header & 0xfffffff, .stamp = word(at + 4) | std::uint64_t{word(at + 8)} << 32, .words = {}};
        EXPECT_NE(header >> 31, 0u) << "every record of ours has a stamp";
        for (std::size_t i = 0; i < words; ++i)
            record.words.push_back(word(at + 12 + 4 * i));
        at += record_bytes(words);
        records.push_back(record);
    }
    return records;
}

bool is_lost(Record const& record) { return record.number == static_cast<std::uint32_t>(Event::lost_records); }

// --- bytes, as xentrace would have them

TEST(TraceRing, RunStateChangeHasXentracesBytes)
{
    TestRing test{4096};
    std::array const words{pack_vcpu(1, 0)};
    test.ring.write(runstate_event(RunStateCode::runnable, RunStateCode::running), 0x123456789a, words);
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
    TestRing test{64};
    test.ring.set_current(2, 1);
    test.write(Event::tick, 1, {0}); // 16 bytes
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
    EXPECT_EQ(kept, (256 - 28) / record_bytes(1)); // All that fits beside the reserve for one LOST record.
    for (std::uint32_t i = 0; i < kept; ++i)
        EXPECT_EQ(before[i].words[0], i);
    EXPECT_EQ(test.control.lost_total, written - kept);

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
        EXPECT_GT(test.control.lost_total, 0u);
        EXPECT_GT(test.control.head, 2 * 512u); // It went round more than once.
    }
}

TEST(TraceRingDeathTest, MemoryThatIsNoPowerOfTwoIsCaught)
{
    std::vector<std::byte> memory(96);
    Ring ring;
    RingControl control;
    EXPECT_DEATH(ring.attach(control, memory), "has_single_bit");
}

// --- masks

TEST(TraceMask, ClassAndSubclassMustBothMatch)
{
    auto const sched_min = runstate_event(RunStateCode::running, RunStateCode::blocked);
    auto const verbose = static_cast<std::uint32_t>(Event::wake);
    auto const credit = static_cast<std::uint32_t>(Event::picked_cpu);
    EXPECT_TRUE(passes(mask_all, sched_min) && passes(mask_all, verbose) && passes(mask_all, credit));
    EXPECT_TRUE(passes(0x0002f000, verbose));
    EXPECT_TRUE(passes(0x00021000, sched_min));
    EXPECT_FALSE(passes(0x00021000, verbose));
    EXPECT_FALSE(passes(0x00021000, credit));
    EXPECT_FALSE(passes(0x00020000, sched_min)) << "no subclass enables nothing";
    EXPECT_FALSE(passes(0x0004f000, sched_min)) << "another class";
    EXPECT_TRUE(passes(0x00021000 | 0x00082000, credit)) << "class and subclass are tested apart from each other";
    EXPECT_FALSE(passes(0, sched_min));
    EXPECT_TRUE(passes(0xfffff000, verbose)) << "only bits 27 to 12 take part";
}

TEST(TraceEvents, EveryRunStateChangeIsDecodedFromItsNumber)
{
    for (unsigned from = 0; from < 4; ++from)
        for (unsigned to = 0; to < 4; ++to) {
            auto const number = runstate_event(static_cast<RunStateCode>(from), static_cast<RunStateCode>(to));
            auto const change = decode_runstate(number);
            ASSERT_TRUE(change.has_value());
            EXPECT_EQ(static_cast<unsigned>(change->from), from);
            EXPECT_EQ(static_cast<unsigned>(change->to), to);
            ASSERT_NE(find_event(number), nullptr);
            EXPECT_EQ(find_event(number)->name, "runstate_change");
        }
    EXPECT_FALSE(decode_runstate(static_cast<std::uint32_t>(Event::continue_running)).has_value());
    EXPECT_EQ(find_event(0x00021003), nullptr);
}

// --- tracer, listener

using test::cpu;
using test::Sim;

TEST(Tracer, WritesToTheRingOfThePcpuThatExecutes)
{
    Sim sim{2, {.trace_bytes_per_pcpu = 1 << 14}};
    std::uint64_t const before0{sim.system().tracer().ring(cpu(0)).control()->head};
    std::uint64_t const before1{sim.system().tracer().ring(cpu(1)).control()->head};
    sim.on(1, [&](CpuId self, Instant now) { sim.system().tracer().emit(self, now, Event::tick, 5); });
    EXPECT_EQ(sim.system().tracer().ring(cpu(0)).control()->head, before0);
    EXPECT_EQ(sim.system().tracer().ring(cpu(1)).control()->head, before1 + record_bytes(1));
}

TEST(Tracer, MaskAppliesToRingAndListener)
{
    Sim sim{1, {.trace_bytes_per_pcpu = 1 << 14, .trace_mask = 0x00021000}};
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    sim.run(test::ms(100));
    EXPECT_FALSE(sim.heard().empty());
    for (Sim::Heard const& heard : sim.heard())
        EXPECT_EQ(heard.number & 0xfffff000, 0x00021000u) << std::hex << heard.number;
    Ring const& ring{sim.system().tracer().ring(cpu(0))};
    auto const records = decode(ring.memory().first(ring.control()->head));
    EXPECT_FALSE(records.empty());
    for (Record const& record : records)
        EXPECT_EQ(record.number & 0xfffff000, 0x00021000u);
}

TEST(Tracer, TheListenerHearsWithoutAnyRing)
{
    Sim sim{1};
    EXPECT_TRUE(sim.system().tracer().ring(cpu(0)).memory().empty());
    Vcpu& vcpu{sim.vcpu(0)};
    sim.start(vcpu);
    auto const switches = sim.heard_of(Event::switch_to);
    ASSERT_EQ(switches.size(), 1u);
    EXPECT_EQ(switches[0].words, (std::vector<std::uint32_t>{idle_domain_id.value(), 0, vcpu.domain.id.value(), 0}));
}

TEST(Tracer, StampsOfOnePcpuStrictlyIncrease)
{
    Sim sim{1, {.trace_bytes_per_pcpu = 1 << 16}};
    Domain& domain{sim.domain()};
    sim.start(sim.hog(domain, 0));
    sim.start(sim.hog(domain, 0));
    sim.run(test::ms(500));
    Ring const& ring{sim.system().tracer().ring(cpu(0))};
    ASSERT_EQ(ring.control()->lost_total, 0u);
    std::uint64_t last{0};
    for (Record const& record : decode(ring.memory().first(ring.control()->head))) {
        EXPECT_GT(record.stamp, last);
        last = record.stamp;
    }
    EXPECT_GT(last, 400'000'000u);
}

// Lost-record accounting of readers relies on it: between the switch and the two run states nothing else is recorded.
TEST(Tracer, NothingComesBetweenASwitchAndItsRunStates)
{
    Sim sim{2};
    Domain& domain{sim.domain()};
    for (int i = 0; i < 4; ++i)
        sim.start(sim.guest(domain, 0, test::burst(test::us(300), test::ms(3), test::us(100), test::ms(2))));
    sim.run(test::ms(200));
    auto const& heard = sim.heard();
    int switches{0};
    for (std::size_t i = 0; i + 2 < heard.size(); ++i) {
        if (heard[i].number != static_cast<std::uint32_t>(Event::switch_to))
            continue;
        ++switches;
        EXPECT_EQ(heard[i - 1].number, static_cast<std::uint32_t>(Event::switch_infnext));
        EXPECT_EQ(heard[i - 2].number, static_cast<std::uint32_t>(Event::switch_infprev));
        auto const out = decode_runstate(heard[i + 1].number);
        auto const in = decode_runstate(heard[i + 2].number);
        ASSERT_TRUE(out && in);
        EXPECT_EQ(out->from, RunStateCode::running);
        EXPECT_EQ(in->to, RunStateCode::running);
    }
    EXPECT_GT(switches, 50);
}

TEST(Tracer, ClosingTakesEveryVcpuOffline)
{
    Sim sim{2};
    Vcpu& running{sim.vcpu(0)};
    Vcpu& asleep{sim.vcpu(1)};
    sim.start(running);
    sim.start(asleep, true);
    sim.run(test::ms(5));
    sim.core().close_trace(CpuId{0}, sim.now());
    EXPECT_EQ(running.run_state.state, RunState::offline);
    EXPECT_EQ(asleep.run_state.state, RunState::offline);
    EXPECT_EQ(sim.pool().pcpu(cpu(1)).idle->run_state.state, RunState::offline);
    EXPECT_EQ(running.run_state.spent[static_cast<unsigned>(RunState::running)], test::ms(5));
}

} // namespace
} // namespace hv::sched::trace
