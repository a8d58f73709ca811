// The worked examples E1 to E12 of Xen 4.3's placement, by hand, and the three rules before it.
#include "sched/placement/placement.hpp"

#include "tests/unit/sched/placement_host.hpp"

namespace hv::sched::placement {
namespace {

using test::Host;
using test::nodes;
using test::text;

std::string place(Host const& host, std::uint32_t vcpus, std::uint64_t mib)
{
    return text(host.place(Rule::xen_4_3, vcpus, mib));
}

std::vector<std::uint32_t> counts(Host const& host)
{
    std::vector<std::uint32_t> result;
    for (NodeState const& node : host.state)
        result.push_back(node.vcpus);
    return result;
}

TEST(Placement43, NeedsTheVmsMemoryAndOneMibMoreInWholeBlocks)
{
    EXPECT_EQ(need_of_vm_kib(960), 962u * 1024);
    EXPECT_EQ(need_of_vm_kib(1200), 1202u * 1024);
    EXPECT_EQ(need_of_vm_kib(961), 962u * 1024);
    EXPECT_EQ(need_of_vm_kib(0), 2u * 1024);
}

TEST(Placement43, E1MostFreeMemoryDecidesWhereVcpusAreEqual)
{
    Host host{{{8, 5000}, {8, 4600}}};
    host.add_everywhere(16);
    EXPECT_EQ(counts(host), (std::vector<std::uint32_t>{16, 16}));
    EXPECT_EQ(place(host, 2, 960), "0");
    std::swap(host.state[0].free_kib, host.state[1].free_kib);
    EXPECT_EQ(place(host, 2, 960), "1");
}

TEST(Placement43, E2FewerVcpusCountMoreThanMuchMoreMemory)
{
    Host host{{{8, 9000}, {8, 1200}}};
    host.add_everywhere(16);
    host.add(2, nodes({0}));
    EXPECT_EQ(counts(host), (std::vector<std::uint32_t>{18, 16}));
    EXPECT_EQ(place(host, 2, 960), "1");
}

TEST(Placement43, E3TakesTwoNodesWhenNeitherHasTheMemory)
{
    EXPECT_EQ(place(Host{{{8, 700}, {8, 800}}}, 2, 1200), "0,1");
}

TEST(Placement43, E4TakesThePairWithFewestVcpusThoughOneNodeHadTheMemory)
{
    Host host{{{4, 3000}, {4, 3000}, {4, 1500}, {4, 6000}}};
    host.add_everywhere(4);
    host.add(4, nodes({3}));
    host.add(2, nodes({0}));
    EXPECT_EQ(counts(host), (std::vector<std::uint32_t>{6, 4, 4, 8}));
    EXPECT_EQ(place(host, 6, 4000), "1,2");
}

TEST(Placement43, E5SeesOnlyThePoolAndTheVmsInIt)
{
    Host host{{{4, 0}, {4, 0}, {4, 7000}, {4, 9000}}};
    CpuMask const all{host.pool};
    host.restrict_to(test::pcpus(8, 15));
    host.add(16, NodeMask::all(), all, test::pcpus(0, 7)); // dom0, in the other pool
    host.add(2, nodes({2}));
    EXPECT_EQ(counts(host), (std::vector<std::uint32_t>{0, 0, 2, 0}));
    EXPECT_EQ(place(host, 2, 2048), "3");
    host.state[3].free_kib = 7000 * 1024; // Not the memory decided.
    EXPECT_EQ(place(host, 2, 2048), "3");
}

TEST(Placement43, E6DoesNotPlaceMoreVcpusThanThereArePcpus)
{
    Host const host{{{8, 5000}, {8, 5000}}};
    EXPECT_EQ(place(host, 20, 960), "it has 20 vCPUs, the nodes that it may use have 16 pCPUs; give it fewer vCPUs");
    EXPECT_EQ(place(host, 16, 960), "0,1");
}

TEST(Placement43, E7PassesOverANodeWithTooFewPcpus) { EXPECT_EQ(place(Host{{{2, 5000}, {6, 4000}}}, 4, 960), "1"); }

TEST(Placement43, E8GivesATieToTheLowestId) { EXPECT_EQ(place(Host{{{8, 5000}, {8, 5000}}}, 2, 960), "0"); }

TEST(Placement43, E9SpreadsOverAsManyNodesAsTheMemoryNeeds)
{
    Host host{std::vector<test::NodeSpec>(8, {2, 1000})};
    EXPECT_EQ(place(host, 6, 2900), "0,1,2");
    host.add(2, nodes({0}));
    host.add(2, nodes({1}));
    EXPECT_EQ(place(host, 6, 2900), "2,3,4");
}

TEST(Placement43, E10DoesNotCountMemoryOfANodeWithoutPcpus)
{
    EXPECT_EQ(place(Host{{{4, 500}, {0, 4000}}}, 2, 1024),
              "it needs 1026 MiB, the nodes that it may use have 500 MiB free; give it less memory, or them more");
}

TEST(Placement43, E11AlternatesTenVmsAndHasNoPlaceForTheEleventh)
{
    Host host{{{8, 5000}, {8, 4900}}};
    host.add_everywhere(16);
    std::string chosen;
    for (int vm = 0; vm < 10; ++vm) {
        auto const home = host.place(Rule::xen_4_3, 2, 960);
        chosen += text(home);
        ASSERT_TRUE(home.ok());
        ASSERT_EQ(home->count(), 1u);
        host.state[home->first()->value()].free_kib -= 961 * 1024;
        host.add(2, *home);
    }
    EXPECT_EQ(chosen, "0101010101");
    EXPECT_EQ(host.state[0].free_kib / 1024, 195u);
    EXPECT_EQ(host.state[1].free_kib / 1024, 95u);
    EXPECT_EQ(place(host, 2, 960),
              "it needs 962 MiB, the nodes that it may use have 290 MiB free; give it less memory, or them more");
}

// 4.2 counted a vCPU once for a set of nodes, 4.3 counts it once for each node of the set.
TEST(Placement43, E12CountsAVcpuThatFloatsOnEachNode)
{
    Host host{{{8, 5000}, {8, 5000}, {16, 10000}}};
    NodeMask const both{nodes({0, 1})};
    host.add(16, both);
    EXPECT_EQ(host.state[0].vcpus + host.state[1].vcpus, 32u);
    host.add(20, nodes({2}));
    // 16 vCPUs on {0,1}: 32 by the count of 4.3, more than node 2's 20; 16 by that of 4.2, fewer.
    Request const request{.vcpus = 16, .need_kib = need_of_vm_kib(9000)};
    EXPECT_EQ(text(host.place(Rule::xen_4_3, request)), "2");
    Host four{{{8, 5000}, {8, 5000}, {8, 5000}, {8, 5000}}};
    four.add(16, both);
    four.add(17, nodes({2}));
    four.add(5, nodes({3}));
    // {0,1} would be best of all pairs if its 16 vCPUs counted once; at 32 the best is {0,3}, with 21.
    EXPECT_EQ(text(four.place(Rule::xen_4_3, request)), "0,3");
}

TEST(PlacementOfApril2012, TakesTheFirstTheFullestOrTheEmptiestNodeThatFits)
{
    Host host{{{4, 500}, {4, 3000}, {4, 2000}, {4, 5000}}};
    host.add(9, nodes({1, 2, 3})); // None of the three looks at vCPUs.
    EXPECT_EQ(text(host.place(Rule::greedy, 2, 960)), "1");
    EXPECT_EQ(text(host.place(Rule::packed, 2, 960)), "2");
    EXPECT_EQ(text(host.place(Rule::spread, 2, 960)), "3");
    EXPECT_EQ(text(host.place(Rule::greedy, 6, 960)), "0,1");
    EXPECT_EQ(text(host.place(Rule::packed, 6, 960)), "0,2");
    EXPECT_EQ(text(host.place(Rule::spread, 6, 960)), "1,3");
}

TEST(PlacementOfApril2012, GivesTiesToTheLowestIds)
{
    Host const host{{{4, 3000}, {4, 3000}, {4, 3000}}};
    for (Rule const rule : {Rule::greedy, Rule::packed, Rule::spread, Rule::xen_4_3, Rule::numavisor}) {
        EXPECT_EQ(text(host.place(rule, 2, 960)), "0") << name_of(rule);
        EXPECT_EQ(text(host.place(rule, 6, 960)), "0,1") << name_of(rule);
    }
}

} // namespace
} // namespace hv::sched::placement
