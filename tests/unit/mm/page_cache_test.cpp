// The pCPUs' caches: two pCPUs a node, number 2n and 2n + 1 on node n.
#include "mm/page_cache.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <set>

namespace hv::mm {
namespace {

using test::block;
using test::domain;
using test::GiB;
using test::MiB;
using test::misuse;
using test::node;
using test::set_of;
using test::TestMachine;

CpuId pcpu(unsigned n) { return CpuId{static_cast<CpuId::Rep>(n)}; }

class Caches : public testing::Test {
protected:
    Caches()
    {
        std::array<NodeId, 4> const node_of{node(0), node(0), node(1), node(1)};
        EXPECT_TRUE(pages.create_caches(node_of).ok());
        EXPECT_TRUE(pages.attach(account).ok());
        before = {pages.stats(node(0)), pages.stats(node(1))};
    }

    [[nodiscard]] static Request page_on(unsigned n, DomainAccount* owner = nullptr)
    {
        return {.policy = Policy::local, .node = node(n), .owner = owner};
    }
    [[nodiscard]] NodeStats stats(unsigned n) const { return pages.stats(node(n)); }

    // Everything counted, and nothing in two places.
    void expect_books_balance() const
    {
        for (unsigned n = 0; n < 2; ++n) {
            EXPECT_EQ(stats(n).free + stats(n).used + stats(n).cached + stats(n).reserved, stats(n).present);
        }
        EXPECT_TRUE(pages.is_consistent());
        EXPECT_TRUE(misuse().empty());
    }

