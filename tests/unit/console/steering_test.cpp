// vcpu-pin, sched-credit and node-affinity on a machine that is busy: what they print, refuse and bring about.
#include "tests/unit/console/console_fixture.hpp"

namespace hv::console {
namespace {

using test::ConsoleTest;
using test::cpus;
using test::ms;

// Two VMs of two hogs each, all of them on node 0.
class SteeringTest : public ConsoleTest {
protected:
    sched::Domain& first{sim.domain()};
    sched::Domain& second{sim.domain()};
    sched::guest::Guest& a{sim.hog(first, 0)};
    sched::guest::Guest& b{sim.hog(first, 1)};
    sched::guest::Guest& c{sim.hog(second, 2)};
    sched::guest::Guest& d{sim.hog(second, 3)};

    SteeringTest()
    {
        machine.names = {{1, "vm1"}, {2, "vm2"}};
        for (sched::guest::Guest* const guest : {&a, &b, &c, &d})
            sim.start(*guest);
        sim.run_to(ms(100));
    }

    [[nodiscard]] Duration ran(sched::guest::Guest const& guest) const
    {
        return sim.spent(guest.vcpu, sched::RunState::running);
    }
};

TEST_F(SteeringTest, AHardAffinityMovesARunningVcpuAtOnce)
{
    EXPECT_TRUE(type("vcpu-pin vm1 0 node:1").empty());
    EXPECT_EQ(a.vcpu.hard_affinity, cpus({4, 5, 6, 7}));
    EXPECT_GE(a.vcpu.processor().value(), 4u);
    Duration const before{ran(a)};
    sim.run(ms(30));
    EXPECT_GE(ran(a) - before, ms(29));
    EXPECT_TRUE(type("vcpu-list vm1")[1].ends_with("  4-7 / all"));
}

TEST_F(SteeringTest, AllVcpusCanBePinnedAtOnceAndSharesFollow)
{
    EXPECT_TRUE(type("vcpu-pin vm1 all 5").empty());
    sim.run(ms(60)); // two accounting periods for the credits to settle
    Duration const before_a{ran(a)}, before_b{ran(b)};
    sim.run(ms(600));
    EXPECT_NEAR(static_cast<double>((ran(a) - before_a).ns()), 300e6, 31e6);
    EXPECT_NEAR(static_cast<double>((ran(b) - before_b).ns()), 300e6, 31e6);
}

TEST_F(SteeringTest, ADashLeavesAnAffinityAsItIs)
{
    EXPECT_TRUE(type("vcpu-pin 1 1 - 4-5").empty());
    EXPECT_EQ(b.vcpu.hard_affinity, CpuMask::first_n(8));
    EXPECT_EQ(b.vcpu.soft_affinity, cpus({4, 5}));
    EXPECT_TRUE(b.vcpu.prefers);
    EXPECT_TRUE(type("vcpu-pin 1 1 0-5 -").empty());
    EXPECT_EQ(b.vcpu.hard_affinity, cpus({0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(b.vcpu.soft_affinity, cpus({4, 5}));
}

TEST_F(SteeringTest, ADryRunShowsTheSetsAndChangesNothing)
{
    EXPECT_EQ(reply_to("vcpu-pin -N vm1 0 0-3,^1 node:0"), "cpumap: 0,2-3 0-3");
    EXPECT_EQ(reply_to("vcpu-pin --dry-run vm1 0 - all"), "cpumap: - all");
    EXPECT_EQ(reply_to("vcpu-pin -N vm1 0 ^0"), "cpumap: none -");
    EXPECT_EQ(a.vcpu.hard_affinity, CpuMask::first_n(8));
    EXPECT_FALSE(a.vcpu.prefers);
}

TEST_F(SteeringTest, BadPinsAreRefusedAndChangeNothing)
{
    EXPECT_EQ(reply_to("vcpu-pin"), "error: vcpu-pin: usage: vcpu-pin [-N] DOM VCPU|all HARD [SOFT]");
    EXPECT_EQ(reply_to("vcpu-pin vm1 x 0"), "error: vcpu-pin: 'x': not a vCPU; give its number, or all");
    EXPECT_EQ(reply_to("vcpu-pin vm1 2 0"), "error: vcpu-pin: '2': vm1 has vCPUs 0 to 1");
    EXPECT_EQ(reply_to("vcpu-pin vm9 0 0"), "error: 'vm9': no such VM; list shows those that there are");
    EXPECT_EQ(reply_to("vcpu-pin vm1 all 3-1"),
              "error: vcpu-pin: hard affinity: '3-1': the range ends before it begins; give the lower number first");
    EXPECT_EQ(reply_to("vcpu-pin vm1 all 0 foo"), "error: vcpu-pin: soft affinity: 'foo': expected a number, a range "
                                                  "like 0-3, all, or node:N; ^ in front takes away");
    EXPECT_EQ(reply_to("vcpu-pin vm1 all ^0"),
              "error: vcpu-pin: vm1 vCPU 0: hard affinity '^0' has no pCPU of its pool; name one that is up");
    EXPECT_EQ(a.vcpu.hard_affinity, CpuMask::first_n(8));
    EXPECT_EQ(b.vcpu.hard_affinity, CpuMask::first_n(8));
}

TEST_F(SteeringTest, WhatCountsForNothingIsWarnedOf)
{
    EXPECT_EQ(
        reply_to("vcpu-pin vm1 0 0-1 6-7"),
        "warning: vcpu-pin: vm1 vCPU 0: its soft affinity leaves nothing of its hard affinity, and counts for nothing");
    EXPECT_EQ(reply_to("vcpu-pin vm1 1 - ^0"),
              "warning: vcpu-pin: soft affinity '^0' is empty, and counts for nothing");
    EXPECT_EQ(reply_to("vcpu-pin vm1 1 0,9"),
              "warning: vcpu-pin: hard affinity: '9': there is no such pCPU or node, ignored");
    EXPECT_EQ(b.vcpu.hard_affinity, CpuMask::of(CpuId{0}));
}

TEST_F(SteeringTest, JsonTellsTheEffectiveSets)
{
    std::vector<std::string> const lines{request("vcpu-pin vm1 1 0-5 4-7")};
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0], "{\"name\":\"vm1\",\"id\":1,\"vcpu\":1,\"hard\":\"0-5\",\"soft\":\"4-5\"}");
}

TEST_F(SteeringTest, SchedCreditHasUpstreamsColumns)
{
    std::vector<std::string> const lines{type("sched-credit")};
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[0], "Cpupool Pool-0: tslice=30ms ratelimit=1000us migration-delay=0us");
    EXPECT_EQ(lines[1], "Name                                ID Weight  Cap");
    EXPECT_EQ(lines[2], "vm1                                  1    256    0");
    EXPECT_EQ(type("sched-credit -d vm2").size(), 2u);
    EXPECT_EQ(type("sched-credit -s").size(), 1u);
    EXPECT_EQ(type("sched-credit -p Pool-0").size(), 4u);
}

// Weights tell where the whole machine is contended.
class SteeringOnePcpuTest : public ConsoleTest {
protected:
    SteeringOnePcpuTest() : ConsoleTest{1, 1} { machine.names = {{1, "vm1"}, {2, "vm2"}}; }
};

TEST_F(SteeringOnePcpuTest, AWeightIsInEffectWithinTheNextPeriods)
{
    sched::guest::Guest& a{sim.hog(sim.domain(), 0)};
    sched::guest::Guest& b{sim.hog(sim.domain(), 0)};
    sim.start(a);
    sim.start(b);
    sim.run_to(ms(600));
    EXPECT_TRUE(type("sched-credit -d vm1 -w 768").empty());
    EXPECT_EQ(type("sched-credit -d vm1")[1], "vm1                                  1    768    0");
    sim.run(ms(60));
    Duration const before{sim.spent(a.vcpu, sched::RunState::running)};
    sim.run(ms(6000));
    Duration const got{sim.spent(a.vcpu, sched::RunState::running) - before};
    EXPECT_NEAR(static_cast<double>(got.ns()), 4500e6, 100e6);
}

TEST_F(SteeringTest, ACapHoldsFromTheNextPeriodOn)
{
    EXPECT_TRUE(type("sched-credit -d vm1 -c 50").empty());
    sim.run(ms(30)); // one accounting period
    Duration const before{ran(a) + ran(b)};
    sim.run(ms(3000));
    EXPECT_NEAR(static_cast<double>((ran(a) + ran(b) - before).ns()), 1500e6, 120e6);
    EXPECT_TRUE(type("sched-credit -d vm1 -c 0").empty());
    sim.run(ms(120));
    Duration const after{ran(a) + ran(b)};
    sim.run(ms(300));
    EXPECT_EQ(ran(a) + ran(b) - after, ms(600));
}

TEST_F(SteeringTest, SchedulerParametersAreSetTogetherOrNotAtAll)
{
    EXPECT_TRUE(type("sched-credit -s -t 5 -r 5000").empty());
    EXPECT_EQ(reply_to("sched-credit -s"), "Cpupool Pool-0: tslice=5ms ratelimit=5000us migration-delay=0us");
    EXPECT_EQ(reply_to("sched-credit -s -t 1"),
              "error: sched-credit: a rate limit of 5000 us is above the slice of 1 ms; lower one or raise the other");
    EXPECT_EQ(
        reply_to("sched-credit -s -t 10 -r 20000"),
        "error: sched-credit: a rate limit of 20000 us is above the slice of 10 ms; lower one or raise the other");
    EXPECT_EQ(reply_to("sched-credit -s -t 40 -r 99"),
              "error: sched-credit: '99': a rate limit is 0 (off) or 100 to 500000 us");
    EXPECT_EQ(reply_to("sched-credit -s"), "Cpupool Pool-0: tslice=5ms ratelimit=5000us migration-delay=0us");
    EXPECT_TRUE(type("sched-credit -s -t 1 -r 0 -m 200").empty());
    EXPECT_EQ(reply_to("sched-credit -s"), "Cpupool Pool-0: tslice=1ms ratelimit=0us migration-delay=200us");
}

TEST_F(SteeringTest, OptionsThatDoNotGoTogetherAreRefused)
{
    EXPECT_EQ(reply_to("sched-credit -w 5"), "error: sched-credit: '-w': needs the VM that it is for: -d DOM");
    EXPECT_EQ(reply_to("sched-credit -d vm1 -s"),
              "error: sched-credit: '-s': is of the scheduler, -d, -w and -c are of a VM; use one or the other");
    EXPECT_EQ(reply_to("sched-credit -p Pool-0 -d vm1"),
              "error: sched-credit: '-p': a VM is in one pool only; leave -p out with -d, -w and -c");
    EXPECT_EQ(reply_to("sched-credit -t 5"), "error: sched-credit: '-t': is of the scheduler; give -s with it");
    EXPECT_EQ(reply_to("sched-credit -p x"), "error: sched-credit: 'x': no such pool; there is Pool-0");
    EXPECT_EQ(reply_to("sched-credit -d vm1 -w 0"), "error: sched-credit: '0': a weight is 1 to 65535");
    EXPECT_EQ(reply_to("sched-credit -d vm1 -w"), "error: sched-credit: a weight is 1 to 65535");
    EXPECT_EQ(reply_to("sched-credit -d vm1 -c 201"),
              "error: sched-credit: '201': vm1 has 2 vCPUs, so its cap is at most 200");
    EXPECT_EQ(reply_to("sched-credit -s -t 1001"), "error: sched-credit: '1001': a time slice is 1 to 1000 ms");
    EXPECT_EQ(reply_to("sched-credit x"), "error: sched-credit: 'x': not an option; help sched-credit lists them");
    EXPECT_EQ(first.params.weight, 256);
}

TEST_F(SteeringTest, ANodeAffinityIsExplicitUntilAllOrAutoTakesItBack)
{
    EXPECT_TRUE(type("node-affinity vm1 1").empty());
    EXPECT_FALSE(first.auto_node_affinity);
    EXPECT_EQ(a.vcpu.soft_affinity, cpus({4, 5, 6, 7}));
    std::vector<std::string> const lines{type("node-affinity")};
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[1], "vm1                                          1 explicit 1");
    EXPECT_EQ(lines[2], "vm2                                          2 auto     all");
    EXPECT_TRUE(type("node-affinity vm1 0-1").empty()); // all that there are, yet explicit
    EXPECT_FALSE(first.auto_node_affinity);
    EXPECT_TRUE(type("node-affinity vm1 auto").empty());
    EXPECT_TRUE(first.auto_node_affinity);
    EXPECT_TRUE(type("node-affinity vm2 1").empty());
    EXPECT_TRUE(type("node-affinity vm2 all").empty());
    EXPECT_TRUE(second.auto_node_affinity);
    EXPECT_EQ(reply_to("node-affinity vm1 ^0"), "error: node-affinity: '^0': leaves no node; name one, or auto");
    EXPECT_EQ(type("node-affinity vm1 7").front(), "warning: node-affinity: '7': there is no such node, ignored");
    EXPECT_EQ(reply_to("node-affinity vm1 x").substr(0, 29), "error: node-affinity: 'x': ex");
}

TEST_F(SteeringTest, APausedVmStandsStillUntilItIsUnpaused)
{
    EXPECT_EQ(reply_to("unpause vm1"), "error: unpause: vm1 is not paused");
    EXPECT_TRUE(type("pause vm1").empty());
    EXPECT_EQ(reply_to("pause vm1"), "error: pause: vm1 is paused; unpause lets it go on");
    EXPECT_EQ(type("list vm1")[1].substr(58, 13), "     --p---  ");
    Duration const before{ran(a)};
    sim.run(ms(50));
    EXPECT_EQ(ran(a), before);
    EXPECT_TRUE(type("unpause 1").empty());
    sim.run(ms(50));
    EXPECT_GE(ran(a) - before, ms(49));
    EXPECT_EQ(reply_to("pause"), "error: pause: takes a VM's name or number");
}

TEST_F(SteeringTest, AVmThatEndsIsShownUntilItIsGone)
{
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, first, now)); });
    sim.run(ms(50));
    EXPECT_EQ(reply_to("list vm1"), "error: 'vm1': no such VM; list shows those that there are");
    EXPECT_EQ(type("list").size(), 2u);
}

