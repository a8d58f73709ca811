// Cases P13 to P30 of placement: what is refused and why, what counts and what does not, extremes, SMT.
#include "sched/placement/placement.hpp"

#include "tests/unit/sched/placement_host.hpp"

namespace hv::sched::placement {
namespace {

using test::Host;
using test::nodes;
using test::NodeSpec;
using test::text;

constexpr std::array all_rules{Rule::xen_4_3, Rule::numavisor, Rule::greedy, Rule::packed, Rule::spread};
constexpr std::uint64_t mib = 1024;
constexpr std::uint64_t tib = mib * 1024 * 1024;

TEST(Placement, P13SaysNothingAboutAMachineWithOneNode)
{
    for (Rule const rule : all_rules) {
        auto const result = Host{{{8, 5000}}}.place(rule, 2, 960);
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().reason, Reason::one_node);
        EXPECT_EQ(warning_of(result.error().reason), Warning::none);
    }
}

TEST(Placement, P14TriesEverySetOnSixteenNodesAndGivesUpWithAWarningOnSeventeen)
{
    Host const sixteen{std::vector<NodeSpec>(16, {1, 1000})}, seventeen{std::vector<NodeSpec>(17, {1, 1000})};
    EXPECT_EQ(text(sixteen.place(Rule::xen_4_3, 2, 960)), "0,1");
    auto const result = seventeen.place(Rule::xen_4_3, 2, 960);
    EXPECT_EQ(text(result), "the machine has 17 nodes, this rule tries at most 16; name nodes, or use placement "
                            "numavisor");
    EXPECT_EQ(warning_of(result.error().reason), Warning::say_why);
    EXPECT_EQ(text(seventeen.place(Rule::numavisor, 2, 960)), "0,1");
}

TEST(Placement, P15PlacesInAPoolOfOnePcpu)
{
    Host host{{{8, 5000}, {8, 5000}}};
    host.restrict_to(test::pcpus(9, 9));
    for (Rule const rule : all_rules)
        EXPECT_EQ(text(host.place(rule, 1, 960)), "1");
    EXPECT_EQ(host.place(Rule::xen_4_3, 2, 960).error().reason, Reason::too_few_pcpus);
}

TEST(Placement, P16CountsPcpusOfThePoolButMemoryOfWholeNodes)
{
    Host host{{{8, 5000}, {8, 4000}}};
    host.restrict_to(test::pcpus(6, 11)); // 2 pCPUs of node 0, 4 of node 1
    for (Rule const rule : all_rules) {
        EXPECT_EQ(text(host.place(rule, 4, 3990)), "1") << name_of(rule);
        EXPECT_EQ(text(host.place(rule, 2, 4500)), "0") << name_of(rule);
        EXPECT_EQ(text(host.place(rule, 6, 8990)), "0,1") << name_of(rule);
    }
}

TEST(Placement, P17MakesRoomForAllVcpusThatAVmMayEverHave)
{
    Host const host{{{4, 5000}, {4, 5000}}};
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 4, 960)), "0");
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 5, 960)), "0,1");
}

TEST(Placement, P18AcceptsExactlyEnoughMemoryAndNotOneKibLess)
{
    for (Rule const rule : all_rules) {
        Host host{{{8, 962}, {8, 962}}};
        EXPECT_EQ(text(host.place(rule, 2, 960)), "0");
        --host.state[0].free_kib;
        EXPECT_EQ(text(host.place(rule, 2, 960)), "1");
        --host.state[1].free_kib;
        EXPECT_EQ(text(host.place(rule, 2, 960)), "0,1");
        host.state[0].free_kib = 962 * mib / 2;
        host.state[1].free_kib = 962 * mib / 2;
        EXPECT_EQ(text(host.place(rule, 2, 960)), "0,1");
        --host.state[1].free_kib;
        EXPECT_EQ(host.place(rule, 2, 960).error().reason, Reason::too_little_memory);
    }
}

// A need equal modulo 4 TiB or a difference above 2 TiB would be misjudged in 32 bits.
TEST(Placement, P19AddsAndComparesMemoryBeyond32Bits)
{
    Host host{{{8, 0}, {8, 0}}};
    host.state[0].free_kib = 3 * tib;
    host.state[1].free_kib = 3 * tib;
    EXPECT_EQ(text(host.place(Rule::xen_4_3, {.vcpus = 2, .need_kib = 5 * tib})), "0,1"); // 6 TiB, not 2
    EXPECT_FALSE(host.place(Rule::xen_4_3, {.vcpus = 2, .need_kib = 7 * tib}).ok());
    for (std::uint64_t const difference : {std::uint64_t{1}, 2 * tib - 1, 2 * tib, 2 * tib + 1, 4 * tib, 4 * tib + 1}) {
        host.state[1].free_kib = 3 * tib + difference;
        for (Rule const rule : {Rule::xen_4_3, Rule::spread, Rule::numavisor})
            EXPECT_EQ(text(host.place(rule, {.vcpus = 2, .need_kib = tib})), "1") << difference;
        EXPECT_EQ(text(host.place(Rule::packed, {.vcpus = 2, .need_kib = tib})), "0") << difference;
    }
}

