// The columns of list, vcpu-list and info, as upstream prints them.
#include "tests/unit/console/console_fixture.hpp"

namespace hv::console {
namespace {

using test::ConsoleTest;
using test::cpu;
using test::cpus;
using test::ms;

class ConsoleViewTest : public ConsoleTest {
protected:
    sched::Domain& first{sim.domain({.weight = 512, .cap = 150})};
    sched::Domain& second{sim.domain()};
    sched::guest::Guest& hog{sim.hog(first, 1)};
    sched::Vcpu& asleep{sim.vcpu(first, 2)};
    sched::Vcpu& down{sim.vcpu(second, 5)};

    ConsoleViewTest()
    {
        machine.names = {{1, "vm1"}, {2, "a-name-of-more-than-thirty-two-characters"}};
        sim.start(hog);
        sim.start_asleep(asleep);
        sim.on(0, [&](CpuId self, Instant now) {
            EXPECT_TRUE(sim.core().set_hard_affinity(self, down, cpus({4, 5, 6, 7}), now));
            EXPECT_TRUE(sim.core().set_node_affinity(second, NodeMask::of(NodeId{1}), now));
        });
        sim.run_to(ms(12'340));
    }
};

TEST_F(ConsoleViewTest, ListHasUpstreamsColumns)
{
    std::vector<std::string> const lines{type("list -n")};
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0], "Name                                        ID   Mem VCPUs\tState\tTime(s) NODE Affinity");
    EXPECT_EQ(lines[1], "vm1                                          1     5     2     r-----      12.3 all");
    EXPECT_EQ(lines[2], "a-name-of-more-than-thirty-two-characters     2     5     0     ------       0.0 1");
}

TEST_F(ConsoleViewTest, AVmThatHasEndedSaysHow)
{
    machine.conditions = {{1, VmCondition::shut_down}, {2, VmCondition::crashed}};
    EXPECT_EQ(type("list vm1").back().substr(58, 13), "     r--s--  ");
    EXPECT_EQ(type("list 2").back().substr(59, 13), "     ---sc-  ");
}

TEST_F(ConsoleViewTest, ListOfOneAddsWeightCapAndPagesOnRequest)
{
    EXPECT_EQ(type("list -v vm1").back(),
              "vm1                                          1     5     2     r-----      12.3    512  150 256,1024");
    EXPECT_EQ(type("list 2").back(),
              "a-name-of-more-than-thirty-two-characters     2     5     0     ------       0.0");
}

TEST_F(ConsoleViewTest, VcpuListHasUpstreamsColumns)
{
    std::vector<std::string> const lines{type("vcpu-list")};
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[0], "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)");
    EXPECT_EQ(lines[1], "vm1                                  1     0    1   r--      12.3  all / all");
    EXPECT_EQ(lines[2], "vm1                                  1     1    2   -b-       0.0  all / all");
    // Too long a name pushes the row.
    EXPECT_EQ(lines[3], "a-name-of-more-than-thirty-two-characters     2     0    -   --p       0.0  4-7 / 4-7");
}

TEST_F(ConsoleViewTest, InfoNamesTheMachine)
{
    std::vector<std::string> const lines{type("info -n")};
    std::vector<std::string> const wanted{
        "host                   : numavisor",
        "release                : 0.1",
        "version                : 0.1",
        "machine                : x86_64",
        "nr_cpus                : 8",
        "max_cpu_id             : 7",
        "nr_nodes               : 2",
        "cores_per_socket       : 4",
        "threads_per_core       : 1",
        "cpu_mhz                : 2000",
        "hw_caps                : 178bfbff:00000000:00000000:00000000:00000000:00000000:00000000:00000000",
        "virt_caps              : svm",
        "total_memory           : 12288",
        "free_memory            : 9760",
        "sharing_freed_memory   : 0",
        "sharing_used_memory    : 0",
        "outstanding_claims     : 20",
        "free_cpus              : 0",
        "cpu_topology           :",
        "cpu:    core    socket     node",
        "  0:       0        0        0",
        "  1:       1        0        0",
        "  2:       2        0        0",
        "  3:       3        0        0",
        "  4:       0        1        1",
        "  5:       1        1        1",
        "  6:       2        1        1",
        "  7:       3        1        1",
        "numa_info              :",
        "node:    memsize    memfree    distances",
        "   0:      8192       4890      10,20",
        "   1:      8192       4890      20,10",
        "xen_scheduler          : credit",
        "xen_pagesize           : 4096",
        "xen_commandline        : console \"x\""};
    EXPECT_EQ(lines, wanted);
}

TEST_F(ConsoleViewTest, TheSameCommandsAnswerAsJsonObjects)
{
    std::vector<std::string> const lines{request("vcpu-list 2")};
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0],
              "{\"name\":\"a-name-of-more-than-thirty-two-characters\",\"id\":2,\"vcpu\":0,\"cpu\":5,\"online\":false,"
              "\"running\":false,\"blocked\":false,\"running_ns\":0,\"runnable_ns\":0,\"blocked_ns\":0,"
              "\"offline_ns\":12340000000,\"hard\":\"4-7\",\"soft\":\"4-7\"}");
    EXPECT_EQ(lines[1], "{\"end\":true,\"ok\":true}");
    EXPECT_EQ(
        request("list vm1").front(),
        "{\"name\":\"vm1\",\"id\":1,\"memory_mib\":5,\"vcpus\":2,\"running\":true,\"blocked\":false,\"paused\":false,"
        "\"shut_down\":false,\"crashed\":false,\"dying\":false,"
        "\"time_ns\":12340000000,\"node_affinity\":\"all\",\"node_affinity_auto\":true,\"weight\":512,\"cap\":150,"
        "\"node_pages\":[256,1024]}");
    EXPECT_EQ(request("info").front().substr(0, 62),
              "{\"host\":\"numavisor\",\"release\":\"0.1\",\"version\":\"0.1\",\"machine\":");
    EXPECT_EQ(request("info -n")[1], "{\"cpu\":0,\"core\":0,\"socket\":0,\"node\":0}");
    EXPECT_EQ(request("dmesg").front(), "{\"text\":\"[    0.000000] a line\\tof the \\\"log\\\"\"}");
}

