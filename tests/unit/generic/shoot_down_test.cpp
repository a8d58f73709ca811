#include "arch/generic/shoot_down.hpp"

#include "tests/support/literals.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <initializer_list>
#include <utility>
#include <vector>

namespace hv {
namespace {

using test::cpu;

Invalidation of(std::initializer_list<std::uint64_t> pages)
{
    Invalidation what;
    for (std::uint64_t const page : pages)
        what.add(VirtAddr{page});
    return what;
}

// pCPUs that do in one thread what the test tells them when they are interrupted.
struct Pcpus {
    static constexpr unsigned count = 4;

    struct Forgotten {
        unsigned cpu;
        bool everything;
        std::vector<std::uint64_t> pages;
        friend bool operator==(Forgotten const&, Forgotten const&) = default;
    };

    void serve(unsigned n)
    {
        unsigned const before{current};
        current = n;
        shoot_down.serve(cpu(n));
        current = before;
    }
    void run(unsigned self, CpuMask const& targets, Invalidation const& what)
    {
        unsigned const before{current};
        current = self;
        shoot_down.run(cpu(self), targets, what);
        current = before;
    }

    std::array<ShootDown::Inbox, count> inboxes;
    std::function<void(unsigned)> on_interrupt{[this](unsigned n) { serve(n); }};
    unsigned current{0};
    std::vector<unsigned> interrupted;
    std::vector<Forgotten> forgotten;
    ShootDown shoot_down{{.self = this,
                          .inbox = [](void* self, CpuId n) noexcept -> ShootDown::Inbox& {
                              return static_cast<Pcpus*>(self)->inboxes[n.value()];
                          },
                          .interrupt =
                              [](void* self, CpuId n) noexcept {
                                  static_cast<Pcpus*>(self)->interrupted.push_back(n.value());
                                  static_cast<Pcpus*>(self)->on_interrupt(n.value());
                              },
                          .invalidate =
                              [](void* self, Invalidation const& what) noexcept {
                                  Forgotten f{static_cast<Pcpus*>(self)->current, what.is_everything(), {}};
                                  for (unsigned i = 0; !f.everything && i < what.count(); ++i)
                                      f.pages.push_back(what.page(i).value());
                                  static_cast<Pcpus*>(self)->forgotten.push_back(f);
                              }}};
};

TEST(Invalidation, OfMorePagesThanItHoldsIsOfEverything)
{
    Invalidation what;
    EXPECT_TRUE(what.is_empty());
    for (unsigned i = 0; i < Invalidation::most_pages; ++i)
        what.add(VirtAddr{i * 4096ull});
    EXPECT_EQ(what.count(), Invalidation::most_pages);
    EXPECT_EQ(what.page(31), VirtAddr{31 * 4096});
    what.add(VirtAddr{0});
    EXPECT_TRUE(what.is_everything());
    what.add(VirtAddr{0});
    EXPECT_TRUE(what.is_everything() && !what.is_empty());
}

TEST(PcpuSet, HasThoseThatEnteredAndDidNotLeave)
{
    PcpuSet set{255};
    for (unsigned const n : {0u, 63u, 64u, 254u})
        set.enter(cpu(n));
    set.leave(cpu(63));
    EXPECT_EQ(set.members(), CpuMask::of(cpu(0)) | CpuMask::of(cpu(64)) | CpuMask::of(cpu(254)));
    EXPECT_TRUE(set.contains(cpu(254)) && !set.contains(cpu(63)));
}

TEST(ShootDown, InterruptsEachTargetOnceAndNeverItself)
{
    Pcpus pcpus;
    pcpus.run(1, CpuMask::first_n(3), of({0x1000, 0x2000}));
    EXPECT_EQ(pcpus.interrupted, (std::vector<unsigned>{0, 2}));
    std::vector<std::uint64_t> const pages{0x1000, 0x2000};
    EXPECT_EQ(pcpus.forgotten,
              (std::vector<Pcpus::Forgotten>{{0, false, pages}, {2, false, pages}, {1, false, pages}}));
    EXPECT_EQ(pcpus.shoot_down.interrupts(), 2u);
}

TEST(ShootDown, OfNobodyDoesNothing)
{
    Pcpus pcpus;
    pcpus.run(1, CpuMask::first_n(0), of({0x1000}));
    EXPECT_TRUE(pcpus.interrupted.empty() && pcpus.forgotten.empty());
}

TEST(ShootDown, ServesWithoutARequestNothing)
{
    Pcpus pcpus;
    pcpus.serve(2);
    pcpus.run(0, CpuMask::of(cpu(2)), of({0x1000}));
    pcpus.serve(2);
    EXPECT_EQ(pcpus.forgotten.size(), 1u);
}

TEST(ShootDown, TwoRequestsAtOnceMakeAPcpuForgetEverything)
{
    Pcpus pcpus;
    bool is_first{true};
    pcpus.on_interrupt = [&](unsigned n) {
        if (!std::exchange(is_first, false))
            return pcpus.serve(n);
        // Before it looks, somebody else wants something of it, too.
        pcpus.run(2, CpuMask::of(cpu(n)), of({0x2000}));
    };
    pcpus.run(0, CpuMask::of(cpu(1)), of({0x1000}));
    EXPECT_EQ(pcpus.forgotten, (std::vector<Pcpus::Forgotten>{{1, true, {}}}));
    EXPECT_EQ(pcpus.interrupted, (std::vector<unsigned>{1, 1}));
    EXPECT_EQ(pcpus.inboxes[1].served.load(), 2u);
}

} // namespace
} // namespace hv
