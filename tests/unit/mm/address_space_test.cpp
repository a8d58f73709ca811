#include "mm/address_space.hpp"

#include "tests/unit/mm/address_space_host.hpp"

#include <gtest/gtest.h>

#include <array>

namespace hv::mm {
namespace {

using test::cpu;
using test::GiB;
using test::here;
using test::KiB;
using test::large_page;
using test::MappedPage;
using test::MappedPages;
using test::MiB;
using test::node;
using Host = test::AddressSpaceHost;

void load_nothing(PhysAddr) noexcept {}

TEST(AddressSpace, SharesTheKernelsHalfAndBeginsEmpty)
{
    Host host;
    EXPECT_EQ(paging::table_of(host.top()[511]), PhysAddr{0x5000});
    EXPECT_TRUE(host.walk().empty());
    EXPECT_EQ(host.machine().node_of(host.space.root()), node(1));
}

TEST(AddressSpace, TranslatesWhatIsMappedAndNothingElse)
{
    Host host;
    ASSERT_TRUE(host.map(0x40'0000, 0x123000, 3 * page_size, Access::read_execute).ok());
    EXPECT_EQ(host.space.translate(here, VirtAddr{0x40'1234}),
              (Translation{PhysAddr{0x124234}, {.access = Access::read_execute, .user = true}, 4 * KiB}));
    EXPECT_FALSE(host.space.translate(here, VirtAddr{0x40'3000}));
    EXPECT_FALSE(host.space.translate(here, VirtAddr{0x3f'ffff}));
    EXPECT_FALSE(host.space.translate(here, VirtAddr{~std::uint64_t{0}})); // The kernel's is not its business.
}

TEST(AddressSpace, UsesLargePagesWhereBothAddressesAllowIt)
{
    Host host;
    ASSERT_TRUE(host.map(4 * MiB - page_size, 8 * MiB - page_size, 2 * large_page + 2 * page_size).ok());
    MappedPages const found{host.walk()};
    EXPECT_EQ(found.size(), 4u);
    EXPECT_EQ(found.at(4 * MiB), (MappedPage{PhysAddr{8 * MiB}, Access::read_write, large_page}));
    EXPECT_EQ(host.space.table_pages(here), 1u + 2 + 2); // small pages before and behind
    ASSERT_TRUE(host.map(GiB, 16 * MiB + page_size, large_page).ok());
    ASSERT_TRUE(host.map(GiB + large_page, 32 * MiB, large_page, Access::read, false).ok());
    EXPECT_EQ(host.walk().size(), 4u + 2 * 512);
}

TEST(AddressSpace, RefusesRangesThatMakeNoSense)
{
    Host host;
    for (auto const& [from, bytes] : std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>{
             {0x40'0000, 0},
             {0x40'0000, 100},
             {0x40'0800, page_size},
             {0, page_size},
             {user_start - page_size, page_size},
             {user_end, page_size},
             {user_end - page_size, 2 * page_size},
             {user_end - page_size, ~std::uint64_t{0} - page_size + 1},
             {0xffff'8000'0000'0000, page_size}}) {
        EXPECT_EQ(host.map(from, 0, bytes).error(), MapError::bad_range) << std::hex << from << ' ' << bytes;
        EXPECT_EQ(host.unmap(from, bytes).error(), MapError::bad_range);
        EXPECT_EQ(host.protect(from, bytes, Access::read).error(), MapError::bad_range);
    }
    EXPECT_EQ(host.map(0x40'0000, 0x800, page_size).error(), MapError::bad_range);
    EXPECT_EQ(host.map(0x40'0000, physical_limit, page_size).error(), MapError::bad_range);
    EXPECT_TRUE(host.map(user_end - page_size, physical_limit - page_size, page_size).ok());
    EXPECT_TRUE(host.map(user_start, 0, page_size).ok());
}

TEST(AddressSpace, RefusesToMapTwiceToUnmapHolesAndToSplitPages)
{
    Host host;
    ASSERT_TRUE(host.map(large_page, 4 * MiB, large_page).ok());
    ASSERT_TRUE(host.map(3 * large_page - page_size, 0x1000, page_size).ok());
    MappedPages const before{host.walk()};
    EXPECT_EQ(host.map(large_page + page_size, 0, page_size).error(), MapError::occupied);
    EXPECT_EQ(host.map(2 * large_page, 8 * MiB, 2 * large_page).error(),
              MapError::occupied); // by the last page but 512
    EXPECT_EQ(host.unmap(large_page, 2 * large_page).error(), MapError::not_mapped);
    EXPECT_EQ(host.unmap(large_page + page_size, large_page - page_size).error(), MapError::splits_page);
    EXPECT_EQ(host.protect(large_page, large_page - page_size, Access::read).error(), MapError::splits_page);
    EXPECT_EQ(host.protect(3 * large_page - page_size, 2 * page_size, Access::read).error(), MapError::not_mapped);
    EXPECT_EQ(host.walk(), before);
    EXPECT_TRUE(host.given.empty() && host.interrupted.empty());
}

TEST(AddressSpace, TakesTablesFromItsNodeAndFromTheNextWhenThatIsExhausted)
{
    Host host;
    std::vector<PhysAddr> hoard;
    ASSERT_TRUE(host.map(GiB, 0x1000, page_size).ok());
    EXPECT_EQ(host.machine().node_of(paging::table_of(host.top()[0])), node(1));
    while (Result<PhysAddr, AllocError> const page =
               host.pages().allocate({.policy = Policy::strict_node, .node = node(1)}))
        hoard.push_back(*page);
    ASSERT_TRUE(host.map(600 * GiB, 0x1000, page_size).ok());
    EXPECT_EQ(host.machine().node_of(paging::table_of(host.top()[1])), node(0));
    for (PhysAddr const page : hoard)
        host.pages().free(page, order_4k);
}

TEST(AddressSpace, ChargesItsTablesToItsOwner)
{
    Host host{true}; // whose limit is five pages
    ASSERT_TRUE(host.map(GiB, 0x1000, page_size).ok());
    EXPECT_EQ(host.account.total(), 4u);
    EXPECT_EQ(host.map(2 * GiB, 0x1000, page_size).error(), MapError::no_memory);
    EXPECT_EQ(host.account.total(), 4u);
    ASSERT_TRUE(host.unmap(GiB, page_size).ok());
    EXPECT_EQ(host.account.pages_on(node(1)), 1u);
}

// Each injected failure in turn: a clear error, no page lost, the tables as they were.
TEST(AddressSpace, ThatFindsNoPageForATableChangesNothing)
{
    Host host;
    ASSERT_TRUE(host.map(GiB - page_size, 0x7000, page_size).ok());
    // From the middle of an existing table, over directories and a top-level boundary, to another.
    std::uint64_t const from{512 * GiB - 3 * large_page - page_size}, bytes{6 * large_page + 2 * page_size};
    MappedPages const before{host.walk()};
    std::array const stats{host.pages().stats(node(0)), host.pages().stats(node(1))};
    std::uint64_t const tables{host.space.table_pages(here)};
    unsigned failures{0};
    for (std::uint64_t n = 1;; ++n) {
        host.pages().injection().fail_nth(n);
        Status<MapError> const mapped{host.map(from, page_size, bytes)};
        host.pages().injection().turn_off();
        if (mapped)
            break;
        ++failures;
        ASSERT_EQ(mapped.error(), MapError::no_memory);
        ASSERT_EQ(host.space.table_pages(here), tables);
        ASSERT_EQ(host.walk(), before);
        ASSERT_EQ(host.pages().stats(node(0)), stats[0]);
        ASSERT_EQ(host.pages().stats(node(1)), stats[1]);
    }
    // A directory pointer table, two directories, eight tables of pages.
    EXPECT_EQ(failures, 1u + 2 + 8);
    EXPECT_EQ(host.space.table_pages(here), tables + failures);
    EXPECT_EQ(host.walk().size(), before.size() + bytes / page_size);
}

TEST(AddressSpace, ThatCannotBeBuiltHasTakenNothing)
{
    Host host;
    host.space.demolish(here, {});
    host.pages().injection().fail_nth(1);
    EXPECT_EQ(host.space.build(here).error(), AllocError::exhausted);
    host.pages().injection().turn_off();
    EXPECT_TRUE(host.space.build(here).ok());
}

TEST(AddressSpace, InterruptsEachPcpuThatHasItLoadedOnceForAWholeChange)
{
    Host host;
    for (unsigned const n : {0u, 3u, 64u, 69u})
        AddressSpace::switch_between(cpu(n), nullptr, &host.space, PhysAddr{}, load_nothing);
    AddressSpace::switch_between(cpu(3), &host.space, nullptr, PhysAddr{}, load_nothing);
    EXPECT_TRUE(host.space.is_loaded_on(cpu(69)) && !host.space.is_loaded_on(cpu(3)));
    std::vector<bool> everything;
    host.on_invalidate = [&](Invalidation const& what) { everything.push_back(what.is_everything()); };
    for (unsigned const count : {1u, 5u, 10'000u}) {
        host.interrupted.clear();
        everything.clear();
        ASSERT_TRUE(host.map(GiB, GiB, count * page_size, Access::read_write, false).ok());
        EXPECT_TRUE(host.interrupted.empty()); // Nobody remembers what was not there.
        {
            AddressSpace::Change change{host.space, here, {}};
            for (unsigned i = 0; i < count; i += count / 5 + 1)
                ASSERT_TRUE(change.protect({VirtAddr{GiB + i * page_size}, page_size}, Access::read).ok());
            ASSERT_TRUE(change.unmap({VirtAddr{GiB}, count * page_size}).ok());
            EXPECT_TRUE(host.interrupted.empty());
        }
        EXPECT_EQ(host.interrupted, (std::vector<unsigned>{64, 69}));
        EXPECT_EQ(everything, std::vector<bool>(3, count > Invalidation::most_pages)); // 0 itself, too
    }
    for (unsigned const n : {0u, 64u, 69u})
        AddressSpace::switch_between(cpu(n), &host.space, nullptr, PhysAddr{}, load_nothing);
    host.interrupted.clear();
    ASSERT_TRUE(host.map(GiB, GiB, page_size).ok());
    EXPECT_TRUE(host.unmap(GiB, page_size).ok());
    EXPECT_TRUE(host.interrupted.empty());
}

TEST(AddressSpace, GivesPagesAndTablesBackOnlyWhenTheLastPcpuHasForgotten)
{
    Host host;
    for (unsigned n = 1; n < 4; ++n)
        AddressSpace::switch_between(cpu(n), nullptr, &host.space, PhysAddr{}, load_nothing);
    ASSERT_TRUE(host.map(GiB, GiB, large_page + page_size).ok());
    NodeStats const with_tables{host.pages().stats(node(1))};
    unsigned forgot{0};
    host.on_invalidate = [&](Invalidation const&) {
        ++forgot;
        EXPECT_TRUE(host.given.empty());
        EXPECT_EQ(host.pages().stats(node(1)), with_tables);
        EXPECT_FALSE(paging::is_present(host.top()[0])); // but the processor finds nothing any more
    };
    ASSERT_TRUE(host.unmap(GiB, large_page + page_size).ok());
    EXPECT_EQ(forgot, 3u);
    EXPECT_EQ(host.given, (std::vector<std::pair<PhysAddr, std::uint64_t>>{{PhysAddr{GiB}, large_page},
                                                                           {PhysAddr{GiB + large_page}, page_size}}));
    EXPECT_EQ(host.pages().stats(node(1)).free, with_tables.free + 3);
    for (unsigned n = 1; n < 4; ++n)
        AddressSpace::switch_between(cpu(n), &host.space, nullptr, PhysAddr{}, load_nothing);
}

TEST(AddressSpace, IsEnteredBeforeItIsLoadedAndLeftAfterwards)
{
    static constinit AddressSpace* observed{nullptr};
    static constinit unsigned right{0};
    Host host;
    observed = &host.space;
    auto const load = [](PhysAddr root) noexcept {
        right += observed->is_loaded_on(cpu(5)) && (root == observed->root() || root == PhysAddr{0x9000}) ? 1u : 0u;
    };
    AddressSpace::switch_between(cpu(5), nullptr, &host.space, PhysAddr{0x9000}, load);
    AddressSpace::switch_between(cpu(5), &host.space, &host.space, PhysAddr{0x9000}, load); // already there
    AddressSpace::switch_between(cpu(5), &host.space, nullptr, PhysAddr{0x9000}, load);
    EXPECT_EQ(right, 2u);
    EXPECT_FALSE(host.space.is_loaded_on(cpu(5)));
}

TEST(AddressSpaceDeathTest, IsNotDemolishedWhereItIsLoadedNorForgottenWhileItHasTables)
{
    EXPECT_DEATH(
        {
            Host host;
            AddressSpace::switch_between(cpu(1), nullptr, &host.space, PhysAddr{}, load_nothing);
            host.space.demolish(here, {});
        },
        "loaded_on_");
    Host host;
    AddressSpace::Home const home{
        .pages = &host.pages(), .shoot_down = &host.shoot_down(), .pcpus = 1, .kernel_root = host.space.root()};
    EXPECT_DEATH({ static_cast<void>(AddressSpace{home}.build(here)); }, "root_");
}

} // namespace
} // namespace hv::mm