// What a command has found stays while it goes on, whatever reschedules meanwhile.
TEST_F(SteeringTest, DomainsThatAreHeldStayUntilTheyAreLetGo)
{
    struct Gone {
        unsigned domains{0};
    } gone;
    sim.system().set_farewell(
        {.self = &gone, .domain = [](void* self, sched::Domain&) noexcept { ++static_cast<Gone*>(self)->domains; }});
    sim.on(0, [&](CpuId self, Instant) { sim.core().hold_domains(self, true); });
    sim.on(1, [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().destroy(self, first, now)); });
    for (unsigned i = 0; i < 5; ++i) {
        sim.reschedule(0);
        sim.run(ms(10));
    }
    EXPECT_EQ(gone.domains, 0u);
    sim.on(0, [&](CpuId self, Instant) { sim.core().hold_domains(self, false); });
    sim.run(ms(10));
    EXPECT_EQ(gone.domains, 1u);
}

TEST_F(SteeringTest, AutomaticNodeAffinityFollowsThePins)
{
    EXPECT_TRUE(type("vcpu-pin vm1 all node:1").empty());
    EXPECT_EQ(type("node-affinity vm1")[1], "vm1                                          1 auto     1");
    EXPECT_TRUE(type("vcpu-pin vm1 0 0").empty());
    EXPECT_EQ(type("node-affinity vm1")[1], "vm1                                          1 auto     all");
}

} // namespace
} // namespace hv::console