    TestMachine machine{TestMachine::even(2, GiB), 2};
    PageAllocator& pages{machine.pages()};
    DomainAccount account{domain(3)};
    std::array<NodeStats, 2> before;
};

TEST_F(Caches, AFreedPageIsTheNextToBeHandedOut)
{
    PhysAddr const page{*pages.allocate(pcpu(0), page_on(0))};
    pages.free(pcpu(0), page, order_4k);
    EXPECT_EQ(*pages.allocate(pcpu(0), page_on(0)), page);
    pages.free(pcpu(1), page, order_4k);
    EXPECT_EQ(*pages.allocate(pcpu(1), page_on(0)), page) << "freed by another pCPU of the node: its cache has it";
    expect_books_balance();
}

TEST_F(Caches, RefillInBatchesAndCountWhatTheyHoldAsNeitherFreeNorUsed)
{
    ASSERT_TRUE(pages.allocate(pcpu(0), page_on(0)).ok());
    EXPECT_EQ(stats(0).used, before[0].used + 1);
    EXPECT_EQ(stats(0).cached, 31u) << "half of 64";
    ASSERT_TRUE(pages.allocate(pcpu(0), {.order = order_2m, .node = node(0)}).ok());
    EXPECT_EQ(stats(0).used, before[0].used + 513);
    EXPECT_EQ(stats(0).cached, 31u + 3 * 512);
    EXPECT_EQ(stats(1), before[1]);
    expect_books_balance();
}

TEST_F(Caches, BothSizesAreAlignedDistinctAndOnTheirNode)
{
    for (Order const order : {order_4k, order_2m}) {
        std::set<std::uint64_t> seen;
        for (int i = 0; i < 100; ++i) {
            Result<PhysAddr, AllocError> const got = pages.allocate(pcpu(2), {.order = order, .node = node(1)});
            ASSERT_TRUE(got.ok());
            EXPECT_EQ(got->value() % order.bytes(), 0u);
            EXPECT_EQ(machine.node_of(*got), node(1));
            EXPECT_TRUE(seen.insert(got->value()).second);
        }
        expect_books_balance();
        for (std::uint64_t const address : seen)
            pages.free(pcpu(2), PhysAddr{address}, order);
        expect_books_balance();
    }
    pages.drain_caches();
    EXPECT_EQ(stats(1), before[1]);
}

TEST_F(Caches, NeverHoldMoreThanTheirCapacity)
{
    std::vector<PhysAddr> taken;
    for (int i = 0; i < 1000; ++i)
        taken.push_back(*pages.allocate(pcpu(0), page_on(0)));
    for (PhysAddr const page : taken) {
        pages.free(pcpu(0), page, order_4k);
        EXPECT_LE(stats(0).cached, PageCache::most_blocks);
    }
    EXPECT_GT(stats(0).cached, 0u);
    expect_books_balance();

    taken.clear();
    for (int i = 0; i < 30; ++i)
        taken.push_back(*pages.allocate(pcpu(2), {.order = order_2m, .node = node(1)}));
    for (PhysAddr const block : taken) {
        pages.free(pcpu(2), block, order_2m);
        EXPECT_LE(stats(1).cached, PageCache::Capacity{}.blocks_2m * order_2m.pages());
    }
    EXPECT_GT(stats(1).cached, 0u);
    expect_books_balance();
}

TEST_F(Caches, PagesOfAnotherNodeGoHomeInsteadOfIntoTheCache)
{
    PhysAddr const page{*pages.allocate(pcpu(2), page_on(1))};
    std::uint64_t const cached{stats(1).cached};
    std::uint64_t const free_there{stats(1).free};
    pages.free(pcpu(0), page, order_4k);
    EXPECT_EQ(stats(0), before[0]);
    EXPECT_EQ(stats(1).cached, cached);
    EXPECT_EQ(stats(1).free, free_there + 1);
    // And a request for another node takes nothing from here.
    ASSERT_TRUE(pages.allocate(pcpu(0), page_on(1)).ok());
    EXPECT_EQ(stats(0), before[0]);
    expect_books_balance();
}

TEST_F(Caches, ChargeTheOwnerExactlyAndKeepItsLimit)
{
    account.set_max_pages(3);
    std::array<PhysAddr, 3> mine{};
    for (std::size_t i = 0; i < mine.size(); ++i) {
        mine[i] = *pages.allocate(pcpu(0), page_on(0, &account));
        EXPECT_EQ(account.pages_on(node(0)), i + 1);
        EXPECT_EQ(account.total(), i + 1);
    }
    EXPECT_EQ(pages.allocate(pcpu(0), page_on(0, &account)).error(), AllocError::over_limit);
    expect_books_balance();
    for (PhysAddr const page : mine)
        pages.free(pcpu(3), page, order_4k);
    EXPECT_EQ(account.total(), 0u);
    EXPECT_EQ(account.pages_on(node(0)), 0u);
    DomainAccount stranger{domain(9)};
    EXPECT_EQ(pages.allocate(pcpu(0), page_on(0, &stranger)).error(), AllocError::bad_request);
    expect_books_balance();
}

TEST_F(Caches, ANodeInNeedCallsBackWhatItsCachesHold)
{
    // pCPU 1 fills its cache, pCPU 0 then takes every page of the node.
    PhysAddr const seed{*pages.allocate(pcpu(1), page_on(0))};
    pages.free(pcpu(1), seed, order_4k);
    ASSERT_GT(stats(0).cached, 0u);
    std::uint64_t taken{0};
    for (Order const order : {order_2m, order_4k})
        while (pages.allocate(pcpu(0), {.order = order, .policy = Policy::strict_node, .node = node(0)}).ok())
            taken += order.pages();
    EXPECT_EQ(taken, before[0].free);
    EXPECT_EQ(stats(0).free + stats(0).cached, 0u);
    EXPECT_EQ(stats(1), before[1]);
    expect_books_balance();
}

TEST_F(Caches, CachedPagesDoNotStandInTheWayOfALargeBlock)
{
    std::vector<PhysAddr> taken;
    while (Result<PhysAddr, AllocError> const got =
               pages.allocate({.order = order_2m, .policy = Policy::strict_node, .node = node(0)}))
        taken.push_back(*got);
    pages.free(taken.back(), order_2m);
    // What is left is splintered by one cached page out of its middle.
    PhysAddr const page{*pages.allocate(pcpu(0), page_on(0))};
    pages.free(pcpu(0), page, order_4k);
    EXPECT_TRUE(pages.allocate({.order = order_2m, .policy = Policy::strict_node, .node = node(0)}).ok());
    expect_books_balance();
}

TEST_F(Caches, SeeEveryKindOfMisuse)
{
    PhysAddr const page{*pages.allocate(pcpu(0), page_on(0, &account))};
    PhysAddr const large{*pages.allocate(pcpu(0), {.order = order_2m, .node = node(0), .owner = &account})};
    std::uint64_t const total{account.total()};
    auto const kind_of = [&](CpuId self, PhysAddr address, Order order) {
        misuse().clear();
        pages.free(self, address, order);
        EXPECT_EQ(misuse().size(), 1u);
        MisuseKind const kind{misuse().empty() ? MisuseKind{} : misuse()[0].kind};
        EXPECT_NE(misuse().empty() ? 0 : misuse()[0].caller, 0u) << "debug builds know who it was";
        misuse().clear();
        EXPECT_TRUE(pages.is_consistent());
        return kind;
    };
    EXPECT_EQ(kind_of(pcpu(0), page, order_2m), MisuseKind::wrong_order);
    EXPECT_EQ(kind_of(pcpu(0), large, order_4k), MisuseKind::wrong_order);
    EXPECT_EQ(kind_of(pcpu(0), PhysAddr{large.value() + page_size}, order_4k), MisuseKind::middle_page);
    EXPECT_EQ(kind_of(pcpu(0), PhysAddr{page.value() + 8}, order_4k), MisuseKind::misaligned);
    EXPECT_EQ(kind_of(pcpu(0), PhysAddr{4 * GiB}, order_4k), MisuseKind::no_memory);
    EXPECT_EQ(kind_of(pcpu(0), PhysAddr{0}, order_4k), MisuseKind::never_allocated);
    EXPECT_EQ(account.total(), total);
    pages.free(pcpu(0), page, order_4k);
    for (unsigned const self : {0u, 1u, 2u})
        EXPECT_EQ(kind_of(pcpu(self), page, order_4k), MisuseKind::double_free);
    pages.free(pcpu(0), large, order_2m);
    EXPECT_EQ(kind_of(pcpu(0), large, order_2m), MisuseKind::double_free);
    EXPECT_EQ(account.total(), 0u);
}

TEST_F(Caches, SeeAWriteToAPageThatWasGivenBack)
{
    for (Order const order : {order_4k, order_2m}) {
        PhysAddr const block{*pages.allocate(pcpu(0), {.order = order, .node = node(0), .owner = &account})};
        pages.free(pcpu(0), block, order);
        machine.map().at<unsigned char>(block)[order.bytes() - 1] ^= 1;
        ASSERT_EQ(*pages.allocate(pcpu(0), {.order = order, .node = node(0)}), block);
        ASSERT_EQ(misuse().size(), 1u);
        EXPECT_EQ(misuse()[0].kind, MisuseKind::write_after_free);
        EXPECT_EQ(misuse()[0].address, PhysAddr{block.value() + order.bytes() - 8});
        EXPECT_EQ(misuse()[0].owner, account.domain());
        EXPECT_NE(misuse()[0].caller, 0u);
        misuse().clear();
    }
}

TEST(SmallMachines, KeepCachesSmallAndDoWithout)
{
    TestMachine machine{{block(0, 64 * MiB, 0), block(64 * MiB, MiB, 1)}, 3};
    std::array<NodeId, 3> const node_of{node(0), node(1), node(2)};
    ASSERT_TRUE(machine.pages().create_caches(node_of).ok());
    for (unsigned n = 0; n < 3; ++n) {
        Result<PhysAddr, AllocError> const got = machine.pages().allocate(pcpu(n), {.node = node(n)});
        ASSERT_TRUE(got.ok());
        machine.pages().free(pcpu(n), *got, order_4k);
    }
    EXPECT_GT(machine.pages().stats(node(0)).cached, 0u);
    EXPECT_LE(machine.pages().stats(node(0)).cached, 64 * MiB / page_size / 16);
    EXPECT_LE(machine.pages().stats(node(1)).cached, MiB / page_size / 16);
    // A pCPU without a cache, or without a number that anybody knows, is served all the same.
    PhysAddr const page{*machine.pages().allocate(pcpu(77), {.node = node(0)})};
    machine.pages().free(pcpu(77), page, order_4k);
    EXPECT_TRUE(machine.pages().is_consistent());
    EXPECT_TRUE(misuse().empty());
}

} // namespace
} // namespace hv::mm
