#include "mm/node_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace hv::mm {
namespace {

using test::block;
using test::GiB;
using test::KiB;
using test::MiB;
using test::node;
using test::TestMachine;

using Block = std::pair<PhysAddr, Order>;

Result<PhysAddr, AllocError> take(TestMachine& machine, Order order, unsigned from = 0)
{
    return machine.pages().allocate({.order = order, .policy = Policy::strict_node, .node = node(from)});
}

// Everything a node has, in blocks of orders that `next_order` chooses, as long as such blocks last, then smaller ones.
template <typename NextOrder>
std::vector<Block> take_all(TestMachine& machine, unsigned from, NextOrder next_order)
{
    std::vector<Block> blocks;
    while (machine.pages().stats(node(from)).free > 0) {
        for (auto order = static_cast<unsigned>(next_order());; --order) {
            if (Result<PhysAddr, AllocError> const taken = take(machine, Order{order}, from)) {
                blocks.emplace_back(*taken, Order{order});
                break;
            }
            HV_ASSERT(order > 0);
        }
    }
    return blocks;
}

// How many blocks of this order the node can give at once.
std::uint64_t blocks_left(TestMachine& machine, unsigned order, unsigned of = 0)
{
    std::uint64_t length{0};
    std::vector<PhysAddr> taken;
    Order const wanted{order};
    while (Result<PhysAddr, AllocError> const one = take(machine, wanted, of)) {
        taken.push_back(*one);
        ++length;
    }
    for (PhysAddr const each : taken)
        machine.pages().free(each, wanted);
    return length;
}

TEST(NodeAllocator, GivesTheSmallestAndTheLargestBlockOfEveryNode)
{
    TestMachine machine{TestMachine::even(2, 3 * GiB), 2};
    for (unsigned n = 0; n < 2; ++n) {
        for (Order const order : {order_4k, order_1g}) {
            Result<PhysAddr, AllocError> const taken = take(machine, order, n);
            ASSERT_TRUE(taken.ok());
            EXPECT_EQ(taken->value() % order.bytes(), 0u);
            EXPECT_EQ(machine.node_of(*taken), node(n));
            EXPECT_EQ(machine.pages().stats(node(n)).used, order.pages());
            machine.pages().free(*taken, order);
        }
        EXPECT_EQ(take(machine, Order{19}, n).error(), AllocError::order_too_large);
        EXPECT_EQ(take(machine, Order{1000}, n).error(), AllocError::order_too_large);
    }
    EXPECT_TRUE(machine.pages().is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

TEST(NodeAllocator, ExhaustionIsAnErrorValueAndLeavesOtherNodesAlone)
{
    TestMachine machine{TestMachine::even(2, 4 * MiB), 2};
    NodeStats const other{machine.pages().stats(node(1))};
    std::uint64_t const free_before{machine.pages().stats(node(0)).free};
    std::set<std::uint64_t> seen;
    while (Result<PhysAddr, AllocError> const page = take(machine, order_4k)) {
        EXPECT_TRUE(seen.insert(page->value()).second);
        EXPECT_EQ(machine.node_of(*page), node(0));
    }
    EXPECT_EQ(seen.size(), free_before);
    EXPECT_EQ(seen.count(0), 0u) << "frame 0 is never handed out";
    EXPECT_EQ(take(machine, order_4k).error(), AllocError::exhausted_node);
    EXPECT_EQ(machine.pages().stats(node(0)).free, 0u);
    EXPECT_EQ(machine.pages().stats(node(1)), other);
    EXPECT_TRUE(machine.pages().is_consistent());
}

TEST(NodeAllocator, FreeInAnyOrderRestoresOneLargestBlockForEachAlignedGibibyte)
{
    // Frame 0 is in the first GiB, the tables at the top of the last; the two between are whole.
    TestMachine machine{TestMachine::even(1, 4 * GiB), 1};
    ASSERT_EQ(blocks_left(machine, 18), 2u);
    NodeStats const before{machine.pages().stats(node(0))};
    std::mt19937 random{7};
    std::vector<Block> blocks{take_all(machine, 0, [&] { return 4 + random() % 8; })};
    EXPECT_EQ(machine.pages().stats(node(0)).used, before.free);
    EXPECT_GT(blocks.size(), 1000u);
    EXPECT_TRUE(machine.pages().is_consistent());
    std::ranges::shuffle(blocks, random);
    for (auto const& [address, order] : blocks)
        machine.pages().free(address, order);
    EXPECT_EQ(machine.pages().stats(node(0)), before);
    EXPECT_TRUE(machine.pages().is_consistent());
    EXPECT_EQ(blocks_left(machine, 18), 2u);
    EXPECT_TRUE(test::misuse().empty());
}

TEST(NodeAllocator, SplittingHandsOutTheUpperHalfAndKeepsTheRestForLargerRequests)
{
    // With pages 0-1 MiB reserved and the tables kept away, exactly [2 MiB, 4 MiB) is one free block.
    TestMachine machine{
        {block(0, 4 * MiB, 0), block(16 * MiB, MiB, 0)}, 1, {}, {{.base = PhysAddr{0}, .length = 2 * MiB}}};
    PhysAddr const page{*take(machine, Order{8})};
    EXPECT_GE(page, PhysAddr{2 * MiB});
    while (take(machine, order_4k).ok()) {}
    machine.pages().free(page, Order{8});
    EXPECT_EQ(*take(machine, order_4k), PhysAddr{page.value() + MiB - page_size});
    EXPECT_EQ(*take(machine, Order{7}), page);
}

TEST(NodeAllocator, NeverMergesAcrossANodeBoundaryWhateverItsAlignment)
{
    for (std::uint64_t const boundary : {512 * MiB, 300 * MiB, 300 * MiB + 4 * KiB}) {
        TestMachine machine{{block(0, boundary, 0), block(boundary, GiB - boundary, 1)}, 2};
        for (unsigned n = 0; n < 2; ++n) {
            std::mt19937 random{n + 1};
            std::vector<Block> blocks{take_all(machine, n, [&] { return random() % 12; })};
            std::ranges::shuffle(blocks, random);
            for (auto const& [address, order] : blocks) {
                EXPECT_EQ(machine.node_of(address), node(n));
                EXPECT_EQ(machine.node_of(PhysAddr{address.value() + order.bytes() - 1}), node(n));
                machine.pages().free(address, order);
            }
        }
        EXPECT_TRUE(machine.pages().is_consistent());
        // What is aligned, whole and of one node has come together again, and no more than that. Page 0 is missing at
        // the bottom, and both nodes keep tables at their tops.
        EXPECT_EQ(blocks_left(machine, 16, 0), 0u);
        EXPECT_EQ(blocks_left(machine, 15, 0), boundary == 512 * MiB ? 2u : 1u);
        EXPECT_EQ(blocks_left(machine, 17, 1), 0u);
        EXPECT_EQ(blocks_left(machine, 16, 1), 1u);
    }
}

TEST(NodeAllocator, NeverMergesAcrossAHole)
{
    // Each side of the hole at 1 MiB is half of a 2 MiB block, and so it stays.
    TestMachine machine{{block(4 * MiB, MiB, 0), block(5 * MiB + 4 * KiB, 3 * MiB - 4 * KiB, 0)}, 1};
    EXPECT_EQ(blocks_left(machine, 9), 0u);
    std::vector<Block> blocks{take_all(machine, 0, [] { return 0u; })};
    std::ranges::shuffle(blocks, std::mt19937{5});
    for (auto const& [address, order] : blocks)
        machine.pages().free(address, order);
    EXPECT_TRUE(machine.pages().is_consistent());
    EXPECT_EQ(blocks_left(machine, 9), 0u);
    EXPECT_EQ(blocks_left(machine, 8), 2u);
}

TEST(NodeAllocator, ReportsThePresentPagesAndTheSpanWithItsHole)
{
    // The box of the NUMA posts: 12 GiB, node 0 split by the PCI hole.
    TestMachine machine{{block(0, 2 * GiB, 0), block(4 * GiB, 4 * GiB, 0), block(8 * GiB, 6 * GiB, 1)}, 2};
    NodeStats const stats{machine.pages().stats(node(0))};
    EXPECT_EQ(stats.span, 8 * GiB / page_size);
    EXPECT_EQ(stats.present, 6 * GiB / page_size);
    EXPECT_EQ(stats.free + stats.used + stats.reserved, stats.present);
    // 0.15 % of the memory at most; debug builds also remember who freed each page.
    EXPECT_LT(stats.reserved, stats.present * (is_debug ? 45 : 15) / 10'000);
    EXPECT_TRUE(machine.pages().is_consistent());
}

TEST(NodeAllocator, ANodeThatIsTooSmallForItsTablesIsReservedAndReported)
{
    TestMachine machine{{block(0, 16 * MiB, 0), block(16 * MiB, page_size, 1), block(17 * MiB, MiB, 2)}, 4};
    PageAllocator& pages = machine.pages();
    EXPECT_EQ(pages.usable(), test::set_of({0, 1, 2})) << "a page is enough for a page's tables";
    EXPECT_EQ(pages.stats(node(1)), (NodeStats{.present = 1, .reserved = 1, .span = 1}));
    EXPECT_GT(pages.stats(node(2)).free, 250u);
    EXPECT_EQ(take(machine, order_4k, 1).error(), AllocError::exhausted_node);

    TestMachine tight{{block(0, 16 * MiB, 0), block(16 * MiB, 64 * MiB, 1)},
                      2,
                      {},
                      {{.base = PhysAddr{16 * MiB + 32 * KiB}, .length = 64 * MiB}}};
    EXPECT_EQ(tight.pages().usable(), test::set_of({0}));
    EXPECT_EQ(tight.pages().too_small(), test::set_of({1}));
    EXPECT_EQ(tight.pages().stats(node(1)), (NodeStats{.present = 16384, .reserved = 16384, .span = 16384}));
    EXPECT_TRUE(tight.pages().is_consistent());
    tight.pages().free(PhysAddr{16 * MiB}, order_4k);
    ASSERT_EQ(test::misuse().size(), 1u);
    EXPECT_EQ(test::misuse()[0].kind, MisuseKind::never_allocated);
}

TEST(NodeAllocator, BootTouchesFewPagesOfALargeMachine)
{
    TestMachine machine{TestMachine::even(2, 64 * GiB), 2};
    static_cast<void>(machine.pages());
    std::vector<unsigned char> resident(128 * GiB / page_size);
    ASSERT_EQ(::mincore(machine.map().at<void>(PhysAddr{0}), 128 * GiB, resident.data()), 0);
    auto const touched = std::ranges::count_if(resident, [](unsigned char flags) { return (flags & 1) != 0; });
    EXPECT_LT(touched, 1000); // Of 33 million: a list head in each GiB, a chunk of entries for it, some tables.
    EXPECT_GT(touched, 64);
}

} // namespace
} // namespace hv::mm
