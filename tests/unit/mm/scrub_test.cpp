#include "mm/page_allocator.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

namespace hv::mm {
namespace {

using test::block;
using test::domain;
using test::GiB;
using test::MiB;
using test::misuse;
using test::node;
using test::TestMachine;

class Scrubbing : public testing::Test {
protected:
    Scrubbing()
    {
        std::array<NodeId, 2> const node_of{node(0), node(1)};
        EXPECT_TRUE(pages.create_caches(node_of).ok());
        EXPECT_TRUE(pages.attach(secretive).ok());
        before = {pages.stats(node(0)), pages.stats(node(1))};
    }

    // The domain fills `count` blocks with its secret, then dies.
    void live_and_die(Order order, unsigned count, unsigned on = 0)
    {
        std::vector<PhysAddr> mine;
        for (unsigned i = 0; i < count; ++i) {
            mine.push_back(*pages.allocate(CpuId{0}, {.order = order, .node = node(on), .owner = &secretive}));
            fill(mine.back(), order, 0x5EC2E7);
        }
        pages.begin_destruction(secretive);
        for (PhysAddr const each : mine)
            pages.free(CpuId{0}, each, order);
        EXPECT_EQ(secretive.total(), 0u);
    }
    void fill(PhysAddr at, Order order, std::uint64_t word)
    {
        auto* const words = machine.map().at<std::uint64_t>(at);
        for (std::uint64_t i = 0; i < order.bytes() / 8; ++i)
            words[i] = word;
    }
    [[nodiscard]] bool has_secret(PhysAddr at, Order order) const
    {
        auto const* const words = machine.map().at<std::uint64_t const>(at);
        for (std::uint64_t i = 0; i < order.bytes() / 8; ++i)
            if (words[i] == 0x5EC2E7)
                return true;
        return false;
    }

