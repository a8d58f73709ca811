// VMs as they come and go: claims first, then memory in 2 MiB blocks, then death and zeroing. The machine is the one of
// the NUMA posts, 12 GiB on two nodes with the PCI hole in node 0; its pages are never touched but for list links, so
// it costs the host next to nothing.
#include "mm/domain_memory.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>

namespace hv::mm {
namespace {

using test::block;
using test::domain;
using test::GiB;
using test::MiB;
using test::misuse;
using test::node;
using test::TestMachine;

std::uint64_t zeroed{0};

struct Vm {
    explicit Vm(unsigned id) : account{domain(id), 960 * MiB / page_size} {}

    DomainAccount account;
};

class VmRounds : public testing::Test {
protected:
    static constexpr std::uint64_t vm_pages = 960 * MiB / page_size;

    VmRounds()
    {
        std::array<NodeId, 16> node_of{};
        for (unsigned cpu = 8; cpu < 16; ++cpu)
            node_of[cpu] = node(1);
        EXPECT_TRUE(pages.create_caches(node_of).ok());
    }

    Status<MemoryShortage> build(Vm& vm, NodeId home)
    {
        return build_memory(pages, vm.account, {.home = NodeMask::of(home), .pages = vm_pages, .is_strict = true});
    }
    void destroy(Vm& vm)
    {
        dismantle_memory(pages, vm.account);
        EXPECT_EQ(vm.account.total(), 0u);
    }
    void scrub_everything()
    {
        for (unsigned n = 0; n < 2; ++n)
            while (pages.scrub_some(node(n), 4096) > 0) {}
    }
    [[nodiscard]] std::array<NodeStats, 2> totals()
    {
        pages.drain_caches();
        return {pages.stats(node(0)), pages.stats(node(1))};
    }

    TestMachine machine{{block(0, 3 * GiB, 0), block(4 * GiB, 3 * GiB, 0), block(7 * GiB, 6 * GiB, 1)},
                        2,
                        {},
                        {},
                        {.zero = [](void*, std::uint64_t bytes) { zeroed += bytes; }, .poison = false}};
    PageAllocator& pages{machine.pages()};
};

// NV_VM_ROUNDS=1000 in make soak.
TEST_F(VmRounds, TenVmsComeAndGoAndEveryPageIsAtHomeAndEveryTotalAsBefore)
{
    char const* const wanted{std::getenv("NV_VM_ROUNDS")};
    int const rounds{wanted != nullptr ? std::atoi(wanted) : 16};
    std::array<NodeStats, 2> const before{totals()};
    zeroed = 0;
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
        std::deque<Vm> vms;
        for (unsigned i = 0; i < 10; ++i) {
            Vm& vm{vms.emplace_back(i + 1)};
            // Who is fifth on a node comes before the fourth on the other: the order must not matter.
            NodeId const home{node((i + static_cast<unsigned>(round)) % 2)};
            ASSERT_TRUE(build(vm, home).ok());
            EXPECT_EQ(vm.account.pages_on(home), vm_pages) << "there is room at home";
            EXPECT_EQ(vm.account.claimed(), 0u);
        }
        ASSERT_TRUE(pages.is_consistent()) << "a full walk, owners included";
        for (Vm& vm : vms)
            destroy(vm);
        EXPECT_GE(totals()[0].dirty + totals()[1].dirty, 10 * vm_pages);
        if (round % 2 == 0)
            scrub_everything(); // Else the next round's allocations have to.
    }
    scrub_everything();
    EXPECT_EQ(zeroed, static_cast<std::uint64_t>(rounds) * 10 * 960 * MiB) << "every page once for each death";
    EXPECT_EQ(totals(), before);
    EXPECT_TRUE(pages.is_consistent());
    EXPECT_TRUE(misuse().empty());
}

TEST_F(VmRounds, AnEleventhVmIsRefusedBeforeItTakesAPage)
{
    std::deque<Vm> vms;
    for (unsigned i = 0; i < 12; ++i)
        ASSERT_TRUE(build(vms.emplace_back(i + 1), node(i % 2)).ok());
    std::array<NodeStats, 2> const full{totals()};
    Vm one_too_many{13};
    EXPECT_EQ(build(one_too_many, node(0)).error().why, AllocError::exhausted_set);
    EXPECT_EQ(totals(), full);
}

TEST_F(VmRounds, RandomFailuresHitAboutAsOftenAsAskedForAndTheSameWayEachTime)
{
    std::array<std::vector<bool>, 2> got;
    for (std::vector<bool>& run : got) {
        pages.injection().fail_one_in(10, 42);
        for (int i = 0; i < 1000; ++i) {
            Result<PhysAddr, AllocError> const page = pages.allocate(CpuId{0}, {.node = node(0)});
            run.push_back(page.ok());
            if (page)
                pages.free(CpuId{0}, *page, order_4k);
        }
    }
    pages.injection().turn_off();
    EXPECT_EQ(got[0], got[1]);
    auto const failures = std::count(got[0].begin(), got[0].end(), false);
    EXPECT_GT(failures, 60);
    EXPECT_LT(failures, 140);
}

} // namespace
} // namespace hv::mm
