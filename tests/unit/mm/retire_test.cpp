// Pages that are taken out of use because they are defective, and pages that come back.
#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace hv::mm {
namespace {

using test::domain;
using test::MiB;
using test::misuse;
using test::node;
using test::TestMachine;

class Retiring : public testing::Test {
protected:
    Retiring()
    {
        std::array<NodeId, 2> const node_of{node(0), node(1)};
        EXPECT_TRUE(pages.create_caches(node_of).ok());
        EXPECT_TRUE(pages.attach(account).ok());
        before = pages.stats(node(1));
    }

    [[nodiscard]] PhysAddr take(Order order)
    {
        return *pages.allocate({.order = order, .policy = Policy::strict_node, .node = node(1), .owner = &account});
    }
    [[nodiscard]] static PhysAddr page(PhysAddr block, std::uint64_t n)
    {
        return PhysAddr{block.value() + n * page_size};
    }
    void expect_offline(std::uint64_t count) const
    {
        NodeStats const stats{pages.stats(node(1))};
        EXPECT_EQ(stats.offline, count);
        EXPECT_EQ(stats.free + stats.used + stats.cached + stats.reserved + stats.offline, stats.present);
        EXPECT_TRUE(pages.is_consistent());
        EXPECT_TRUE(misuse().empty());
    }
    // Every single page that the node has.
    [[nodiscard]] std::vector<PhysAddr> take_all()
    {
        std::vector<PhysAddr> all;
        while (auto const got = pages.allocate(CpuId{1}, {.policy = Policy::strict_node, .node = node(1)}))
            all.push_back(*got);
        return all;
    }
    void expect_never_handed_out(std::set<PhysAddr> const& defective)
    {
        std::vector<PhysAddr> const all{take_all()};
        for (PhysAddr const each : all)
            EXPECT_FALSE(defective.contains(each)) << std::hex << each.value();
        EXPECT_EQ(pages.stats(node(1)).free, 0u);
        for (PhysAddr const each : all)
            pages.free(CpuId{1}, each, order_4k);
        pages.drain_caches();
    }

