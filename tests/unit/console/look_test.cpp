// top, trace and debug-keys on a simulated machine, where their figures are known.
#include "tests/unit/console/console_fixture.hpp"

#include <algorithm>

namespace hv::console {
namespace {

using test::ConsoleTest;
using test::cpus;
using test::ms;

// A VM whose vCPU 0 runs at home (node 1, where most of its memory is not, but its affinity is) and vCPU 1 away.
class ConsoleLookTest : public ConsoleTest {
protected:
    sched::Domain& vm{sim.domain()};
    sched::guest::Guest& at_home{sim.hog(vm, 5)};
    sched::guest::Guest& away{sim.hog(vm, 0)};

    ConsoleLookTest() : ConsoleLookTest{"credit"} {}
    explicit ConsoleLookTest(std::string_view policy) : ConsoleTest{2, 4, policy}
    {
        machine.names = {{1, "vm1"}};
        sim.on(0, [&](CpuId self, Instant now) {
            EXPECT_TRUE(sim.core().set_hard_affinity(self, at_home.vcpu, cpus({5}), now));
            EXPECT_TRUE(sim.core().set_hard_affinity(self, away.vcpu, cpus({0}), now));
            EXPECT_TRUE(sim.core().set_node_affinity(vm, NodeMask::of(NodeId{1}), now));
        });
        sim.start(at_home);
        sim.start(away);
        sim.run_to(ms(2000));
    }

