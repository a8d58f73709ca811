#include "mm/misuse.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <array>

namespace hv::mm {
namespace {

using test::block;
using test::MiB;
using test::misuse;
using test::node;
using test::TestMachine;

std::string text_of(MisuseReport const& report)
{
    std::array<char, 250> text{};
    BufferSink sink{text};
    describe(sink, report);
    return std::string{sink.text()};
}

class Misuse : public testing::Test {
protected:
    Misuse()
    {
        EXPECT_TRUE(machine.pages().attach(account).ok());
        // Away from the tables at the top, so that it is half of a larger block.
        owned = *machine.pages().allocate({.order = Order{3},
                                           .policy = Policy::strict_node,
                                           .node = node(1),
                                           .owner = &account,
                                           .below = PhysAddr{24 * MiB}});
    }

    // The free is refused with exactly one report, and no counter changes.
    MisuseReport refused(PhysAddr address, Order order)
    {
        misuse().clear();
        NodeStats const before{machine.pages().stats(node(1))};
        machine.pages().free(address, order);
        EXPECT_EQ(machine.pages().stats(node(1)), before);
        EXPECT_TRUE(machine.pages().is_consistent());
        EXPECT_EQ(misuse().size(), 1u);
        if (misuse().empty())
            return {};
        EXPECT_EQ(misuse()[0].address, address);
        EXPECT_EQ(misuse()[0].order, order);
        return misuse()[0];
    }

    [[nodiscard]] PhysAddr page(std::uint64_t n) const { return PhysAddr{owned.value() + n * page_size}; }

