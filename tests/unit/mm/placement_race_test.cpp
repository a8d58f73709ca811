// P26: nodes are chosen by the memory that is free at one instant, and somebody else takes it before the VM gets it.
#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"
#include "tests/unit/sched/placement_host.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hv::mm {
namespace {

using sched::placement::Rule;
using test::MiB;
using test::TestMachine;

constexpr std::uint64_t vm_mib = 40;
constexpr std::uint64_t vm_pages = vm_mib * MiB / page_size;
constexpr std::uint64_t blocks_to_spare = 8;
constexpr std::uint64_t pages_left = blocks_to_spare * order_2m.pages();

// Nodes 0 and 1, far from each other, and a node without pCPUs, 2, that is near to both and that no rule chooses. The
// VM is placed, then a thief fills its home but for a few blocks of 2 MiB.
class PlacementRace : public ::testing::TestWithParam<Rule> {
protected:
    void SetUp() override
    {
        ASSERT_TRUE(pages_.attach(vm_).ok());
        ASSERT_TRUE(pages_.attach(thief_).ok());
        home_ = choose_home();
    }

    [[nodiscard]] NodeId choose_home() const
    {
        std::vector<sched::placement::test::NodeSpec> nodes;
        for (unsigned n = 0; n < pages_.nodes(); ++n)
            nodes.push_back({.pcpus = n < 2 ? 4u : 0u, .free_mib = pages_.stats(test::node(n)).free * page_size / MiB});
        auto const chosen = sched::placement::test::Host{nodes}.place(GetParam(), 2, vm_mib);
        EXPECT_TRUE(chosen.ok() && chosen->count() == 1);
        return *chosen->first();
    }

    void steal_home()
    {
        std::vector<PhysAddr> stolen;
        for (;;) {
            auto const taken =
                pages_.allocate({.order = order_2m, .policy = Policy::strict_node, .node = home_, .owner = &thief_});
            if (!taken)
                break;
            stolen.push_back(*taken);
        }
        ASSERT_GT(stolen.size() * order_2m.pages(), vm_pages) << "the VM did not fit before either";
        for (std::size_t i = 0; i < blocks_to_spare; ++i)
            pages_.free(stolen[i], order_2m);
    }

    // How many of its pages the VM got, in blocks of `order`.
    std::uint64_t populate(Policy policy, Order order)
    {
        Request const request{
            .order = order, .policy = policy, .node = home_, .set = NodeMask::of(home_), .owner = &vm_};
        std::uint64_t got{0};
        while (got < vm_pages && pages_.allocate(request).ok())
            got += order.pages();
        return got;
    }

    TestMachine machine_{TestMachine::even(3, 64 * MiB), 3, {10, 30, 20, 30, 10, 20, 20, 20, 10}};
    PageAllocator& pages_{machine_.pages()};
    DomainAccount vm_{test::domain(1)}, thief_{test::domain(2)};
    NodeId home_{};
};

TEST_P(PlacementRace, P26SpillsToTheNearestNodeAndTheAccountSaysHowMuch)
{
    steal_home();
    EXPECT_EQ(populate(Policy::preferred, order_2m), vm_pages);
    EXPECT_EQ(vm_.total(), vm_pages);
    EXPECT_EQ(vm_.pages_on(home_), pages_left);
    EXPECT_EQ(vm_.pages_on(test::node(2)), vm_pages - pages_left);
    EXPECT_TRUE(pages_.is_consistent());
}

TEST_P(PlacementRace, P26RefusesAStrictVmAndTakesNothingElsewhere)
{
    steal_home();
    EXPECT_EQ(populate(Policy::strict_set, order_2m), pages_left);
    EXPECT_EQ(vm_.total(), pages_left);
    EXPECT_EQ(vm_.pages_on(home_), vm_.total());
    EXPECT_TRUE(pages_.is_consistent());
}

// What ends the race: the memory is promised in the same instant in which it was found. In pages: of what the thief
// leaves, a part need not be whole blocks.
TEST_P(PlacementRace, P26DoesNotHappenToAClaim)
{
    Claim const claim{.nodes = NodeMask::of(home_), .pages = vm_pages};
    ASSERT_TRUE(pages_.claim(vm_, {&claim, 1}).ok());
    std::uint64_t stolen{0};
    while (pages_.allocate({.order = order_2m, .policy = Policy::strict_node, .node = home_, .owner = &thief_}).ok())
        ++stolen;
    EXPECT_GT(stolen, 0u);
    EXPECT_EQ(populate(Policy::preferred, order_4k), vm_pages);
    EXPECT_EQ(vm_.pages_on(home_), vm_.total());
    EXPECT_TRUE(pages_.is_consistent());
}

INSTANTIATE_TEST_SUITE_P(EveryRule, PlacementRace,
                         ::testing::Values(Rule::xen_4_3, Rule::numavisor, Rule::greedy, Rule::packed, Rule::spread),
                         [](auto const& rule) {
                             std::string name{"rule_"};
                             for (char const c : sched::placement::name_of(rule.param))
                                 name += c == '.' ? '_' : c;
                             return name;
                         });

} // namespace
} // namespace hv::mm
