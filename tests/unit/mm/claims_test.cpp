#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace hv::mm {
namespace {

using test::domain;
using test::MiB;
using test::node;
using test::set_of;
using test::TestMachine;

class Claims : public testing::Test {
protected:
    Claims()
    {
        for (DomainAccount* const account : {&a, &b})
            EXPECT_TRUE(pages.attach(*account).ok());
    }

    [[nodiscard]] std::uint64_t free_on(unsigned n) const { return pages.stats(node(n)).free; }
    [[nodiscard]] std::uint64_t claimed_on(unsigned n) const { return pages.stats(node(n)).claimed; }
    Status<AllocError> claim(DomainAccount& account, std::initializer_list<unsigned> nodes, std::uint64_t count)
    {
        Claim const part{.nodes = set_of(nodes), .pages = count};
        return pages.claim(account, {&part, 1});
    }
    Result<PhysAddr, AllocError> take(DomainAccount* owner, unsigned from, Order order = order_4k)
    {
        return pages.allocate({.order = order, .policy = Policy::strict_node, .node = node(from), .owner = owner});
    }

    TestMachine machine{TestMachine::even(3, 16 * MiB), 3};
    PageAllocator& pages{machine.pages()};
    DomainAccount a{domain(1)};
    DomainAccount b{domain(2)};
};

TEST_F(Claims, OfMoreThanIsFreeAreRefusedAndChangeNothing)
{
    EXPECT_EQ(claim(a, {0}, free_on(0) + 1).error(), AllocError::exhausted_set);
    EXPECT_EQ(a.claimed(), 0u);
    EXPECT_TRUE(claim(a, {0}, free_on(0)).ok());
    EXPECT_EQ(claim(b, {0}, 1).error(), AllocError::exhausted_set) << "nothing is left to promise";
    EXPECT_TRUE(claim(b, {1}, 1).ok());
    EXPECT_EQ(claimed_on(0), free_on(0));
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Claims, KeepOthersOutUntilTheyAreGivenBack)
{
    ASSERT_TRUE(claim(a, {0}, free_on(0) - 2).ok());
    EXPECT_TRUE(take(&b, 0).ok());
    EXPECT_TRUE(take(nullptr, 0).ok());
    EXPECT_EQ(take(&b, 0).error(), AllocError::exhausted_node) << "only claimed memory is left";
    EXPECT_EQ(take(nullptr, 0).error(), AllocError::exhausted_node) << "the kernel honours claims, too";
    Result<PhysAddr, AllocError> const elsewhere = pages.allocate({.node = node(0), .owner = &b});
    EXPECT_EQ(machine.node_of(*elsewhere), node(1));
    pages.unclaim_all(a);
    EXPECT_EQ(a.claimed(), 0u);
    EXPECT_EQ(claimed_on(0), 0u);
    EXPECT_TRUE(take(&b, 0).ok());
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Claims, AreUsedUpByTheAllocationsOfTheirDomainAndNotRefilledByItsFrees)
{
    ASSERT_TRUE(claim(a, {0}, 600).ok());
    PhysAddr const large{*take(&a, 0, order_2m)};
    EXPECT_EQ(a.claim_on(node(0)), 88u);
    EXPECT_EQ(claimed_on(0), 88u);
    ASSERT_TRUE(take(&a, 1).ok());
    EXPECT_EQ(a.claim_on(node(0)), 88u) << "a page elsewhere does not count";
    pages.free(large, order_2m);
    EXPECT_EQ(claimed_on(0), 88u);
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(take(&a, 0).ok()) << "beyond its claim it is served like any other";
    EXPECT_EQ(a.claimed(), 0u);
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Claims, OfSeveralPartsAreAllOrNothing)
{
    std::array<Claim, 2> const parts{Claim{.nodes = set_of({0}), .pages = 100},
                                     Claim{.nodes = set_of({1}), .pages = free_on(1) + 1}};
    EXPECT_EQ(pages.claim(a, parts).error(), AllocError::exhausted_set);
    EXPECT_EQ(a.claimed(), 0u);
    EXPECT_EQ(claimed_on(0), 0u);
    std::array<Claim, 2> const fitting{parts[0], Claim{.nodes = set_of({1}), .pages = 200}};
    EXPECT_TRUE(pages.claim(a, fitting).ok());
    EXPECT_EQ(a.claim_on(node(0)), 100u);
    EXPECT_EQ(a.claim_on(node(1)), 200u);
    EXPECT_EQ(pages.claim(a, parts).error(), AllocError::exhausted_set);
    EXPECT_EQ(a.claimed(), 300u) << "a refused claim leaves earlier ones alone";
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Claims, ForASetAreSpreadAndFindTheRoomWhereverItIs)
{
    ASSERT_TRUE(claim(a, {0, 1}, 4 * 512).ok());
    EXPECT_EQ(a.claim_on(node(0)), 1024u);
    EXPECT_EQ(a.claim_on(node(1)), 1024u);
    // Node 1 is nearly full: node 2 takes the rest.
    ASSERT_TRUE(claim(a, {1}, free_on(1) - claimed_on(1) - 10).ok());
    ASSERT_TRUE(claim(b, {1, 2}, 2048).ok());
    EXPECT_EQ(b.claim_on(node(1)), 10u);
    EXPECT_EQ(b.claim_on(node(2)), 2038u);
    std::uint64_t left{0};
    for (unsigned n = 0; n < 3; ++n)
        left += free_on(n) - claimed_on(n);
    EXPECT_EQ(claim(b, {0, 1, 2}, left + 1).error(), AllocError::exhausted_set);
    EXPECT_TRUE(claim(b, {0, 1, 2}, left).ok());
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Claims, ThatMakeNoSenseAreRefused)
{
    DomainAccount stranger{domain(3)};
    EXPECT_EQ(claim(stranger, {0}, 1).error(), AllocError::bad_request);
    EXPECT_EQ(claim(a, {}, 1).error(), AllocError::bad_request);
    EXPECT_EQ(claim(a, {3}, 1).error(), AllocError::bad_request);
    a.set_max_pages(10);
    ASSERT_TRUE(take(&a, 0).ok());
    EXPECT_EQ(claim(a, {0}, 10).error(), AllocError::over_limit);
    EXPECT_TRUE(claim(a, {0}, 9).ok());
    EXPECT_EQ(claim(a, {0}, 1).error(), AllocError::over_limit) << "what is claimed counts";
    EXPECT_EQ(pages.detach(a).error(), AllocError::bad_request);
}

TEST_F(Claims, ReachCachedPages)
{
    std::array<NodeId, 1> const node_of{node(0)};
    ASSERT_TRUE(pages.create_caches(node_of).ok());
    Result<PhysAddr, AllocError> const page = pages.allocate(CpuId{0}, {.node = node(0)});
    pages.free(CpuId{0}, *page, order_4k);
    std::uint64_t const cached{pages.stats(node(0)).cached};
    ASSERT_GT(cached, 0u);
    EXPECT_TRUE(claim(a, {0}, free_on(0) + cached).ok());
    EXPECT_EQ(pages.stats(node(0)).cached, 0u);
    EXPECT_EQ(pages.allocate(CpuId{0}, {.policy = Policy::strict_node, .node = node(0)}).error(),
              AllocError::exhausted_node)
        << "a cache is not refilled with what is claimed";
    EXPECT_TRUE(pages.allocate(CpuId{0}, {.policy = Policy::strict_node, .node = node(0), .owner = &a}).ok());
    EXPECT_TRUE(pages.is_consistent());
}

// Two builders who both want four fifths of node 0, at once and again: each time exactly one gets it.
TEST_F(Claims, OfTwoWhoRaceForTheSameMemoryExactlyOneSucceeds)
{
    std::uint64_t const most{free_on(0) * 4 / 5};
    for (int round = 0; round < 200; ++round) {
        std::atomic<int> ready{0};
        std::array<bool, 2> got{};
        auto const build = [&](DomainAccount& account, std::size_t self) {
            ++ready;
            while (ready.load() < 2) {}
            got[self] = claim(account, {0}, most).ok();
        };
        std::thread first{[&] { build(a, 0); }};
        build(b, 1);
        first.join();
        EXPECT_NE(got[0], got[1]);
        EXPECT_EQ(claimed_on(0), most);
        pages.unclaim_all(a);
        pages.unclaim_all(b);
    }
    EXPECT_TRUE(pages.is_consistent());
}

} // namespace
} // namespace hv::mm