    TestMachine machine{TestMachine::even(2, 64 * MiB), 2};
    PageAllocator& pages{machine.pages()};
    DomainAccount secretive{domain(7)};
    std::array<NodeStats, 2> before;
};

TEST_F(Scrubbing, ADeadDomainsPagesAreFreeButDirtyUntilTheyAreZeroed)
{
    live_and_die(order_2m, 3);
    pages.drain_caches();
    EXPECT_EQ(pages.stats(node(0)).dirty, 3 * 512u);
    EXPECT_EQ(pages.stats(node(0)).free, before[0].free);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_EQ(pages.scrub_some(node(1), 1'000'000), 0u) << "another node's business";
    EXPECT_EQ(pages.scrub_some(node(0), 1'000'000), 3 * 512u);
    EXPECT_EQ(pages.stats(node(0)), before[0]);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_TRUE(pages.detach(secretive).ok());
}

TEST_F(Scrubbing, StopsWhenItsBudgetIsSpentAndGoesOnLater)
{
    live_and_die(order_2m, 2);
    std::uint64_t zeroed{0};
    for (int step = 1; zeroed < 1024; ++step) {
        std::uint64_t const now{pages.scrub_some(node(0), 16)};
        EXPECT_GT(now, 0u);
        EXPECT_LE(now, 16u);
        zeroed += now;
        EXPECT_EQ(pages.stats(node(0)).dirty, 1024 - zeroed);
        if (step % 10 == 0) {
            ASSERT_TRUE(pages.is_consistent());
        }
    }
    EXPECT_EQ(pages.scrub_some(node(0), 16), 0u);
    pages.drain_caches();
    EXPECT_EQ(pages.stats(node(0)), before[0]);
}

// As idle pCPUs do it: the second and third begin while the first one is in the middle of a page.
TEST(ScrubbingTogether, OnePcpuANodeIsEnoughAndOtherNodesGoOn)
{
    static PageAllocator* scrubbed;
    static std::array<std::uint64_t, 2> by_others;
    static bool is_first;
    by_others = {};
    is_first = true;
    Zeroer const zero = [](void* memory, std::uint64_t bytes) {
        std::memset(memory, 0, bytes);
        if (std::exchange(is_first, false))
            by_others = {scrubbed->scrub_some(node(0), 4), scrubbed->scrub_some(node(1), 4)};
    };
    TestMachine machine{TestMachine::even(2, 64 * MiB), 2, {}, {}, {.zero = zero}};
    scrubbed = &machine.pages();
    DomainAccount account{domain(7)};
    ASSERT_TRUE(scrubbed->attach(account).ok());
    std::array<PhysAddr, 2> blocks;
    for (unsigned n = 0; n < 2; ++n)
        blocks[n] = *scrubbed->allocate({.order = order_2m, .node = node(n), .owner = &account});
    scrubbed->begin_destruction(account);
    for (PhysAddr const each : blocks)
        scrubbed->free(each, order_2m);
    EXPECT_EQ(scrubbed->scrub_some(node(0), 4), 4u);
    EXPECT_EQ(by_others, (std::array<std::uint64_t, 2>{0, 4}));
    EXPECT_EQ(scrubbed->scrub_some(node(0), 512), 508u) << "the first one is done: the next may";
    EXPECT_EQ(scrubbed->scrub_some(node(1), 512), 508u);
    EXPECT_TRUE(scrubbed->is_consistent());
}

TEST_F(Scrubbing, NobodyEverSeesWhatADeadDomainLeft)
{
    live_and_die(order_4k, 3000);
    for (Order const order : {order_2m, Order{3}, order_4k}) {
        while (Result<PhysAddr, AllocError> const got =
                   pages.allocate(CpuId{0}, {.order = order, .policy = Policy::strict_node, .node = node(0)}))
            ASSERT_FALSE(has_secret(*got, order));
    }
    EXPECT_EQ(pages.stats(node(0)).free, 0u) << "dirty pages were served, zeroed on the spot";
    EXPECT_EQ(pages.stats(node(0)).dirty, 0u);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_TRUE(misuse().empty());
}

TEST_F(Scrubbing, ALargeBlockIsPutTogetherFromDirtyOnes)
{
    // The domain has all of node 0, in small pieces.
    std::vector<std::pair<PhysAddr, Order>> mine;
    for (Order const order : {Order{5}, order_4k})
        while (Result<PhysAddr, AllocError> const got = pages.allocate(
                   {.order = order, .policy = Policy::strict_node, .node = node(0), .owner = &secretive})) {
            fill(*got, order, 0x5EC2E7);
            mine.emplace_back(*got, order);
        }
    pages.begin_destruction(secretive);
    for (auto const& [address, order] : mine)
        pages.free(address, order);
    EXPECT_EQ(pages.stats(node(0)).dirty, pages.stats(node(0)).free);
    Result<PhysAddr, AllocError> const large =
        pages.allocate({.order = Order{12}, .policy = Policy::strict_node, .node = node(0)});
    ASSERT_TRUE(large.ok());
    EXPECT_FALSE(has_secret(*large, Order{12}));
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Scrubbing, ALivingDomainsPagesAreNotZeroed)
{
    PhysAddr const page{*pages.allocate({.node = node(0), .owner = &secretive})};
    pages.free(page, order_4k);
    EXPECT_EQ(pages.stats(node(0)).dirty, 0u);
}

// Low memory: what lies below 4 GiB. Node 0 has both, node 1 only high memory.
class LowMemory : public testing::Test {
protected:
    static constexpr std::uint64_t reserve = 1024;

    LowMemory()
        : machine{{block(0, 16 * MiB, 0), block(4 * GiB, 16 * MiB, 0), block(4 * GiB + 16 * MiB, 16 * MiB, 1)},
                  2,
                  {},
                  {},
                  {.low_reserve = reserve}}
    {
    }