// Xen takes [0,4,4] pCPUs for uniform and [4,4,0] not. Either way a set must have a pCPU for each vCPU.
TEST(Placement, P20GivesTheSameNodesWhereverTheOneWithoutPcpusStands)
{
    Host const leading{{{0, 9000}, {4, 3000}, {4, 3000}}}, trailing{{{4, 3000}, {4, 3000}, {0, 9000}}};
    EXPECT_EQ(text(leading.place(Rule::xen_4_3, 4, 960)), "1");
    EXPECT_EQ(text(leading.place(Rule::xen_4_3, 6, 960)), "1,2");
    EXPECT_EQ(text(trailing.place(Rule::xen_4_3, 4, 960)), "0");
    EXPECT_EQ(text(trailing.place(Rule::xen_4_3, 6, 960)), "0,1");
    EXPECT_FALSE(leading.place(Rule::xen_4_3, 9, 960).ok());
}

TEST(Placement, P21ChoosesAmongTheNodesThatHardAffinityLeaves)
{
    Host const host{{{8, 9000}, {8, 2000}}};
    Request request{.vcpus = 2, .need_kib = need_of_vm_kib(960), .allowed = nodes({1})};
    for (Rule const rule : all_rules)
        EXPECT_EQ(text(host.place(rule, request)), "1") << name_of(rule);
    request.need_kib = need_of_vm_kib(2000);
    EXPECT_EQ(text(host.place(Rule::xen_4_3, request)),
              "it needs 2002 MiB, the nodes that it may use have 2000 MiB free; give it less memory, or them more");
    request.allowed = nodes({});
    EXPECT_EQ(host.place(Rule::xen_4_3, request).error().reason, Reason::no_pcpus);
}

TEST(Placement, P22CountsAPinnedVmWhereItIsPinned)
{
    Host host{{{8, 9000}, {8, 2000}}};
    host.add(4, NodeMask::all(), test::pcpus(0, 7), host.pool);
    EXPECT_EQ(host.state[0].vcpus, 4u);
    EXPECT_EQ(host.state[1].vcpus, 0u);
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 2, 960)), "1");
}

TEST(Placement, P23CountsAVmNowhereThatIsPinnedAwayFromItsNodes)
{
    Host host{{{8, 9000}, {8, 2000}}};
    host.add(4, nodes({0}), test::pcpus(8, 15), host.pool);
    EXPECT_EQ(host.state[0].vcpus + host.state[1].vcpus, 0u);
    EXPECT_EQ(text(host.place(Rule::xen_4_3, 2, 960)), "0");
}

// P24: a VM that is destroyed between counting and choice still counts, since a snapshot is one instant.
TEST(Placement, P24AndP28DependsOnTheSnapshotAloneAndRepeats)
{
    Host host{{{8, 5000}, {8, 4600}, {8, 4000}}};
    host.add(2, nodes({0}));
    for (Rule const rule : all_rules) {
        std::string const first{text(host.place(rule, 2, 960))};
        static_cast<void>(host.place(rule, 20, 9000)); // Leaves nothing behind in the workspace that matters.
        EXPECT_EQ(text(host.place(rule, 2, 960)), first);
        Host other{host};
        other.workspace = std::make_shared<Workspace>();
        EXPECT_EQ(text(other.place(rule, 2, 960)), first);
    }
}

// Memory that is there in pieces is there: where it cannot come in blocks, it comes in pages.
TEST(Placement, P25TakesNoNoticeOfFragments)
{
    EXPECT_EQ(text(Host{{{8, 100}, {8, 963}}}.place(Rule::xen_4_3, 2, 960)), "1");
}

TEST(Placement, P30CountsCoresOrThreadsAsAsked)
{
    Host const host{{{8, 5000, 2}, {8, 5000, 2}}};
    Request request{.vcpus = 8, .need_kib = need_of_vm_kib(960)};
    EXPECT_EQ(text(host.place(Rule::numavisor, request)), "0");
    request.smt = Smt::cores;
    EXPECT_EQ(text(host.place(Rule::numavisor, request)), "0,1");
    EXPECT_EQ(text(host.place(Rule::xen_4_3, request)), "0"); // Knows nothing of threads.
    request.vcpus = 4;
    EXPECT_EQ(text(host.place(Rule::numavisor, request)), "0");
    request.vcpus = 9; // More than there are cores: threads are all that is left.
    EXPECT_EQ(text(host.place(Rule::numavisor, request)), "0,1");
    request.vcpus = 17;
    EXPECT_EQ(host.place(Rule::numavisor, request).error().reason, Reason::too_few_pcpus);
}

TEST(Placement, RulesHaveNamesThatLeadBackToThem)
{
    for (unsigned rule = 0; rule <= last_rule; ++rule)
        EXPECT_EQ(rule_named(name_of(static_cast<Rule>(rule))), static_cast<Rule>(rule));
    EXPECT_EQ(rule_named("best"), std::nullopt);
    EXPECT_EQ(rule_named(""), std::nullopt);
}

} // namespace
} // namespace hv::sched::placement
