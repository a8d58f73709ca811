#include "mm/node_map.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hv::mm {
namespace {

using test::block;
using test::GiB;
using test::MiB;
using test::node;

std::optional<NodeId> at(NodeMap const& map, std::uint64_t address) { return map.node_of(PhysAddr{address}); }

TEST(NodeMap, TellsFirstAndLastByteOfEveryBlockAndTheHolesBetweenThem)
{
    // Node 0 split by the hole below 4 GiB, node 1 above it.
    std::vector const blocks{block(0, 2 * GiB, 0), block(4 * GiB, 2 * GiB, 0), block(6 * GiB, 2 * GiB, 1)};
    NodeMap const map{blocks};
    for (MemoryBlock const& each : blocks) {
        EXPECT_EQ(at(map, each.base.value()), each.node);
        EXPECT_EQ(at(map, each.end() - 1), each.node);
    }
    EXPECT_EQ(at(map, 2 * GiB), std::nullopt);
    EXPECT_EQ(at(map, 4 * GiB - 1), std::nullopt);
    EXPECT_EQ(at(map, 8 * GiB), std::nullopt);
    EXPECT_EQ(at(map, ~std::uint64_t{0}), std::nullopt);
}

TEST(NodeMap, KnowsTheTailOfABlockThatStartsOffTheCoarsestBoundary)
{
    std::vector const blocks{block(0, 0x1000, 0), block(0x1000, 0x4000, 0), block(0x14000, 0x1000, 1)};
    NodeMap const map{blocks};
    EXPECT_EQ(at(map, 0x4FFF), node(0));
    EXPECT_EQ(at(map, 0x5000), std::nullopt);
    EXPECT_EQ(at(map, 0x14000), node(1));
}

TEST(NodeMap, AgreesWithALinearSearchForAnyNumberOfBlocks)
{
    for (unsigned count = 0; count <= 130; ++count) {
        std::vector<MemoryBlock> blocks;
        for (unsigned i = 0; i < count; ++i)
            blocks.push_back(block(i * 3 * MiB, (1 + i % 3) * MiB, i % 64));
        NodeMap const map{blocks};
        for (std::uint64_t address = 0; address <= count * 3 * MiB; address += MiB / 2) {
            std::optional<NodeId> expected;
            for (MemoryBlock const& each : blocks)
                if (address >= each.base.value() && address < each.end())
                    expected = each.node;
            ASSERT_EQ(at(map, address), expected) << count << " blocks, address " << address;
        }
    }
}

// Slots may hold a part of a block, one, or many; and blocks may begin and end anywhere in them.
TEST(NodeMap, AgreesWithALinearSearchAroundEveryBoundaryOfRandomBlocks)
{
    std::mt19937_64 random{20261123};
    for (int round = 0; round < 500; ++round) {
        unsigned const unit{12 + static_cast<unsigned>(random() % 24)};
        std::vector<MemoryBlock> blocks;
        std::uint64_t end{0};
        for (auto count = random() % 40; count > 0; --count) {
            std::uint64_t const base{end + (random() % 3 << (random() % 2 == 0 ? 12u : unit))};
            std::uint64_t const length{(1 + random() % 5) << (random() % 2 == 0 ? 12u : unit)};
            blocks.push_back(block(base, length, static_cast<unsigned>(random() % 64)));
            end = base + length;
        }
        NodeMap const map{blocks};
        for (MemoryBlock const& each : blocks)
            for (std::uint64_t const boundary : {each.base.value(), each.end()})
                for (std::uint64_t const address : {boundary - 0x1000, boundary - 1, boundary, boundary + 0xFFF}) {
                    std::optional<NodeId> expected;
                    for (MemoryBlock const& other : blocks)
                        if (address >= other.base.value() && address < other.end())
                            expected = other.node;
                    ASSERT_EQ(at(map, address), expected) << "round " << round << ", address " << address;
                }
    }
}

TEST(NodeMapDeathTest, BlocksOutOfOrderAreCaught)
{
    std::vector const blocks{block(MiB, MiB, 0), block(0, MiB, 1)};
    EXPECT_DEATH((NodeMap{blocks}), "is_ordered");
}

} // namespace
} // namespace hv::mm
