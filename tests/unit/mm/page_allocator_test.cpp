#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <array>

namespace hv::mm {
namespace {

using test::block;
using test::domain;
using test::MiB;
using test::node;
using test::set_of;
using test::TestMachine;

// 0-1-2-3-0: neighbours are 20 apart, opposite nodes 30.
std::vector<Distance> const ring{10, 20, 30, 20, 20, 10, 20, 30, 30, 20, 10, 20, 20, 30, 20, 10};

// The node of each allocation until the request fails, and with what it failed.
struct Harvest {
    std::vector<unsigned> nodes;
    AllocError error{};

    // The nodes in the order in which they were first used, and how often the harvest went from one to another.
    [[nodiscard]] std::vector<unsigned> runs() const
    {
        std::vector<unsigned> result;
        for (unsigned const n : nodes)
            if (result.empty() || result.back() != n)
                result.push_back(n);
        return result;
    }
};

Harvest harvest(TestMachine& machine, Request const& request)
{
    Harvest result;
    for (;;) {
        Result<PhysAddr, AllocError> const taken = machine.pages().allocate(request);
        if (!taken) {
            result.error = taken.error();
            EXPECT_TRUE(machine.pages().is_consistent());
            return result;
        }
        result.nodes.push_back(machine.node_of(*taken).value());
    }
}

TEST(PageAllocator, LocalDrainsTheNodeThenGoesByDistance)
{
    std::vector<Distance> const line{10, 20, 30, 40, 20, 10, 20, 30, 30, 20, 10, 20, 40, 30, 20, 10};
    for (Policy const policy : {Policy::local, Policy::preferred}) {
        TestMachine machine{TestMachine::even(4, 16 * MiB), 4, line};
        Harvest const got{harvest(machine, {.order = order_2m, .policy = policy, .node = node(1)})};
        // 0 and 2 are equally far, so they take turns by what they have left; 3 is the last.
        EXPECT_EQ(got.nodes.front(), 1u);
        EXPECT_EQ(got.nodes.back(), 3u);
        EXPECT_EQ(got.error, AllocError::exhausted);
        Harvest const rest{harvest(machine, {.policy = policy, .node = node(0)})};
        EXPECT_EQ(rest.runs(), (std::vector{0u, 1u, 2u, 3u}));
    }
}

TEST(PageAllocator, ARingIsGoneRoundByDistanceOrAsXenDoesByNumber)
{
    TestMachine near{TestMachine::even(4, 16 * MiB), 4, ring};
    auto const seen{harvest(near, {.order = order_2m, .policy = Policy::preferred}).nodes};
    EXPECT_EQ(seen.front(), 0u);
    EXPECT_EQ(seen.back(), 2u) << "opposite";

    TestMachine round{TestMachine::even(4, 16 * MiB), 4, ring};
    EXPECT_EQ(harvest(round, {.policy = Policy::by_number, .node = node(2)}).runs(), (std::vector{2u, 3u, 0u, 1u}));

    TestMachine set{TestMachine::even(4, 16 * MiB), 4, ring};
    Harvest const got{harvest(set, {.policy = Policy::by_number, .node = node(2), .set = set_of({0, 3})})};
    EXPECT_EQ(got.runs(), (std::vector{2u, 3u, 0u, 1u}));
    EXPECT_EQ(got.error, AllocError::exhausted);

    TestMachine outside{TestMachine::even(4, 16 * MiB), 4, ring};
    EXPECT_EQ(harvest(outside, {.policy = Policy::by_number, .node = node(1), .set = set_of({0, 2})}).runs(),
              (std::vector{1u, 2u, 0u, 3u}));
}

TEST(PageAllocator, EquallyFarNodesGoByMostFreeMemoryThenByLowestId)
{
    TestMachine machine{TestMachine::even(4, 16 * MiB), 4, ring};
    PageAllocator& pages = machine.pages();
    // Equal amounts: make them so, for node 0's tables are larger.
    ASSERT_EQ(pages.stats(node(1)).free, pages.stats(node(3)).free);
    harvest(machine, {.policy = Policy::strict_node, .node = node(0)});
    Request const local{.policy = Policy::local, .node = node(0)};
    EXPECT_EQ(machine.node_of(*pages.allocate(local)), node(1)); // A tie: the lower id.
    EXPECT_EQ(machine.node_of(*pages.allocate(local)), node(3)); // Now it has more.
    ASSERT_TRUE(pages.allocate({.order = Order{4}, .policy = Policy::strict_node, .node = node(3)}).ok());
    for (int i = 0; i < 16; ++i)
        EXPECT_EQ(machine.node_of(*pages.allocate(local)), node(1));
    EXPECT_EQ(machine.node_of(*pages.allocate(local)), node(1)); // The tie again.
    EXPECT_EQ(harvest(machine, local).nodes.back(), 2u);         // Opposite on the ring.
}

TEST(PageAllocator, AnUnreachableNodeIsTheLastResort)
{
    std::vector<Distance> const distances{10, 255, 254, 255, 10, 20, 20, 20, 10};
    TestMachine machine{TestMachine::even(3, 4 * MiB), 3, distances};
    EXPECT_EQ(harvest(machine, {.policy = Policy::local, .node = node(0)}).runs(), (std::vector{0u, 2u, 1u}));
}

TEST(PageAllocator, PreferredTakesTheHintThenTheSetThenTheRest)
{
    TestMachine machine{TestMachine::even(4, 4 * MiB), 4, ring};
    Harvest const got{
        harvest(machine, {.policy = Policy::preferred, .node = node(1), .set = set_of({3}), .owner = nullptr})};
    // Xen's rule for a hint outside the affinity: the hint first, then the set; 3 is the farthest from 1.
    EXPECT_EQ(got.nodes.front(), 1u);
    std::vector<unsigned> const runs{got.runs()};
    ASSERT_GE(runs.size(), 4u);
    EXPECT_EQ(runs[1], 3u);
    for (std::size_t i = 2; i < runs.size(); ++i)
        EXPECT_EQ(runs[i] % 2, 0u); // 0 and 2 alternate, equally far from 1.
    EXPECT_EQ(got.error, AllocError::exhausted);
}

TEST(PageAllocator, PreferredGoesThroughItsSetByDistance)
{
    TestMachine machine{TestMachine::even(4, 4 * MiB), 4, ring};
    EXPECT_EQ(harvest(machine, {.policy = Policy::preferred, .node = node(0), .set = set_of({2, 3})}).runs(),
              (std::vector{0u, 3u, 2u, 1u}));
}

TEST(PageAllocator, StrictSetNeverLeavesItsSet)
{
    TestMachine machine{TestMachine::even(4, 4 * MiB), 4, ring};
    NodeStats const untouched[]{machine.pages().stats(node(0)), machine.pages().stats(node(1))};
    Harvest const got{harvest(machine, {.policy = Policy::strict_set, .node = node(0), .set = set_of({2, 3})})};
    EXPECT_EQ(got.runs(), (std::vector{3u, 2u}));
    EXPECT_EQ(got.error, AllocError::exhausted_set);
    EXPECT_EQ(machine.pages().stats(node(0)), untouched[0]);
    EXPECT_EQ(machine.pages().stats(node(1)), untouched[1]);
    EXPECT_EQ(machine.pages().stats(node(2)).free + machine.pages().stats(node(3)).free, 0u);
}

TEST(PageAllocator, InterleaveAlternatesExtentsThenDrainsTheSetThenTheRestById)
{
    TestMachine machine{TestMachine::even(4, 32 * MiB), 4};
    DomainAccount account{domain(1)};
    ASSERT_TRUE(machine.pages().attach(account).ok());
    // Node 0 has fewer extents left than node 2.
    while (machine.pages().stats(node(0)).free > 8 * 512)
        ASSERT_TRUE(machine.pages().allocate({.order = order_2m, .policy = Policy::strict_node, .node = node(0)}).ok());
    Request const request{.order = order_2m, .policy = Policy::interleave, .set = set_of({0, 2}), .owner = &account};
    std::vector<unsigned> const got{harvest(machine, request).nodes};
    auto const on_node_0 = static_cast<std::size_t>(std::count(got.begin(), got.end(), 0u));
    ASSERT_GE(on_node_0, 5u);
    for (std::size_t i = 0; i < 2 * on_node_0; ++i)
        EXPECT_EQ(got[i], i % 2 == 0 ? 0u : 2u) << i;
    Harvest tail;
    tail.nodes = {got.begin() + static_cast<std::ptrdiff_t>(2 * on_node_0), got.end()};
    EXPECT_EQ(tail.runs(), (std::vector{2u, 1u, 3u}));
    EXPECT_EQ(account.pages_on(node(0)), on_node_0 * 512);
    EXPECT_EQ(account.total(), got.size() * 512);
}

TEST(PageAllocator, EveryDomainInterleavesForItself)
{
    TestMachine machine{TestMachine::even(2, 16 * MiB), 2};
    DomainAccount a{domain(1)};
    DomainAccount b{domain(2)};
    ASSERT_TRUE(machine.pages().attach(a).ok());
    ASSERT_TRUE(machine.pages().attach(b).ok());
    for (DomainAccount* const owner : {&a, &b, &a, &b, &b, &b, static_cast<DomainAccount*>(nullptr)})
        ASSERT_TRUE(
            machine.pages().allocate({.policy = Policy::interleave, .set = set_of({0, 1}), .owner = owner}).ok());
    EXPECT_EQ(a.pages_on(node(0)), 1u);
    EXPECT_EQ(a.pages_on(node(1)), 1u);
    EXPECT_EQ(b.pages_on(node(0)), 2u);
    EXPECT_EQ(b.pages_on(node(1)), 2u);
}

TEST(PageAllocator, ANodeWithoutMemoryUsesTheNearestThatHasSome)
{
    // Node 0 and node 2 have none; 2 is nearest to 3.
    TestMachine machine{{block(0, 16 * MiB, 1), block(16 * MiB, 16 * MiB, 3)}, 4, ring};
    PageAllocator& pages = machine.pages();
    EXPECT_EQ(pages.usable(), set_of({1, 3}));
    EXPECT_EQ(pages.too_small(), NodeMask{});
    EXPECT_EQ(pages.stats(node(0)), NodeStats{});
    TestMachine far{{block(0, 16 * MiB, 0), block(16 * MiB, 16 * MiB, 1)}, 3, {10, 20, 40, 20, 10, 30, 40, 30, 10}};
    EXPECT_EQ(far.node_of(*far.pages().allocate({.policy = Policy::local, .node = node(2)})), node(1));
    EXPECT_EQ(far.node_of(*far.pages().allocate({.policy = Policy::preferred, .node = node(2), .set = set_of({2})})),
              node(1));
    EXPECT_EQ(far.pages().allocate({.policy = Policy::strict_node, .node = node(2)}).error(),
              AllocError::exhausted_node);
    EXPECT_EQ(far.pages().allocate({.policy = Policy::strict_set, .node = node(0), .set = set_of({2})}).error(),
              AllocError::exhausted_set);
    EXPECT_EQ(far.node_of(*far.pages().allocate({.policy = Policy::interleave, .set = set_of({2})})), node(1));
    EXPECT_TRUE(far.pages().is_consistent());
}

TEST(PageAllocator, RequestsThatMakeNoSenseAreRefused)
{
    TestMachine machine{TestMachine::even(2, 4 * MiB), 2};
    PageAllocator& pages = machine.pages();
    for (Policy const policy : {Policy::local, Policy::preferred, Policy::strict_node, Policy::strict_set})
        EXPECT_EQ(pages.allocate({.policy = policy, .node = node(2), .set = set_of({0})}).error(),
                  AllocError::bad_request);
    EXPECT_EQ(pages.allocate({.policy = Policy::strict_set}).error(), AllocError::bad_request);
    EXPECT_EQ(pages.allocate({.policy = Policy::interleave}).error(), AllocError::bad_request);
    EXPECT_EQ(pages.allocate({.policy = Policy::interleave, .set = set_of({2, 63})}).error(), AllocError::bad_request);
    EXPECT_EQ(pages.allocate({.order = Order{19}}).error(), AllocError::order_too_large);
    EXPECT_TRUE(pages.is_consistent());
}

TEST(PageAllocator, AFreedPageGoesBackToItsOwnNodeWhoeverFreesIt)
{
    TestMachine machine{TestMachine::even(2, 4 * MiB), 2};
    PageAllocator& pages = machine.pages();
    NodeStats const before[]{pages.stats(node(0)), pages.stats(node(1))};
    std::vector<PhysAddr> taken;
    while (Result<PhysAddr, AllocError> const page = pages.allocate({.node = node(0)}))
        taken.push_back(*page);
    EXPECT_EQ(taken.size(), before[0].free + before[1].free);
    for (PhysAddr const page : taken)
        pages.free(page, order_4k);
    EXPECT_EQ(pages.stats(node(0)), before[0]);
    EXPECT_EQ(pages.stats(node(1)), before[1]);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

TEST(PageAllocator, DescribesItsNodesInOneLineEach)
{
    TestMachine machine{{block(0, 16 * MiB, 0), block(16 * MiB, 16 * MiB, 1)},
                        3,
                        {},
                        {{.base = PhysAddr{16 * MiB}, .length = 16 * MiB}}};
    std::array<char, 400> text{};
    BufferSink sink{text};
    machine.pages().describe(sink);
    std::string const lines{sink.text()};
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
    EXPECT_NE(
        lines.find(
            "node 1: 4096 pages present, 0 free, 0 used, 0 cached, 4096 reserved; no room for its tables, not used\n"),
        std::string::npos)
        << lines;
    EXPECT_NE(lines.find("node 2: 0 pages present, 0 free, 0 used, 0 cached, 0 reserved\n"), std::string::npos)
        << lines;
}

} // namespace
} // namespace hv::mm