    TestMachine machine{TestMachine::even(2, 16 * MiB), 2, {}, {{.base = PhysAddr{17 * MiB}, .length = MiB}}};
    DomainAccount account{test::domain(5)};
    PhysAddr owned;
};

TEST_F(Misuse, DoubleFreeNamesTheLastOwner)
{
    machine.pages().free(owned, Order{3});
    ASSERT_EQ(account.total(), 0u);
    MisuseReport const report{refused(owned, Order{3})};
    EXPECT_EQ(report.kind, MisuseKind::double_free);
    EXPECT_EQ(report.state, PageState::free);
    EXPECT_EQ(report.owner, account.domain()) << "even though the block has merged into a larger one";
    EXPECT_LT(report.block, owned);
    EXPECT_GT(report.block_order, Order{3});
    EXPECT_NE(text_of(report).find("double free"), std::string::npos);
    EXPECT_NE(text_of(report).find("last owner d5"), std::string::npos);
    EXPECT_EQ(account.total(), 0u);
}

TEST_F(Misuse, DoubleFreeIsSeenWhenTheBlockCouldNotMerge)
{
    PhysAddr const other{*machine.pages().allocate(
        {.order = Order{3}, .policy = Policy::strict_node, .node = node(1), .below = PhysAddr{24 * MiB}})};
    PhysAddr const low{std::min(owned, other)};
    ASSERT_EQ(std::max(owned, other).value() - low.value(), Order{3}.bytes()) << "they are buddies";
    machine.pages().free(owned, Order{3});
    MisuseReport const report{refused(owned, Order{3})};
    EXPECT_EQ(report.kind, MisuseKind::double_free);
    EXPECT_EQ(report.block, owned);
    EXPECT_EQ(report.block_order, Order{3});
    EXPECT_EQ(report.owner, account.domain());
}

TEST_F(Misuse, WrongOrderNamesTheRightOne)
{
    for (unsigned const order : {0u, 2u, 4u, 18u, 19u, 255u}) {
        MisuseReport const report{refused(owned, Order{order})};
        EXPECT_EQ(report.kind, MisuseKind::wrong_order) << order;
        EXPECT_EQ(report.block, owned);
        EXPECT_EQ(report.block_order, Order{3});
        EXPECT_EQ(report.owner, account.domain());
        EXPECT_EQ(report.state, PageState::used);
    }
}

TEST_F(Misuse, FreeOfAMiddlePageNamesTheBlock)
{
    for (std::uint64_t n = 1; n < 8; ++n) {
        MisuseReport const report{refused(page(n), order_4k)};
        EXPECT_EQ(report.kind, MisuseKind::middle_page);
        EXPECT_EQ(report.block, owned);
        EXPECT_EQ(report.block_order, Order{3});
        EXPECT_EQ(report.owner, account.domain());
    }
    EXPECT_EQ(text_of(misuse()[0]).substr(0, 51), "mm: free of a page in the middle of a block: addres");
}

TEST_F(Misuse, FreeOfReservedMemoryAndOfNoMemoryAreToldApart)
{
    EXPECT_EQ(refused(PhysAddr{0}, order_4k).kind, MisuseKind::never_allocated);
    EXPECT_EQ(refused(PhysAddr{17 * MiB}, order_2m).kind, MisuseKind::never_allocated);
    EXPECT_EQ(refused(PhysAddr{32 * MiB - page_size}, order_4k).kind, MisuseKind::never_allocated) << "our tables";
    EXPECT_EQ(refused(PhysAddr{32 * MiB}, order_4k).kind, MisuseKind::no_memory);
    EXPECT_EQ(refused(PhysAddr{~std::uint64_t{0}}, order_4k).kind, MisuseKind::no_memory);
}

TEST_F(Misuse, FreeOfAPageThatWasAlwaysFreeIsADoubleFreeWithoutAnOwner)
{
    MisuseReport const report{refused(PhysAddr{20 * MiB}, order_4k)};
    EXPECT_EQ(report.kind, MisuseKind::double_free);
    EXPECT_EQ(report.owner, kernel_owner);
}

TEST_F(Misuse, AnAddressWithinAPageIsRefused)
{
    EXPECT_EQ(refused(PhysAddr{owned.value() + 8}, Order{3}).kind, MisuseKind::misaligned);
}

TEST_F(Misuse, TransferOfWhatIsNoBlockIsRefusedToo)
{
    misuse().clear();
    EXPECT_EQ(machine.pages().transfer(page(1), order_4k, nullptr).error(), AllocError::bad_request);
    EXPECT_EQ(machine.pages().transfer(PhysAddr{64 * MiB}, order_4k, &account).error(), AllocError::bad_request);
    ASSERT_EQ(misuse().size(), 2u);
    EXPECT_EQ(misuse()[0].kind, MisuseKind::middle_page);
    EXPECT_EQ(misuse()[1].kind, MisuseKind::no_memory);
    EXPECT_EQ(account.total(), 8u);
    EXPECT_TRUE(machine.pages().is_consistent());
}

TEST(MisuseDeathTest, AWriteAfterFreeOverAPagesLinksIsCaughtWhenThePageIsUsedAgain)
{
    TestMachine machine{TestMachine::even(1, 16 * MiB), 1};
    PhysAddr const page{*machine.pages().allocate({})};
    machine.pages().free(page, order_4k);
    EXPECT_TRUE(machine.pages().is_consistent());
    // The page has merged into a larger block; its first bytes are where that block's links are.
    machine.pages().free(page, order_4k);
    ASSERT_EQ(misuse().size(), 1u);
    auto* const links = machine.map().at<unsigned char>(misuse()[0].block);
    auto const use_it_up = [&] {
        while (machine.pages().allocate({}).ok()) {}
    };
    for (unsigned byte = 0; byte < 24; ++byte) {
        links[byte] ^= 1;
        EXPECT_FALSE(machine.pages().is_consistent()) << "byte " << byte;
        if (byte % 8 == 7) {
            EXPECT_DEATH(use_it_up(), "free pages keep what we wrote") << "byte " << byte;
        }
        links[byte] ^= 1;
    }
    EXPECT_TRUE(machine.pages().is_consistent());
    use_it_up();
    EXPECT_EQ(misuse().size(), 1u);
}

} // namespace
} // namespace hv::mm
