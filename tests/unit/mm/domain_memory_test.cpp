// Building a domain's memory and taking it down, by the same code as the kernel: where it comes from, what is refused,
// and that nothing is lost when any allocation of it fails.
#include "mm/domain_memory.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

namespace hv::mm {
namespace {

using test::block;
using test::domain;
using test::MiB;
using test::misuse;
using test::node;
using test::set_of;
using test::TestMachine;

constexpr std::uint64_t vm_pages = 24 * MiB / page_size + 3; // twelve large blocks and three pages

// Node 1 is near to node 0, node 2 is far from it.
class DomainMemories : public testing::Test {
protected:
    struct Totals {
        std::array<NodeStats, 3> nodes;
        friend bool operator==(Totals const&, Totals const&) = default;
    };

    [[nodiscard]] Totals totals()
    {
        for (unsigned n = 0; n < 3; ++n)
            while (pages.scrub_some(node(n), 4096) > 0) {}
        pages.drain_caches();
        return {{pages.stats(node(0)), pages.stats(node(1)), pages.stats(node(2))}};
    }
    void fill(unsigned n, std::uint64_t leave)
    {
        while (pages.stats(node(n)).free > leave)
            ASSERT_TRUE(pages.allocate({.policy = Policy::strict_node, .node = node(n), .owner = &thief}).ok());
    }

