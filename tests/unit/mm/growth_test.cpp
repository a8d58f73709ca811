#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

namespace hv::mm {
namespace {

using test::block;
using test::MiB;
using test::node;
using test::TestMachine;

constexpr std::uint64_t room = 128 * MiB;

// Node 0 from 0, node 1 behind it, and room for what is plugged in behind that. The last node has nothing.
struct GrowingMachine : TestMachine {
    GrowingMachine() : TestMachine{even(2, 16 * MiB), 3, {}, {}, {}, room} {}
    static constexpr std::uint64_t end = 32 * MiB;

    [[nodiscard]] std::vector<PhysAddr> all_of(unsigned n)
    {
        std::vector<PhysAddr> pages;
        while (auto const page = pages_of(n))
            pages.push_back(*page);
        return pages;
    }

private:
    [[nodiscard]] Result<PhysAddr, AllocError> pages_of(unsigned n)
    {
        return pages().allocate({.policy = Policy::strict_node, .node = node(n)});
    }
};

TEST(Growth, MemoryThatIsPluggedInBecomesItsNodes)
{
    GrowingMachine machine;
    std::vector<PhysAddr> const before{machine.all_of(0)};
    NodeStats const full{machine.pages().stats(node(0))};
    EXPECT_EQ(full.free, 0u);
    ASSERT_TRUE(machine.pages().add_memory(block(GrowingMachine::end, 32 * MiB, 0)));

    NodeStats const grown{machine.pages().stats(node(0))};
    EXPECT_EQ(grown.present, full.present + 32 * MiB / page_size);
    EXPECT_GE(grown.free, 32 * MiB / page_size * 99 / 100) << "its tables take less than a hundredth";
    EXPECT_EQ(grown.free + grown.reserved - full.reserved, 32 * MiB / page_size);
    std::vector<PhysAddr> const after{machine.all_of(0)};
    EXPECT_EQ(after.size(), grown.free);
    for (PhysAddr const page : after) {
        EXPECT_GE(page, PhysAddr{GrowingMachine::end});
        EXPECT_EQ(machine.node_of(page), node(0));
    }
    EXPECT_TRUE(machine.pages().is_consistent());
    for (PhysAddr const page : after)
        machine.pages().free(page, Order{});
    for (PhysAddr const page : before)
        machine.pages().free(page, Order{});
    EXPECT_EQ(machine.pages().stats(node(0)).used, 0u);
    EXPECT_TRUE(machine.pages().is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

TEST(Growth, ANodeWithoutMemoryGetsItsAllocator)
{
    GrowingMachine machine;
    EXPECT_FALSE(machine.pages().usable().test(node(2)));
    ASSERT_TRUE(machine.pages().add_memory(block(GrowingMachine::end + 8 * MiB, 16 * MiB, 2)));
    EXPECT_TRUE(machine.pages().usable().test(node(2)));
    auto const large = machine.pages().allocate({.order = order_2m, .policy = Policy::strict_node, .node = node(2)});
    ASSERT_TRUE(large);
    EXPECT_EQ(machine.node_of(*large), node(2));
    machine.pages().free(*large, order_2m);
    // And once more, beyond a hole.
    ASSERT_TRUE(machine.pages().add_memory(block(GrowingMachine::end + 64 * MiB, 16 * MiB, 2)));
    NodeStats const stats{machine.pages().stats(node(2))};
    EXPECT_EQ(stats.present, 32 * MiB / page_size);
    EXPECT_EQ(stats.span, 72 * MiB / page_size);
    EXPECT_TRUE(machine.pages().is_consistent());
}

TEST(Growth, DomainsAndCachesUseItLikeAnyOther)
{
    GrowingMachine machine;
    std::vector<NodeId> const homes{node(0), node(1)};
    ASSERT_TRUE(machine.pages().create_caches(homes));
    static_cast<void>(machine.all_of(1));
    ASSERT_TRUE(machine.pages().add_memory(block(GrowingMachine::end, 32 * MiB, 1)));
    DomainAccount account{test::domain(5), 4096};
    ASSERT_TRUE(machine.pages().attach(account));
    Claim const part{.nodes = test::set_of({1}), .pages = 4096};
    ASSERT_TRUE(machine.pages().claim(account, {&part, 1}));
    std::vector<PhysAddr> taken;
    for (unsigned i = 0; i < 4096; ++i) {
        auto const page = machine.pages().allocate(CpuId{1}, {.node = node(1), .owner = &account});
        ASSERT_TRUE(page);
        taken.push_back(*page);
        EXPECT_EQ(machine.node_of(*page), node(1));
    }
    EXPECT_EQ(account.pages_on(node(1)), 4096u);
    for (PhysAddr const page : taken)
        machine.pages().free(CpuId{1}, page, Order{});
    EXPECT_EQ(account.total(), 0u);
    machine.pages().unclaim_all(account);
    ASSERT_TRUE(machine.pages().detach(account));
    EXPECT_TRUE(machine.pages().is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

TEST(Growth, WhatCannotBeUsedIsRefusedWithTheReason)
{
    GrowingMachine machine;
    constexpr std::uint64_t end{GrowingMachine::end};
    auto const error_of = [&](MemoryBlock const& memory) { return machine.pages().add_memory(memory).error(); };
    EXPECT_EQ(error_of(block(end, 0, 0)), GrowError::bad_range);
    EXPECT_EQ(error_of(block(end + 1, 16 * MiB, 0)), GrowError::bad_range);
    EXPECT_EQ(error_of(block(end, 16 * MiB + 5, 0)), GrowError::bad_range);
    EXPECT_EQ(error_of(block(end, 16 * MiB, 3)), GrowError::bad_range);
    EXPECT_EQ(error_of(block(end, ~std::uint64_t{0} & ~(page_size - 1), 0)), GrowError::bad_range);
    EXPECT_EQ(error_of(block(end - page_size, 16 * MiB, 0)), GrowError::overlap);
    EXPECT_EQ(error_of(block(end, page_size, 0)), GrowError::too_small);
    ASSERT_TRUE(machine.pages().add_memory(block(end + 64 * MiB, 4 * MiB, 0)));
    EXPECT_EQ(error_of(block(end, 4 * MiB, 0)), GrowError::below);
    EXPECT_TRUE(machine.pages().add_memory(block(end, 4 * MiB, 1))) << "another node's may be below";
    for (unsigned i = 1; i < PageAllocator::spare_regions; ++i)
        ASSERT_TRUE(machine.pages().add_memory(block(end + (64 + 4 * i) * MiB, 4 * MiB, 0)));
    EXPECT_EQ(error_of(block(end + 120 * MiB, 4 * MiB, 0)), GrowError::too_many);
    EXPECT_TRUE(machine.pages().is_consistent());
}

TEST(Growth, OthersAllocateAndFreeMeanwhile)
{
    GrowingMachine machine;
    PageAllocator& pages{machine.pages()};
    std::atomic<bool> is_over{false};
    auto const work = [&](unsigned n) {
        std::vector<PhysAddr> mine;
        while (!is_over.load()) {
            if (mine.size() == 6000)
                for (; !mine.empty(); mine.pop_back())
                    pages.free(mine.back(), Order{});
            if (auto const page = pages.allocate({.node = node(n)}))
                mine.push_back(*page);
        }
        for (PhysAddr const page : mine)
            pages.free(page, Order{});
    };
    std::thread first{work, 0u}, second{work, 2u};
    for (unsigned i = 0; i < 8; ++i) {
        EXPECT_TRUE(pages.add_memory(block(GrowingMachine::end + 8 * i * MiB, 8 * MiB, i % 3)));
        std::this_thread::yield();
    }
    is_over.store(true);
    first.join();
    second.join();
    EXPECT_TRUE(pages.is_consistent());
    std::uint64_t used{0};
    for (unsigned n = 0; n < 3; ++n)
        used += pages.stats(node(n)).used;
    EXPECT_EQ(used, 0u);
    EXPECT_TRUE(test::misuse().empty());
}

} // namespace
} // namespace hv::mm