    static bool has(std::vector<std::string> const& lines, std::string_view text)
    {
        return std::ranges::any_of(lines, [&](std::string const& line) { return line.find(text) != line.npos; });
    }
};

TEST_F(ConsoleLookTest, TopTellsWhoRunsAndHowMuchOfItAtHome)
{
    std::vector<std::string> const lines{type("top --once -v")};
    ASSERT_EQ(lines.size(), 5u);
    EXPECT_EQ(lines[0], "up 2.0 s, 8 pCPUs, scheduler credit");
    EXPECT_EQ(lines[1], "Name                            ID  VCPUs    CPU(%)  WAIT(%)  HOME(%)   Time(s)");
    EXPECT_EQ(lines[2], "vm1                              1      2     200.0      0.0     50.0       4.0");
    EXPECT_EQ(lines[3], "                                 0 on    5    100.0      0.0    100.0       2.0");
    EXPECT_EQ(lines[4], "                                 1 on    0    100.0      0.0      0.0       2.0");
}

TEST_F(ConsoleLookTest, TopInAutomaticModeTakesWhereTheMemoryIsForHome)
{
    EXPECT_TRUE(type("node-affinity vm1 auto").empty()); // vm1 has pages on both nodes
    EXPECT_EQ(type("top --once")[2], "vm1                              1      2     200.0      0.0    100.0       4.0");
    machine.only_node = NodeId{0};
    EXPECT_EQ(type("top --once -v")[3],
              "                                 0 on    5    100.0      0.0      0.0       2.0");
}

TEST_F(ConsoleLookTest, ALaterLookIsAboutTheTimeSinceTheOneBefore)
{
    EXPECT_TRUE(type("top -v -d 3").empty());
    ASSERT_TRUE(machine.shown);
    EXPECT_EQ(machine.shown->seconds, 3u);
    std::array<TopSample, 8> samples{};
    auto const look = [&] {
        text_port.lines.clear();
        sim.on(0, [&](CpuId self, Instant now) {
            machine.on = self;
            machine.at = now;
            Context context{machine, text};
            show_top(context, *machine.shown, samples);
        });
        return text_port.lines;
    };
    EXPECT_EQ(look()[2], "vm1                              1      2     200.0      0.0     50.0       4.0");
    EXPECT_TRUE(type("pause vm1").empty());
    static_cast<void>(look());
    sim.run(ms(500));
    EXPECT_EQ(look()[2], "vm1                              1      2       0.0      0.0        -       4.0");
}

TEST_F(ConsoleLookTest, TraceSetsTheMaskAndShowsTheLastRecords)
{
    EXPECT_EQ(type("trace").front(), "mask 0xffff000: gen sched dom0op hvm mem all");
    EXPECT_EQ(type("trace last 2").size(), 2u);
    EXPECT_TRUE(has(type("trace last 100000"), "runnable -> running d1v0"));
    EXPECT_TRUE(type("trace off").empty());
    EXPECT_EQ(type("trace").front(), "mask 0x0: off");
    std::vector<std::string> const last{type("trace last 1")};
    sim.run(ms(100));
    EXPECT_EQ(type("trace last 1"), last); // nothing new
    EXPECT_TRUE(type("trace sched").empty());
    sim.run(ms(100));
    EXPECT_NE(type("trace last 1"), last);
    EXPECT_EQ(type("trace").size(), 2u + 8u);
}

TEST_F(ConsoleLookTest, TheLastRecordsAreInTheOrderOfTheirStamps)
{
    std::vector<std::string> const lines{request("trace last 200")};
    ASSERT_EQ(lines.size(), 201u);
    std::uint64_t before{0};
    for (std::size_t i = 0; i < 200; ++i) {
        std::uint64_t const stamp{std::stoull(lines[i].substr(lines[i].find("stamp_ns") + 10))};
        EXPECT_GE(stamp, before);
        before = stamp;
    }
}

TEST_F(ConsoleLookTest, ARecordThatTheReaderOfTheRingHasPassedIsLeftOut)
{
    sched::trace::Ring& ring{sim.system().tracer().ring(CpuId{0})};
    RingReader const reader{ring};
    ASSERT_FALSE(reader.at_end());
    EXPECT_TRUE(reader.is_intact());
    ring.control()->tail += sched::trace::record_bytes(reader.read().words);
    EXPECT_FALSE(reader.is_intact());
}

TEST_F(ConsoleLookTest, DebugKeysShowTheStateBehindThem)
{
    std::vector<std::string> const queues{type("debug-keys r")};
    EXPECT_TRUE(has(queues, "\tncpus              = 8"));
    EXPECT_TRUE(has(queues, "idlers: 1-4,6-7"));
    EXPECT_TRUE(has(queues, "[1.0] pri="));
    EXPECT_TRUE(has(queues, "CPU[05]  sort="));
    std::vector<std::string> const domains{type("debug-keys q")};
    EXPECT_TRUE(has(domains, "NODE affinity for domain 1: [1]"));
    EXPECT_TRUE(has(domains, "    VCPU0: CPU5 [has=T] pause_count=0 pause_flags=0x0 hard={5} soft={4-7}"));
    std::vector<std::string> const numa{type("debug-keys u")};
    EXPECT_TRUE(has(numa, "Domain 1 (total: 1280):"));
    EXPECT_TRUE(has(numa, "    Node 1: 1024"));
    EXPECT_TRUE(has(numa, "CPU4 -> NODE1"));
    EXPECT_TRUE(has(type("debug-keys m"), "    heap[node=0]: 5007360kB free"));
    std::vector<std::string> const all{type("debug-keys *")};
    for (char const* const part : {"[r: ", "[q: ", "[u: ", "[m: ", "registers", "clocks"})
        EXPECT_TRUE(has(all, part)) << part;
    EXPECT_FALSE(has(all, "[h: "));
    // Several at once, and one that is none.
    std::vector<std::string> const some{type("debug-keys mz")};
    EXPECT_EQ(some.back(), "error: debug-keys: 'z': no such key; debug-keys h lists those that there are");
}

class NumaCreditConsoleTest : public ConsoleLookTest {
protected:
    NumaCreditConsoleTest() : ConsoleLookTest{"numacredit"} {}
};

TEST_F(NumaCreditConsoleTest, OtherPoliciesShowWhatTheyHave)
{
    std::vector<std::string> const queues{type("debug-keys r")};
    EXPECT_TRUE(has(queues, "Scheduler: numacredit"));
    EXPECT_TRUE(has(queues, "\trun: [1.0] cpu=5 weight=256"));
    EXPECT_EQ(reply_to("sched-credit -s"), "Cpupool Pool-0: tslice=30ms ratelimit=1000us");
    EXPECT_TRUE(type("sched-credit -s -t 20").empty());
    EXPECT_EQ(reply_to("sched-credit -s"), "Cpupool Pool-0: tslice=20ms ratelimit=1000us");
    EXPECT_EQ(reply_to("sched-credit -s -m 1"),
              "error: sched-credit: -m: the scheduler numacredit has no migration delay; leave it out");
}

class NullConsoleTest : public ConsoleTest {
protected:
    NullConsoleTest() : ConsoleTest{1, 2, "null"} {}
};

TEST_F(NullConsoleTest, APolicyWithoutParametersHasNone)
{
    EXPECT_EQ(reply_to("sched-credit -s"), "Cpupool Pool-0:");
    EXPECT_EQ(reply_to("sched-credit -s -t 5"), "error: sched-credit: the scheduler null has no such parameters");
    EXPECT_EQ(type("debug-keys r").size(), 5u);
}

} // namespace
} // namespace hv::console