    TestMachine machine;
    PageAllocator& pages{machine.pages()};
};

TEST_F(LowMemory, IsTheLastToGoOnItsNode)
{
    bool seen_low{false};
    while (Result<PhysAddr, AllocError> const got = pages.allocate({.policy = Policy::strict_node, .node = node(0)})) {
        bool const is_low = got->value() < low_memory_limit;
        EXPECT_TRUE(is_low || !seen_low);
        seen_low = seen_low || is_low;
    }
    EXPECT_TRUE(seen_low) << "who wants this node may have all of it";
    EXPECT_EQ(pages.stats(node(0)).free, 0u);
}

TEST_F(LowMemory, AnAddressLimitIsKeptToTheByte)
{
    for (std::uint64_t const limit : {4 * GiB, 16 * MiB, 5 * MiB, 3 * MiB + page_size, MiB}) {
        for (Order const order : {order_2m, Order{3}, order_4k}) {
            Result<PhysAddr, AllocError> const got =
                pages.allocate({.order = order, .node = node(1), .below = PhysAddr{limit}});
            EXPECT_EQ(got.ok(), limit >= 4 * MiB || order != order_2m) << limit; // Page 0 is nobody's.
            if (!got)
                continue;
            EXPECT_LE(got->value() + order.bytes(), limit);
            EXPECT_EQ(machine.node_of(*got), node(0));
            pages.free(*got, order);
            EXPECT_TRUE(pages.is_consistent());
        }
    }
    EXPECT_EQ(pages.allocate({.node = node(0), .below = PhysAddr{page_size}}).error(), AllocError::exhausted)
        << "page 0 is nobody's";
    EXPECT_EQ(pages.allocate({.policy = Policy::strict_node, .node = node(1), .below = PhysAddr{4 * GiB}}).error(),
              AllocError::exhausted_node);
}

TEST_F(LowMemory, EveryPageBelowALimitCanBeHadAndNoneThatReachesOverIt)
{
    for (std::uint64_t const limit : {3 * MiB + page_size, 5 * MiB - page_size, 9 * MiB}) {
        for (Order const order : {Order{3}, order_4k}) {
            std::vector<PhysAddr> taken;
            while (Result<PhysAddr, AllocError> const got =
                       pages.allocate({.order = order, .node = node(0), .below = PhysAddr{limit}})) {
                ASSERT_LE(got->value() + order.bytes(), limit);
                taken.push_back(*got);
            }
            EXPECT_EQ(taken.size(), limit / order.bytes() - 1) << "all but the block with page 0";
            for (PhysAddr const block : taken)
                pages.free(block, order);
        }
    }
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(LowMemory, StrangersLeaveTheReserveAloneAsLongAsThereIsAnythingElse)
{
    // From node 1 to node 0: first its high memory, then low memory down to the reserve, and that only at the very end.
    std::uint64_t highest_low{0};
    std::uint64_t got_low{0};
    while (Result<PhysAddr, AllocError> const got = pages.allocate({.node = node(1)})) {
        if (got->value() >= low_memory_limit) {
            EXPECT_EQ(got_low, 0u);
            continue;
        }
        ++got_low;
        highest_low = std::max(highest_low, got->value());
    }
    EXPECT_GT(got_low, reserve);
    EXPECT_EQ(pages.stats(node(0)).free, 0u) << "before it says exhausted it takes even that";
}

TEST(LowReserve, SendsStrangersToAFartherNodeFirst)
{
    // Node 0 is nearer to node 2 than node 1 is, and has low memory only.
    TestMachine machine{{block(0, 16 * MiB, 0), block(4 * GiB, 16 * MiB, 1)},
                        3,
                        {10, 20, 20, 20, 10, 30, 20, 30, 10},
                        {},
                        {.low_reserve = 1024}};
    PageAllocator& pages = machine.pages();
    std::vector<unsigned> runs;
    std::uint64_t first_run{0};
    while (Result<PhysAddr, AllocError> const got = pages.allocate({.node = node(2)})) {
        unsigned const from{machine.node_of(*got).value()};
        if (runs.empty() || runs.back() != from)
            runs.push_back(from);
        first_run += runs.size() == 1 ? 1u : 0u;
    }
    EXPECT_EQ(runs, (std::vector{0u, 1u, 0u}));
    EXPECT_EQ(first_run + 1024 + pages.stats(node(0)).reserved, pages.stats(node(0)).present);
    // And nobody is pushed off his own node by it.
    for (unsigned i = 0; i < 2; ++i)
        EXPECT_EQ(pages.stats(node(i)).free, 0u);
}

} // namespace
} // namespace hv::mm
