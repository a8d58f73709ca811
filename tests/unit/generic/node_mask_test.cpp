#include "arch/generic/mask.hpp"

#include "tests/support/literals.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace hv {
namespace {

using test::node;

std::vector<unsigned> members_of(NodeMask mask)
{
    std::vector<unsigned> members;
    for (NodeId const member : mask)
        members.push_back(member.value());
    return members;
}

static_assert(NodeMask::first_n(64) == NodeMask::all() && NodeMask::first_n(0).empty());
static_assert((NodeMask::first_n(3) - NodeMask::of(node(1))).bits() == 0b101);

TEST(NodeMask, HoldsTheLastNode)
{
    NodeMask mask;
    mask.set(node(63));
    mask.set(node(0));
    EXPECT_EQ(members_of(mask), (std::vector{0u, 63u}));
    EXPECT_EQ(mask.next(node(0)), node(63));
    EXPECT_EQ(mask.next(node(63)), std::nullopt);
    mask.clear(node(63));
    EXPECT_FALSE(mask.test(node(63)));
    EXPECT_EQ(mask.count(), 1u);
}

TEST(NodeMask, CycleWrapsAndReturnsItselfWhenAlone)
{
    NodeMask const mask{NodeMask::from_bits(0b10010)};
    EXPECT_EQ(mask.cycle(node(1)), node(4));
    EXPECT_EQ(mask.cycle(node(4)), node(1));
    EXPECT_EQ(mask.cycle(node(63)), node(1));
    EXPECT_EQ(NodeMask::of(node(4)).cycle(node(4)), node(4));
}

TEST(NodeMaskDeathTest, CycleOfAnEmptySetIsCaught)
{
    EXPECT_DEATH(static_cast<void>(NodeMask{}.cycle(node(0))), "empty");
}

TEST(NodeMaskDeathTest, ANodeBeyondTheCapacityIsCaught)
{
    NodeMask mask;
    EXPECT_DEATH(mask.set(node(64)), "capacity");
    EXPECT_DEATH(static_cast<void>(NodeMask::first_n(65)), "capacity");
}

TEST(NodeMask, AgreesWithAModelSet)
{
    std::mt19937_64 random{11};
    for (int round = 0; round < 500; ++round) {
        // Sparse and dense ones in turn.
        NodeMask const a{NodeMask::from_bits(round % 2 == 0 ? random() : random() & random() & random())};
        NodeMask const b{NodeMask::from_bits(random())};
        std::set<unsigned> model;
        for (unsigned n = 0; n < NodeMask::capacity; ++n)
            if (a.test(node(n)))
                model.insert(n);
        ASSERT_EQ(members_of(a), std::vector(model.begin(), model.end()));
        EXPECT_EQ(a.count(), model.size());
        EXPECT_EQ((a & b).bits(), a.bits() & b.bits());
        EXPECT_EQ((a | b).bits(), a.bits() | b.bits());
        EXPECT_EQ((a - b).bits(), a.bits() & ~b.bits());
        EXPECT_EQ(a.intersects(b), !(a & b).empty());
        EXPECT_EQ(a.is_subset_of(b), (a - b).empty());
        auto const from = static_cast<unsigned>(random() % NodeMask::capacity);
        auto const above = model.upper_bound(from);
        EXPECT_EQ(a.next(node(from)), above == model.end() ? std::nullopt : std::optional{node(*above)});
    }
}

} // namespace
} // namespace hv
