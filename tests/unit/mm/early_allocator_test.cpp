#include "mm/early_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <array>

namespace hv::mm {
namespace {

using test::block;
using test::GiB;
using test::KiB;
using test::MiB;
using test::node;
using test::TestMachine;

MachineMemory machine_of(std::vector<MemoryBlock> const& blocks, unsigned nodes)
{
    return {.blocks = blocks, .nodes = nodes, .on_misuse = [](MisuseReport const&) {}};
}

BuildFault fault_of(MachineMemory const& machine)
{
    auto early = std::make_unique<EarlyAllocator>();
    Status<BuildError> const status = early->init(machine);
    HV_ASSERT(!status.ok());
    EXPECT_TRUE(early->present().empty());
    std::array<char, 200> text{};
    BufferSink sink{text};
    describe(sink, status.error());
    EXPECT_FALSE(sink.text().empty());
    EXPECT_EQ(sink.text().find('\n'), std::string_view::npos);
    return status.error().fault;
}

TEST(EarlyAllocator, TakesFromTheTopOfTheNodeDownwards)
{
    TestMachine machine{TestMachine::even(2, 16 * MiB), 2};
    EXPECT_EQ(*machine.early().allocate({.bytes = 1, .node = node(0)}), PhysAddr{16 * MiB - 4 * KiB});
    EXPECT_EQ(*machine.early().allocate({.bytes = 4097, .node = node(0)}), PhysAddr{16 * MiB - 12 * KiB});
    EXPECT_EQ(*machine.early().allocate({.bytes = 4096, .align = 2 * MiB, .node = node(1)}), PhysAddr{30 * MiB});
    EXPECT_EQ(*machine.early().allocate({.bytes = 4096, .node = node(1)}), PhysAddr{32 * MiB - 4 * KiB});
    EXPECT_EQ(*machine.early().allocate({.bytes = MiB, .node = node(0), .below = PhysAddr{4 * MiB + 5}}),
              PhysAddr{3 * MiB});
}

TEST(EarlyAllocator, NeverGivesReservedMemoryNorFrameZero)
{
    TestMachine machine{{block(0, 64 * KiB, 0)}, 1, {}, {{.base = PhysAddr{32 * KiB + 1}, .length = 4 * KiB}}};
    std::vector<std::uint64_t> got;
    while (Result<PhysAddr, AllocError> const page = machine.early().allocate({.bytes = page_size}))
        got.push_back(page->value() / page_size);
    EXPECT_EQ(got, (std::vector<std::uint64_t>{15, 14, 13, 12, 11, 10, 7, 6, 5, 4, 3, 2, 1}));
}

TEST(EarlyAllocator, ExhaustionIsAnErrorAndNearbyMeansTheNearestNodeWithRoom)
{
    std::vector<Distance> const ring{10, 20, 30, 20, 20, 10, 20, 30, 30, 20, 10, 20, 20, 30, 20, 10};
    TestMachine machine{{block(0, 2 * page_size, 0), block(MiB, MiB, 2), block(2 * MiB, MiB, 3)}, 4, ring};
    EXPECT_EQ(machine.early().allocate({.bytes = 2 * page_size, .node = node(0)}).error(), AllocError::exhausted_node);
    EXPECT_EQ(machine.early().allocate({.bytes = page_size, .node = node(1)}).error(), AllocError::exhausted_node);
    EXPECT_EQ(*machine.early().allocate_near({.bytes = page_size, .node = node(0)}), PhysAddr{page_size});
    EXPECT_EQ(*machine.early().allocate_near({.bytes = page_size, .node = node(0)}), PhysAddr{3 * MiB - page_size});
    EXPECT_EQ(machine.early().allocate_near({.bytes = 3 * MiB, .node = node(0)}).error(), AllocError::exhausted);
}

TEST(EarlyAllocator, RefusesArgumentsThatMakeNoSense)
{
    TestMachine machine{TestMachine::even(1, MiB), 1};
    for (EarlyRequest const& request :
         {EarlyRequest{.bytes = 0}, EarlyRequest{.bytes = 1, .align = 3}, EarlyRequest{.bytes = 1, .align = 0},
          EarlyRequest{.bytes = 1, .node = node(1)}, EarlyRequest{.bytes = ~std::uint64_t{0}}}) {
        EXPECT_EQ(machine.early().allocate(request).error(), AllocError::bad_request);
        EXPECT_EQ(machine.early().allocate_near(request).error(), AllocError::bad_request);
    }
}

TEST(EarlyAllocator, WhatItGaveStaysReservedAndItGivesNothingAfterwards)
{
    TestMachine machine{TestMachine::even(1, 16 * MiB), 1};
    PhysAddr const mine{*machine.early().allocate({.bytes = 2 * MiB})};
    std::uint64_t const left{machine.early().available_pages(node(0))};
    NodeStats const stats{machine.pages().stats(node(0))};
    EXPECT_EQ(stats.present, 4096u);
    EXPECT_LT(stats.free, left); // The tables.
    EXPECT_EQ(stats.reserved, stats.present - stats.free);
    EXPECT_EQ(machine.early().allocate({.bytes = 1}).error(), AllocError::bad_request);
    machine.pages().free(mine, order_4k);
    ASSERT_EQ(test::misuse().size(), 1u);
    EXPECT_EQ(test::misuse()[0].kind, MisuseKind::never_allocated);
}

TEST(EarlyAllocator, PartPagesAtTheEndsOfBlocksAreLeftAlone)
{
    TestMachine machine{{block(100, 3 * page_size, 0), block(MiB + 1, 100, 0)}, 1};
    ASSERT_EQ(machine.early().present().size(), 1u);
    EXPECT_EQ(machine.early().present()[0], block(page_size, 2 * page_size, 0));
}

TEST(EarlyAllocator, SaysWhatIsWrongWithTheMachine)
{
    EXPECT_EQ(fault_of(machine_of({}, 0)), BuildFault::node_count);
    EXPECT_EQ(fault_of(machine_of({}, 65)), BuildFault::node_count);
    EXPECT_EQ(fault_of(machine_of({block(0, MiB, 1)}, 1)), BuildFault::block_node);
    EXPECT_EQ(fault_of(machine_of({block(~std::uint64_t{0} - 10, 20, 0)}, 1)), BuildFault::block_range);
    EXPECT_EQ(fault_of(machine_of({block(0, MiB, 0), block(MiB / 2, MiB, 1)}, 2)), BuildFault::block_overlap);
    MachineMemory machine{machine_of({}, 2)};
    std::array<Distance, 3> const three{};
    machine.distances = three;
    EXPECT_EQ(fault_of(machine), BuildFault::distance_count);
    machine = machine_of({}, 1);
    machine.on_misuse = nullptr;
    EXPECT_EQ(fault_of(machine), BuildFault::no_handler);
}

TEST(EarlyAllocator, SaysWhenThereAreTooManyPieces)
{
    std::vector<MemoryBlock> blocks;
    std::vector<PhysRange> holes;
    for (std::uint64_t i = 0; i <= BlockList::capacity; ++i) {
        blocks.push_back(block(2 * i * page_size, page_size, 0));
        holes.push_back({.base = PhysAddr{2 * i * page_size}, .length = page_size});
    }
    EXPECT_EQ(fault_of(machine_of(blocks, 1)), BuildFault::too_many_blocks);
    std::vector const one{block(0, GiB, 0)};
    MachineMemory machine{machine_of(one, 1)};
    machine.reserved = holes;
    EXPECT_EQ(fault_of(machine), BuildFault::too_many_reserved);
}

TEST(EarlyAllocator, AMachineWithoutMemoryHasNoPageAllocator)
{
    TestMachine machine{{}, 3};
    Result<PageAllocator*, BuildError> const built = PageAllocator::create(machine.early());
    ASSERT_FALSE(built.ok());
    EXPECT_EQ(built.error().fault, BuildFault::no_memory);
}

} // namespace
} // namespace hv::mm
