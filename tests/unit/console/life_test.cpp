// create and destroy: what is asked of the machine, and what is refused.
#include "tests/unit/console/console_fixture.hpp"

namespace hv::console {
namespace {

using test::ConsoleTest;
using test::cpus;
using test::ms;

class ConsoleLifeTest : public ConsoleTest {
protected:
    sched::Domain& first{sim.domain()};
    ConsoleLifeTest() { machine.names = {{1, "vm1"}}; }
};

TEST_F(ConsoleLifeTest, EverySettingArrives)
{
    EXPECT_EQ(reply_to("create name=web vcpus=2 memory=32 cpus=node:1 cpus_soft=4-5 weight=512 cap=150 "
                       "workload=burst:run=1ms-3ms:block=500us"),
              "VM 77 runs");
    ASSERT_EQ(machine.created.size(), 1u);
    VmRequest const wanted{machine.created[0]};
    EXPECT_EQ(wanted.vcpus, 2u);
    EXPECT_EQ(wanted.memory_mib, 32u);
    EXPECT_EQ(machine.created_cpus, cpus({4, 5, 6, 7}));
    EXPECT_NE(wanted.cpus_soft, nullptr);
    EXPECT_EQ(wanted.params.weight, 512);
    EXPECT_EQ(wanted.params.cap, 150);
    EXPECT_EQ(wanted.workload.kind, sched::guest::WorkloadKind::burst);
    EXPECT_EQ(wanted.workload.run_min, ms(1));
    EXPECT_EQ(wanted.workload.run_max, ms(3));
    EXPECT_EQ(wanted.workload.block_min, Duration::from_us(500));
    EXPECT_EQ(wanted.workload.block_max, Duration::from_us(500));
    EXPECT_EQ(request("create").front(), "{\"id\":77}");
    EXPECT_EQ(machine.created[1].cpus, nullptr);
}

TEST_F(ConsoleLifeTest, BadSettingsAreRefused)
{
    for (std::string_view const line : {"create x",
                                        "create name=",
                                        "create colour=1",
                                        "create vcpus=0",
                                        "create vcpus=x",
                                        "create memory=0",
                                        "create cpus=foo",
                                        "create cpus_soft=3-1",
                                        "create weight=0",
                                        "create cap=101",
                                        "create workload=foo",
                                        "create workload=burst",
                                        "create workload=burst:run=1ms",
                                        "create workload=burst:run=3ms-1ms:block=1ms",
                                        "create workload=hog:run=1ms",
                                        "create workload=periodic:period=1ms-2ms:run=1ms",
                                        "create workload=pingpong:run=1ms:run=2ms",
                                        "create workload=pingpong:run=1",
                                        "create name=vm1",
                                        "create vcpus=9"})
        EXPECT_EQ(reply_to(line).substr(0, 15), "error: create: ") << line;
    EXPECT_EQ(reply_to("create name=vm1"), "error: create: name=vm1: there is a VM of that name; give another");
    EXPECT_EQ(reply_to("create cap=101"), "error: create: cap=101: 1 vCPUs can have a cap of at most 100");
    EXPECT_EQ(reply_to("create vcpus=9"), "error: create: no memory left");
}

TEST_F(ConsoleLifeTest, AVmIsDestroyedByNameOrNumber)
{
    EXPECT_TRUE(type("destroy vm1").empty());
    EXPECT_TRUE(type("destroy 1").empty());
    EXPECT_EQ(machine.destroyed, (std::vector{DomainId{1}, DomainId{1}}));
    EXPECT_EQ(reply_to("destroy vm9"), "error: 'vm9': no such VM; list shows those that there are");
    EXPECT_EQ(reply_to("destroy"), "error: destroy: takes a VM's name or number");
}

} // namespace
} // namespace hv::console
