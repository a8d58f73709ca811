#include "mm/object_cache.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace hv::mm {
namespace {

using test::cpu;
using test::MiB;
using test::misuse;
using test::node;
using test::TestMachine;

class Objects : public testing::Test {
protected:
    Objects() { before = {pages.stats(node(0)), pages.stats(node(1))}; }

    [[nodiscard]] NodeId home_of(void* object)
    {
        auto const base = reinterpret_cast<std::uintptr_t>(machine.map().at<std::byte>(PhysAddr{0}));
        return machine.node_of(PhysAddr{reinterpret_cast<std::uintptr_t>(object) - base});
    }
    void expect_everything_back()
    {
        for (unsigned n = 0; n < 3; ++n)
            cache.drain(cpu(n));
        for (unsigned n = 0; n < 2; ++n) {
            EXPECT_EQ(cache.stats(node(n)).given, 0u);
            EXPECT_LE(cache.stats(node(n)).slabs, 1u);
            EXPECT_EQ(pages.stats(node(n)).used, before[n].used + cache.stats(node(n)).slabs);
        }
        EXPECT_TRUE(misuse().empty());
    }

    TestMachine machine{TestMachine::even(2, 4 * MiB), 2};
    PageAllocator& pages{machine.pages()};
    std::array<NodeId, 3> node_of{node(0), node(1), node(1)};
    ObjectCache& cache{**ObjectCache::create(pages, 120, 8, node_of)};
    std::array<NodeStats, 2> before;
};

TEST_F(Objects, LieOnTheNodeAskedForAndDoNotOverlap)
{
    std::mt19937 random{1};
    std::vector<std::pair<unsigned char*, unsigned char>> live;
    for (int i = 0; i < 20'000; ++i) {
        CpuId const self{cpu(static_cast<unsigned>(random() % 3))};
        if (random() % 100 < 52 || live.empty()) {
            NodeId const home{node(static_cast<unsigned>(random() % 2))};
            auto* const object = static_cast<unsigned char*>(cache.allocate(self, home));
            ASSERT_NE(object, nullptr);
            EXPECT_EQ(home_of(object), home);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(object) % 8, 0u);
            auto const mark = static_cast<unsigned char>(random());
            std::memset(object, mark, 120);
            live.emplace_back(object, mark);
        } else {
            std::swap(live[random() % live.size()], live.back());
            auto const [object, mark] = live.back();
            for (unsigned byte = 0; byte < 120; ++byte)
                ASSERT_EQ(object[byte], mark);
            cache.free(self, object);
            live.pop_back();
        }
    }
    for (auto const& [object, mark] : live)
        cache.free(cpu(0), object);
    expect_everything_back();
}

TEST_F(Objects, ComeFromTheMagazineAgainWithoutTouchingTheDepot)
{
    void* const object{cache.allocate(cpu(0), node(0))};
    ObjectCache::Stats const after_first{cache.stats(node(0))};
    EXPECT_EQ(after_first.given, 8u) << "half a magazine";
    for (int i = 0; i < 100; ++i) {
        cache.free(cpu(0), object);
        EXPECT_EQ(cache.allocate(cpu(0), node(0)), object);
        EXPECT_EQ(cache.stats(node(0)), after_first);
    }
    cache.free(cpu(0), object);
    expect_everything_back();
}

TEST_F(Objects, GoHomeWhenAPcpuOfAnotherNodeFreesThem)
{
    void* const object{cache.allocate(cpu(1), node(0))};
    EXPECT_EQ(cache.stats(node(0)).given, 1u) << "no magazine holds what is far away";
    cache.free(cpu(2), object);
    EXPECT_EQ(cache.stats(node(0)).given, 0u);
    EXPECT_EQ(cache.stats(node(1)).given, 0u);
    expect_everything_back();
}

TEST_F(Objects, OfAFullNodeAreRefusedAndOthersGoOn)
{
    std::vector<void*> all;
    while (void* const object = cache.allocate(cpu(0), node(0)))
        all.push_back(object);
    EXPECT_EQ(all.size(), before[0].free * cache.objects_per_slab());
    EXPECT_EQ(std::set<void*>(all.begin(), all.end()).size(), all.size());
    void* const elsewhere{cache.allocate(cpu(0), node(1))};
    EXPECT_NE(elsewhere, nullptr);
    cache.free(cpu(0), elsewhere);
    for (void* const object : all)
        cache.free(cpu(0), object);
    expect_everything_back();
    EXPECT_TRUE(pages.is_consistent());
}

TEST_F(Objects, GivenBackTwiceOrNeverTakenAreReported)
{
    auto* const object = static_cast<std::byte*>(cache.allocate(cpu(0), node(0)));
    cache.free(cpu(0), object + 8);
    cache.free(cpu(0), machine.map().at<std::byte>(*pages.allocate({})));
    cache.free(cpu(0), object);
    cache.free(cpu(0), object);
    ASSERT_EQ(misuse().size(), 3u);
    EXPECT_EQ(misuse()[0].kind, MisuseKind::never_allocated);
    EXPECT_EQ(misuse()[1].kind, MisuseKind::never_allocated);
    EXPECT_EQ(misuse()[2].kind, MisuseKind::double_free);
    EXPECT_NE(misuse()[2].caller, 0u);
    EXPECT_EQ(cache.stats(node(0)).given, 8u);
}

TEST_F(Objects, FailOnPurposeAndWhenTheyMakeNoSense)
{
    pages.injection().fail_nth(1);
    EXPECT_EQ(cache.allocate(cpu(0), node(0)), nullptr);
    pages.injection().fail_nth(2); // The slab's page.
    EXPECT_EQ(cache.allocate(cpu(0), node(0)), nullptr);
    pages.injection().turn_off();
    EXPECT_EQ(ObjectCache::create(pages, 0, 8, node_of).error(), AllocError::bad_request);
    EXPECT_EQ(ObjectCache::create(pages, 1025, 8, node_of).error(), AllocError::bad_request);
    EXPECT_EQ(ObjectCache::create(pages, 64, 24, node_of).error(), AllocError::bad_request);
    expect_everything_back();
}

} // namespace
} // namespace hv::mm