    TestMachine machine{TestMachine::even(3, 64 * MiB), 3, {10, 15, 40, 15, 10, 40, 40, 40, 10}};
    PageAllocator& pages{machine.pages()};
    DomainAccount vm{domain(1), vm_pages};
    DomainAccount thief{domain(2)};
    bool const is_attached{pages.attach(thief).ok()};
};

TEST_F(DomainMemories, AreAtHomeInEqualPartsWhenThereIsRoom)
{
    Totals const before{totals()};
    ASSERT_TRUE(build_memory(pages, vm, {.home = set_of({0, 2}), .pages = vm_pages}).ok());
    EXPECT_EQ(vm.total(), vm_pages);
    EXPECT_EQ(vm.pages_on(node(0)), 6 * order_2m.pages() + 2);
    EXPECT_EQ(vm.pages_on(node(2)), 6 * order_2m.pages() + 1);
    EXPECT_EQ(vm.claimed(), 0u);
    EXPECT_TRUE(pages.is_consistent());
    dismantle_memory(pages, vm);
    EXPECT_EQ(totals(), before);
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(DomainMemories, UseUpHomeInSplintersBeforeTheySpillToTheNearest)
{
    constexpr std::uint64_t left = 700; // not two large blocks, however they lie
    fill(0, left);
    ASSERT_TRUE(build_memory(pages, vm, {.home = set_of({0}), .pages = vm_pages}).ok());
    EXPECT_EQ(vm.pages_on(node(0)), left);
    EXPECT_EQ(vm.pages_on(node(1)), vm_pages - left);
    EXPECT_EQ(vm.claimed(), 0u) << "what was promised elsewhere and not needed";
    for (unsigned n = 0; n < 3; ++n)
        EXPECT_EQ(pages.stats(node(n)).claimed, 0u);
    dismantle_memory(pages, vm);
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(DomainMemories, StrictOnesAreRefusedBeforeTheyTakeAPage)
{
    fill(0, vm_pages - 1);
    Totals const before{totals()};
    auto const built = build_memory(pages, vm, {.home = set_of({0}), .pages = vm_pages, .is_strict = true});
    ASSERT_FALSE(built.ok());
    EXPECT_EQ(built.error().why, AllocError::exhausted_set);
    EXPECT_EQ(built.error().missing, 1u);
    EXPECT_EQ(totals(), before);
    EXPECT_TRUE(pages.attach(vm).ok()) << "detached again";
}

TEST_F(DomainMemories, TooLargeForTheMachineAreRefusedBeforeTheyTakeAPage)
{
    fill(0, 100);
    fill(1, 100);
    fill(2, 100);
    Totals const before{totals()};
    auto const built = build_memory(pages, vm, {.home = set_of({1}), .pages = vm_pages});
    ASSERT_FALSE(built.ok());
    EXPECT_EQ(built.error().why, AllocError::exhausted);
    EXPECT_EQ(built.error().missing, vm_pages - 300);
    EXPECT_EQ(totals(), before);
    EXPECT_EQ(build_memory(pages, vm, {.home = {}, .pages = 1}).error().why, AllocError::bad_request);
}

TEST_F(DomainMemories, TakeEverySingleBlockThatIsLeftOfTheMachine)
{
    std::uint64_t free{0};
    for (unsigned n = 0; n < 3; ++n)
        free += pages.stats(node(n)).free;
    DomainAccount all{domain(3)};
    ASSERT_TRUE(build_memory(pages, all, {.home = set_of({1}), .pages = free, .spreads = true}).ok());
    EXPECT_EQ(all.total(), free);
    for (unsigned n = 0; n < 3; ++n)
        EXPECT_EQ(pages.stats(node(n)).free, 0u);
    dismantle_memory(pages, all);
    EXPECT_TRUE(pages.is_consistent());
}

// A site is a call that can fail: the promise, and each allocation.
TEST_F(DomainMemories, AFailureThatLastsIsAnErrorAtEverySiteAndLeaksNothing)
{
    Totals const before{totals()};
    std::uint64_t sites{0};
    for (bool is_built = false; !is_built; ++sites) {
        pages.injection().fail_from(sites + 1);
        auto const built = build_memory(pages, vm, {.home = set_of({1}), .pages = vm_pages});
        pages.injection().turn_off();
        is_built = built.ok();
        if (is_built)
            break;
        EXPECT_EQ(built.error().why, AllocError::exhausted) << "site " << sites;
        ASSERT_EQ(totals(), before) << "site " << sites;
        ASSERT_TRUE(pages.is_consistent()) << "site " << sites;
    }
    EXPECT_EQ(sites, 1u + 12 + 3) << "the promise, twelve large blocks and three pages";
    EXPECT_FALSE(vm.is_dying()) << "of the attempts before";
    dismantle_memory(pages, vm);
    EXPECT_EQ(totals(), before);
    EXPECT_TRUE(misuse().empty());
}

TEST_F(DomainMemories, AFailureThatPassesCostsAtMostALargeBlock)
{
    Totals const before{totals()};
    for (std::uint64_t site = 1; site <= 16; ++site) {
        pages.injection().fail_nth(site);
        std::uint64_t const injected{pages.injection().injected()};
        ASSERT_TRUE(build_memory(pages, vm, {.home = set_of({1}), .pages = vm_pages}).ok()) << "site " << site;
        EXPECT_EQ(pages.injection().injected(), injected + 1);
        // A single page that is refused at home comes from next door.
        EXPECT_GE(vm.pages_on(node(1)), vm_pages - 1);
        dismantle_memory(pages, vm);
        ASSERT_EQ(totals(), before) << "site " << site;
    }
    pages.injection().turn_off();
}

TEST_F(DomainMemories, StrictOnesNeverLeaveHomeWhateverFails)
{
    Totals const before{totals()};
    for (std::uint64_t site = 1; site <= 16; ++site) {
        pages.injection().fail_nth(site);
        auto const built = build_memory(pages, vm, {.home = set_of({1}), .pages = vm_pages, .is_strict = true});
        if (built) {
            EXPECT_EQ(vm.pages_on(node(1)), vm_pages) << "site " << site;
            dismantle_memory(pages, vm);
        } else {
            EXPECT_TRUE(site == 1 || site > 13) << "a large block can be had in pages: site " << site;
        }
        ASSERT_EQ(totals(), before) << "site " << site;
    }
    pages.injection().turn_off();
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(DomainMemories, OfTheDeadIsFoundAmongThatOfTheLiving)
{
    // Page by page in turn, so that a walk meets both, and more of them than it looks at under one lock.
    ASSERT_TRUE(pages.attach(vm).ok());
    for (unsigned i = 0; i < 3000; ++i)
        for (DomainAccount* const owner : {&thief, &vm})
            ASSERT_TRUE(pages.allocate({.node = node(0), .owner = owner}).ok());
    dismantle_memory(pages, vm);
    EXPECT_EQ(vm.total(), 0u);
    EXPECT_EQ(thief.total(), 3000u);
    EXPECT_EQ(pages.stats(node(0)).dirty, 3000u);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_TRUE(misuse().empty());
}

} // namespace
} // namespace hv::mm
