#include "mm/distance_order.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

namespace hv::mm {
namespace {

using test::node;
using test::set_of;

std::vector<unsigned> order_from(DistanceOrder const& order, unsigned from)
{
    std::vector<unsigned> ids;
    for (unsigned n = 0; n < order.nodes(); ++n)
        ids.push_back(order.nth(node(from), n).value());
    return ids;
}

DistanceOrder of(unsigned nodes, std::vector<Distance> const& distances)
{
    DistanceOrder order;
    order.compute(nodes, distances);
    return order;
}

TEST(DistanceOrder, GoesRoundARingByDistanceThenById)
{
    DistanceOrder const order{of(4, {10, 20, 30, 20, 20, 10, 20, 30, 30, 20, 10, 20, 20, 30, 20, 10})};
    EXPECT_EQ(order_from(order, 0), (std::vector{0u, 1u, 3u, 2u}));
    EXPECT_EQ(order_from(order, 1), (std::vector{1u, 0u, 2u, 3u}));
    EXPECT_EQ(order_from(order, 2), (std::vector{2u, 1u, 3u, 0u}));
    EXPECT_EQ(order.nearest(node(0), set_of({0, 1, 2, 3})), set_of({0}));
    EXPECT_EQ(order.nearest(node(0), set_of({1, 2, 3})), set_of({1, 3}));
    EXPECT_EQ(order.nearest(node(0), set_of({2})), set_of({2}));
    EXPECT_EQ(order.nearest(node(0), NodeMask{}), NodeMask{});
}

TEST(DistanceOrder, ReadsTheRowOfTheNodeThatAsksWhenDistancesAreAsymmetric)
{
    DistanceOrder const order{of(3, {10, 21, 31, 50, 10, 40, 15, 60, 10})};
    EXPECT_EQ(order_from(order, 0), (std::vector{0u, 1u, 2u}));
    EXPECT_EQ(order_from(order, 1), (std::vector{1u, 2u, 0u}));
    EXPECT_EQ(order_from(order, 2), (std::vector{2u, 0u, 1u}));
}

TEST(DistanceOrder, PutsTheNodeItselfFirstAndUnreachableNodesLastWhateverTheTableSays)
{
    DistanceOrder const order{of(4, {30, 255, 10, 254, 10, 10, 10, 10, 10, 10, 10, 10, 255, 255, 255, 255})};
    EXPECT_EQ(order_from(order, 0), (std::vector{0u, 2u, 3u, 1u}));
    EXPECT_EQ(order_from(order, 1), (std::vector{1u, 0u, 2u, 3u}));
    EXPECT_EQ(order_from(order, 3), (std::vector{3u, 0u, 1u, 2u}));
    EXPECT_EQ(order.nearest(node(1), set_of({0, 1, 2, 3})), set_of({1}));
}

TEST(DistanceOrder, WithoutATableAllOtherNodesAreEquallyFar)
{
    DistanceOrder const order{of(64, {})};
    for (unsigned from = 0; from < 64; ++from) {
        std::vector<unsigned> const ids{order_from(order, from)};
        EXPECT_EQ(ids[0], from);
        EXPECT_TRUE(std::is_sorted(ids.begin() + 1, ids.end()));
        EXPECT_EQ(order.nearest(node(from), NodeMask::all() - NodeMask::of(node(from))).count(), 63u);
    }
}

} // namespace
} // namespace hv::mm
