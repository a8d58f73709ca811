#include "mm/block_list.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hv::mm {
namespace {

using test::block;
using Answer = BlockList::Answer;

constexpr std::uint64_t page_bytes = page_size;

std::vector<MemoryBlock> content(BlockList const& list) { return {list.blocks().begin(), list.blocks().end()}; }

TEST(BlockList, SortsBlocksAndJoinsThoseOfOneNodeThatTouchOrOverlap)
{
    BlockList list;
    EXPECT_EQ(list.insert(block(8 * page_bytes, 2 * page_bytes, 0)), Answer::done);
    EXPECT_EQ(list.insert(block(0, 2 * page_bytes, 0)), Answer::done);
    EXPECT_EQ(list.insert(block(4 * page_bytes, page_bytes, 1)), Answer::done);
    EXPECT_EQ(content(list), (std::vector{block(0, 2 * page_bytes, 0), block(4 * page_bytes, page_bytes, 1),
                                          block(8 * page_bytes, 2 * page_bytes, 0)}));
    EXPECT_EQ(list.insert(block(2 * page_bytes, 2 * page_bytes, 0)), Answer::done);
    EXPECT_EQ(list.insert(block(9 * page_bytes, 4 * page_bytes, 0)), Answer::done);
    EXPECT_EQ(content(list), (std::vector{block(0, 4 * page_bytes, 0), block(4 * page_bytes, page_bytes, 1),
                                          block(8 * page_bytes, 5 * page_bytes, 0)}));
}

TEST(BlockList, RefusesMemoryThatAnotherNodeHas)
{
    BlockList list;
    ASSERT_EQ(list.insert(block(4 * page_bytes, 4 * page_bytes, 0)), Answer::done);
    std::vector const before{content(list)};
    EXPECT_EQ(list.insert(block(7 * page_bytes, page_bytes, 1)), Answer::overlaps_other_node);
    EXPECT_EQ(list.insert(block(0, 5 * page_bytes, 1)), Answer::overlaps_other_node);
    EXPECT_EQ(content(list), before);
    EXPECT_EQ(list.insert(block(8 * page_bytes, page_bytes, 1)), Answer::done); // Touching is no overlap.
    EXPECT_EQ(list.insert(block(0, 4 * page_bytes, 1)), Answer::done);
    EXPECT_EQ(list.blocks().size(), 3u);
}

TEST(BlockList, SaysWhenItIsFullAndChangesNothing)
{
    BlockList list;
    for (std::size_t i = 0; i < BlockList::capacity; ++i)
        ASSERT_EQ(list.insert(block(4 * i * page_bytes, 3 * page_bytes, 0)), Answer::done);
    std::vector const before{content(list)};
    EXPECT_EQ(list.insert(block(4 * BlockList::capacity * page_bytes, page_bytes, 0)), Answer::full);
    EXPECT_FALSE(list.cut(page_bytes, 2 * page_bytes)); // Would split a block.
    EXPECT_EQ(content(list), before);
    EXPECT_TRUE(list.cut(0, 3 * page_bytes)); // Removes one.
}

// Model: one node number a page.
TEST(BlockList, AgreesWithAMapOfPagesUnderRandomInsertsAndCuts)
{
    constexpr std::uint64_t pages = 200;
    std::mt19937 random{42};
    for (int round = 0; round < 300; ++round) {
        BlockList list;
        std::vector<int> model(pages, -1);
        for (int step = 0; step < 60; ++step) {
            std::uint64_t const from{random() % pages};
            std::uint64_t const to{from + random() % (std::min<std::uint64_t>(pages - from, 25) + 1)};
            int const owner{static_cast<int>(random() % 3)};
            if (random() % 3 == 0) {
                ASSERT_TRUE(list.cut(from * page_bytes, to * page_bytes));
                std::fill(model.begin() + static_cast<long>(from), model.begin() + static_cast<long>(to), -1);
            } else {
                bool clash{false};
                for (std::uint64_t i = from; i < to; ++i)
                    clash |= model[i] != -1 && model[i] != owner;
                Answer const answer{
                    list.insert(block(from * page_bytes, (to - from) * page_bytes, static_cast<unsigned>(owner)))};
                ASSERT_EQ(answer, clash ? Answer::overlaps_other_node : Answer::done);
                if (!clash)
                    std::fill(model.begin() + static_cast<long>(from), model.begin() + static_cast<long>(to), owner);
            }
            ASSERT_TRUE(list.is_consistent());
            std::vector<int> seen(pages, -1);
            for (MemoryBlock const& each : list.blocks())
                for (std::uint64_t at = each.base.value(); at < each.end(); at += page_bytes)
                    seen[at / page_bytes] = each.node.value();
            ASSERT_EQ(seen, model) << "round " << round << " step " << step;
        }
    }
}

} // namespace
} // namespace hv::mm