    TestMachine machine{TestMachine::even(2, 64 * MiB), 2};
    PageAllocator& pages{machine.pages()};
    DomainAccount account{domain(5)};
    NodeStats before;
};

TEST_F(Retiring, AFreePageLeavesTheLargeBlockThatItLiesInAndMergesBackIntoIt)
{
    PhysAddr const defect{80 * MiB + 5 * page_size};
    EXPECT_EQ(*pages.retire(defect), Retirement::done);
    expect_offline(1);
    EXPECT_EQ(pages.stats(node(1)).free, before.free - 1);
    EXPECT_EQ(*pages.retire(defect), Retirement::done) << "twice is once";
    expect_offline(1);
    expect_never_handed_out({defect});

    ASSERT_TRUE(pages.put_back(defect).ok());
    EXPECT_EQ(pages.stats(node(1)).dirty, 1u) << "nobody knows what is in it";
    EXPECT_EQ(pages.scrub_some(node(1), 100), 1u);
    EXPECT_EQ(pages.stats(node(1)), before);
    EXPECT_EQ(pages.put_back(defect).error(), AllocError::bad_request);
    expect_offline(0);
    EXPECT_TRUE(pages.allocate({.order = Order{10}, .policy = Policy::strict_node, .node = node(1)}).ok());
}

TEST_F(Retiring, APageInUseStaysWithItsOwnerUntilItIsGivenBack)
{
    PhysAddr const block{take(order_2m)};
    std::set<PhysAddr> const defective{page(block, 0), page(block, 77), page(block, 511)};
    for (PhysAddr const each : defective)
        EXPECT_EQ(*pages.retire(each), Retirement::pending);
    EXPECT_EQ(account.total(), 512u) << "still the domain's";
    EXPECT_EQ(pages.stats(node(1)).used, before.used + 512);
    expect_offline(0);
    ASSERT_TRUE(pages.transfer(block, order_2m, nullptr).ok()) << "a new owner changes nothing";
    ASSERT_TRUE(pages.transfer(block, order_2m, &account).ok());
    pages.free(CpuId{1}, block, order_2m);
    EXPECT_EQ(account.total(), 0u);
    expect_offline(3);
    EXPECT_EQ(pages.stats(node(1)).free, before.free - 3);
    expect_never_handed_out(defective);
}

TEST_F(Retiring, ASinglePageInUseDoesNotGoIntoACacheWhenItIsGivenBack)
{
    PhysAddr const defect{take(order_4k)};
    EXPECT_EQ(*pages.retire(defect), Retirement::pending);
    pages.free(CpuId{1}, defect, order_4k);
    expect_offline(1);
    EXPECT_EQ(pages.stats(node(1)).cached, 0u);
    expect_never_handed_out({defect});
}

TEST_F(Retiring, ACachedPageIsCalledBackFirst)
{
    for (Order const order : {order_4k, order_2m}) {
        PhysAddr const block{take(order)};
        pages.free(CpuId{1}, block, order);
        ASSERT_GE(pages.stats(node(1)).cached, order.pages());
        PhysAddr const defect{page(block, order.pages() / 3)};
        EXPECT_EQ(*pages.retire(defect), Retirement::done);
        expect_offline(1);
        expect_never_handed_out({defect});
        ASSERT_TRUE(pages.put_back(defect).ok());
        EXPECT_EQ(pages.scrub_some(node(1), 100), 1u);
    }
    EXPECT_EQ(pages.stats(node(1)), before);
}

TEST_F(Retiring, APendingPageCanBeKeptAfterAll)
{
    PhysAddr const block{take(Order{3})};
    EXPECT_EQ(*pages.retire(page(block, 2)), Retirement::pending);
    EXPECT_EQ(*pages.retire(page(block, 6)), Retirement::pending);
    ASSERT_TRUE(pages.put_back(page(block, 2)).ok());
    EXPECT_EQ(pages.put_back(page(block, 3)).error(), AllocError::bad_request) << "nothing is the matter with it";
    expect_offline(0);
    ASSERT_TRUE(pages.put_back(page(block, 6)).ok());
    expect_offline(0);
    pages.free(block, Order{3});
    EXPECT_EQ(pages.stats(node(1)), before);
}

TEST_F(Retiring, TheRestOfADeadDomainsBlockIsZeroedAndTheDefectWhenItComesBack)
{
    PhysAddr const block{take(Order{4})};
    std::memset(machine.map().at<void>(block), 0x5E, Order{4}.bytes());
    EXPECT_EQ(*pages.retire(page(block, 9)), Retirement::pending);
    pages.begin_destruction(account);
    pages.reclaim(account);
    EXPECT_EQ(account.total(), 0u);
    expect_offline(1);
    EXPECT_EQ(pages.stats(node(1)).dirty, 15u);
    EXPECT_EQ(*pages.retire(page(block, 3)), Retirement::done) << "also one that is dirty";
    expect_offline(2);
    EXPECT_EQ(pages.stats(node(1)).dirty, 14u);
    EXPECT_EQ(pages.scrub_some(node(1), 100), 14u);
    EXPECT_EQ(*machine.map().at<unsigned char>(page(block, 9)), 0x5E) << "defective memory is left alone";
    for (unsigned const n : {3u, 9u})
        ASSERT_TRUE(pages.put_back(page(block, n)).ok());
    EXPECT_EQ(pages.scrub_some(node(1), 100), 2u);
    EXPECT_EQ(std::count(machine.map().at<char>(block), machine.map().at<char>(page(block, 16)), char{0x5E}), 0);
    EXPECT_EQ(pages.stats(node(1)), before);
}

TEST_F(Retiring, AFreeOfAPageThatIsOutOfUseSaysSo)
{
    PhysAddr const defect{take(order_4k)};
    EXPECT_EQ(*pages.retire(defect), Retirement::pending);
    pages.free(defect, order_4k);
    ASSERT_TRUE(misuse().empty());
    pages.free(CpuId{1}, defect, order_4k);
    ASSERT_EQ(misuse().size(), 1u);
    EXPECT_EQ(misuse()[0].kind, MisuseKind::out_of_use);
    EXPECT_EQ(misuse()[0].state, PageState::offline);
    misuse().clear();
    expect_offline(1);
}

TEST_F(Retiring, ReservedMemoryAndNoMemoryAreRefused)
{
    for (PhysAddr const at : {PhysAddr{0}, PhysAddr{128 * MiB - page_size}, PhysAddr{256 * MiB}}) {
        EXPECT_EQ(pages.retire(at).error(), AllocError::bad_request);
        EXPECT_EQ(pages.put_back(at).error(), AllocError::bad_request);
    }
    expect_offline(0);
}

TEST_F(Retiring, APromisedPageGoesAllTheSameAndTheClaimantGetsTheRest)
{
    Claim const all{.nodes = NodeMask::of(node(1)), .pages = before.free};
    ASSERT_TRUE(pages.claim(account, {&all, 1}).ok());
    EXPECT_EQ(*pages.retire(PhysAddr{80 * MiB}), Retirement::done);
    expect_offline(1);
    EXPECT_FALSE(pages.allocate(CpuId{1}, {.policy = Policy::strict_node, .node = node(1)}).ok()) << "others wait";
    std::uint64_t got{0};
    while (pages.allocate({.policy = Policy::strict_node, .node = node(1), .owner = &account}))
        ++got;
    EXPECT_EQ(got, before.free - 1);
    EXPECT_EQ(account.claimed(), 1u);
    expect_offline(1);
    pages.begin_destruction(account);
    pages.reclaim(account);
    EXPECT_EQ(pages.stats(node(1)).claimed, 0u);
    expect_offline(1);
}

TEST_F(Retiring, WhateverGoesAndComesTheBooksBalanceAndNoDefectIsHandedOut)
{
    std::mt19937 random{1};
    std::vector<std::pair<PhysAddr, Order>> mine;
    std::set<PhysAddr> defective;
    for (int step = 0; step < 20'000; ++step) {
        unsigned const what{static_cast<unsigned>(random() % 8)};
        PhysAddr const any{64 * MiB + random() % 16384 * page_size};
        if (what < 3) {
            Order const order{static_cast<unsigned>(random() % 3 == 0 ? random() % 10 : 0)};
            auto const got = pages.allocate(CpuId{1}, {.order = order, .policy = Policy::strict_node, .node = node(1)});
            if (!got)
                continue;
            mine.emplace_back(*got, order);
            auto const inside = defective.lower_bound(*got);
            ASSERT_TRUE(inside == defective.end() || inside->value() >= got->value() + order.bytes());
        } else if (what < 6 && !mine.empty()) {
            std::swap(mine[random() % mine.size()], mine.back());
            pages.free(CpuId{1}, mine.back().first, mine.back().second);
            mine.pop_back();
        } else if (what == 6 && defective.size() < 200) {
            if (pages.retire(any))
                defective.insert(any);
        } else if (what == 7) {
            auto const at = defective.lower_bound(any);
            if (at == defective.end())
                continue;
            ASSERT_TRUE(pages.put_back(*at).ok());
            defective.erase(at);
            static_cast<void>(pages.scrub_some(node(1), random() % 3));
        }
        if (step % 100 == 0) {
            ASSERT_TRUE(pages.is_consistent()) << step;
        }
    }
    for (auto const& [block, order] : mine)
        pages.free(block, order);
    pages.drain_caches();
    expect_offline(defective.size());
    for (PhysAddr const each : defective)
        ASSERT_TRUE(pages.put_back(each).ok());
    while (pages.scrub_some(node(1), 1000) > 0) {}
    EXPECT_EQ(pages.stats(node(1)), before);
    expect_offline(0);
}

} // namespace
} // namespace hv::mm
