#include "mm/domain_account.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

namespace hv::mm {
namespace {

using test::domain;
using test::MiB;
using test::node;
using test::set_of;
using test::TestMachine;

TEST(InterleaveCursor, VisitsTheMembersOfTheSetInTurnBeginningWithTheLowest)
{
    InterleaveCursor cursor;
    std::vector<unsigned> visited;
    for (int i = 0; i < 5; ++i)
        visited.push_back(cursor.advance(set_of({1, 5, 63})).value());
    EXPECT_EQ(visited, (std::vector{1u, 5u, 63u, 1u, 5u}));
    EXPECT_EQ(cursor.advance(set_of({2, 7})), node(7));
}

class Accounts : public testing::Test {
protected:
    Accounts() { EXPECT_TRUE(pages.attach(account).ok()); }

    Result<PhysAddr, AllocError> take(DomainAccount& owner, Order order, unsigned on)
    {
        return pages.allocate({.order = order, .policy = Policy::strict_node, .node = node(on), .owner = &owner});
    }

    TestMachine machine{TestMachine::even(2, 16 * MiB), 2};
    PageAllocator& pages{machine.pages()};
    DomainAccount account{domain(3), 100};
};

TEST_F(Accounts, CountPagesPerNodeAndForgetThemWhenFreed)
{
    PhysAddr const a{*take(account, Order{4}, 0)};
    PhysAddr const b{*take(account, Order{5}, 1)};
    EXPECT_EQ(account.pages_on(node(0)), 16u);
    EXPECT_EQ(account.pages_on(node(1)), 32u);
    EXPECT_EQ(account.total(), 48u);
    EXPECT_TRUE(pages.is_consistent());
    pages.free(a, Order{4});
    EXPECT_EQ(account.pages_on(node(0)), 0u);
    EXPECT_EQ(account.total(), 32u);
    pages.free(b, Order{5});
    EXPECT_EQ(account.total(), 0u);
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Accounts, NeverExceedTheirLimit)
{
    ASSERT_TRUE(take(account, Order{6}, 0).ok());
    EXPECT_EQ(take(account, Order{6}, 1).error(), AllocError::over_limit);
    EXPECT_TRUE(take(account, Order{5}, 1).ok());
    EXPECT_TRUE(take(account, Order{2}, 1).ok()); // 100 exactly.
    EXPECT_EQ(take(account, order_4k, 1).error(), AllocError::over_limit);
    EXPECT_EQ(account.total(), 100u);
    account.set_max_pages(10);
    EXPECT_EQ(take(account, order_4k, 1).error(), AllocError::over_limit);
    account.set_max_pages(101);
    EXPECT_TRUE(take(account, order_4k, 1).ok());
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Accounts, AFailedAllocationCostsNothing)
{
    account.set_max_pages(DomainAccount::no_limit);
    EXPECT_EQ(take(account, order_1g, 0).error(), AllocError::exhausted_node);
    EXPECT_EQ(take(account, Order{19}, 0).error(), AllocError::order_too_large);
    EXPECT_EQ(take(account, order_4k, 9).error(), AllocError::bad_request);
    EXPECT_EQ(account.total(), 0u);
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Accounts, TransferMovesThePagesFromOneAccountToTheOther)
{
    DomainAccount heir{domain(4), 20};
    ASSERT_TRUE(pages.attach(heir).ok());
    PhysAddr const a{*take(account, Order{4}, 1)};
    PhysAddr const b{*take(account, Order{3}, 0)};
    ASSERT_TRUE(pages.transfer(a, Order{4}, &heir).ok());
    EXPECT_EQ(account.pages_on(node(1)), 0u);
    EXPECT_EQ(heir.pages_on(node(1)), 16u);
    EXPECT_EQ(heir.total(), 16u);
    EXPECT_EQ(account.total(), 8u);
    EXPECT_EQ(pages.transfer(b, Order{3}, &heir).error(), AllocError::over_limit);
    EXPECT_EQ(account.total(), 8u);
    EXPECT_TRUE(pages.is_consistent());
    ASSERT_TRUE(pages.transfer(a, Order{4}, nullptr).ok()); // To the kernel.
    EXPECT_EQ(heir.total(), 0u);
    EXPECT_TRUE(pages.is_consistent());
    ASSERT_TRUE(pages.transfer(a, Order{4}, &account).ok()); // And from it.
    EXPECT_EQ(account.total(), 24u);
    pages.free(a, Order{4});
    pages.free(b, Order{3});
    EXPECT_EQ(account.total(), 0u);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_TRUE(test::misuse().empty());
}

TEST_F(Accounts, OwnMemoryOnlyWhileAttached)
{
    DomainAccount stranger{domain(5)};
    DomainAccount same_number{domain(3)};
    DomainAccount too_high{domain(64)};
    EXPECT_EQ(take(stranger, order_4k, 0).error(), AllocError::bad_request);
    EXPECT_EQ(take(same_number, order_4k, 0).error(), AllocError::bad_request);
    EXPECT_EQ(pages.attach(same_number).error(), AllocError::bad_request);
    EXPECT_EQ(pages.attach(account).error(), AllocError::bad_request);
    EXPECT_EQ(pages.attach(too_high).error(), AllocError::bad_request);
    EXPECT_EQ(pages.detach(stranger).error(), AllocError::bad_request);

    PhysAddr const page{*take(account, order_4k, 0)};
    EXPECT_EQ(pages.transfer(page, order_4k, &stranger).error(), AllocError::bad_request);
    EXPECT_EQ(pages.detach(account).error(), AllocError::bad_request) << "it still has a page";
    pages.free(page, order_4k);
    EXPECT_TRUE(pages.detach(account).ok());
    EXPECT_TRUE(pages.attach(same_number).ok());
    EXPECT_TRUE(take(same_number, order_4k, 0).ok());
    EXPECT_EQ(account.total(), 0u);
    EXPECT_TRUE(pages.is_consistent());
}

} // namespace
} // namespace hv::mm