TEST_F(ConsoleViewTest, WhatIsWrongIsOneLineAndInJsonTheEndSaysSo)
{
    EXPECT_EQ(reply_to("list vm7"), "error: 'vm7': no such VM; list shows those that there are");
    EXPECT_EQ(reply_to("debug-keys ?"), "error: debug-keys: '?': no such key; debug-keys h lists those that there are");
    std::vector<std::string> const lines{request("foo \"x\"")};
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0], "{\"error\":\"'foo': no such command; help lists those that there are\"}");
    EXPECT_EQ(lines[1], "{\"end\":true,\"ok\":false}");
    EXPECT_EQ(request("").front(), "{\"end\":true,\"ok\":true}"); // the failure before is forgotten
}

TEST_F(ConsoleViewTest, HelpListsEveryCommandOrExplainsOne)
{
    EXPECT_EQ(type("help").size(), commands().size());
    EXPECT_EQ(type("help list").front(), "list [-n] [-v] [DOM]");
    EXPECT_GT(type("help list").size(), 2u);
}

TEST_F(ConsoleViewTest, QuitIsPassedOn)
{
    EXPECT_TRUE(type("quit").empty());
    EXPECT_TRUE(machine.has_quit);
}

TEST_F(ConsoleViewTest, NamesOfCommandsOptionsAndVmsComplete)
{
    CommandCompleter const completer{machine};
    EXPECT_EQ(completer.candidate("", 0), "help");
    EXPECT_EQ(completer.candidate("xl ", 0), "help");
    EXPECT_EQ(completer.candidate("list ", 0), "-n");
    EXPECT_EQ(completer.candidate("list ", 4), "vm1");
    EXPECT_EQ(completer.candidate("vcpu-list ", 0), "vm1");
    EXPECT_EQ(completer.candidate("vcpu-list ", 2), std::nullopt);
    EXPECT_EQ(completer.candidate("info ", 2), std::nullopt);
    EXPECT_EQ(completer.candidate("foo ", 0), std::nullopt);
}

TEST(Reply, ARowThatIsTooLongSaysSo)
{
    test::LinesPort port;
    Reply text{Form::text, port}, json{Form::json, port};
    std::string const wide(5000, 'x');
    text.heading("{}", wide);
    json.value("a", wide);
    json.end_row();
    ASSERT_EQ(port.lines.size(), 2u);
    EXPECT_EQ(port.lines[0].size(), Reply::longest_row);
    EXPECT_TRUE(port.lines[0].ends_with("x [cut]"));
    EXPECT_EQ(port.lines[1], "{\"error\":\"the row is longer than 4096 bytes\"}");
}

} // namespace
} // namespace hv::console
