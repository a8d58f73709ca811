// An address space over a machine's memory in an arena, whose pCPUs do what they are interrupted for at once. Floor:
// tests.
#pragma once

#include "mm/address_space.hpp"

#include "tests/unit/mm/arena.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace hv::test {

inline constexpr CpuId here{0};
inline constexpr std::uint64_t large_page = 2 * MiB;

struct MappedPage {
    PhysAddr to;
    Access access;
    std::uint64_t bytes;

    friend bool operator==(MappedPage const&, MappedPage const&) = default;
};
using MappedPages = std::map<std::uint64_t, MappedPage>; // by virtual address

// An address space on node 1 of a machine with two nodes. Its pCPUs serve as soon as they are interrupted.
class AddressSpaceHost {
public:
    static constexpr unsigned pcpus = 70;

    explicit AddressSpaceHost(bool charges = false)
        : kernel_root_{*machine_.pages().allocate({.node = node(0)})}, space{{.pages = &machine_.pages(),
                                                                              .shoot_down = &shoot_down_,
                                                                              .pcpus = pcpus,
                                                                              .kernel_root = kernel_root_,
                                                                              .node = node(1),
                                                                              .owner = charges ? &account : nullptr}}
    {
        EXPECT_TRUE(pages().attach(account).ok());
        auto* const kernels = machine_.map().at<std::uint64_t>(kernel_root_);
        for (unsigned i = 0; i < paging::entries_per_table; ++i)
            kernels[i] = 0; // The kernel's own lower half is empty.
        kernels[511] = paging::table(PhysAddr{0x5000}, false);
        before_ = {pages().stats(node(0)), pages().stats(node(1))};
        EXPECT_TRUE(space.build(here).ok());
    }
    ~AddressSpaceHost()
    {
        if (space.root() != PhysAddr{})
            space.demolish(here, {});
        EXPECT_TRUE(pages().detach(account).ok());
        EXPECT_EQ(pages().stats(node(0)), before_[0]);
        EXPECT_EQ(pages().stats(node(1)), before_[1]);
        EXPECT_TRUE(test::misuse().empty());
    }

    [[nodiscard]] mm::PageAllocator& pages() { return machine_.pages(); }
    [[nodiscard]] TestMachine& machine() { return machine_; }
    [[nodiscard]] ShootDown& shoot_down() { return shoot_down_; }
    [[nodiscard]] std::uint64_t* top() { return machine_.map().at<std::uint64_t>(space.root()); }
    [[nodiscard]] mm::PageSink sink()
    {
        return {.self = this, .take = [](void* self, CpuId, PhysAddr page, mm::Order order) noexcept {
                    static_cast<AddressSpaceHost*>(self)->given.emplace_back(page, order.bytes());
                }};
    }

    Status<mm::MapError> map(std::uint64_t from, std::uint64_t to, std::uint64_t bytes,
                             Access access = Access::read_write, bool large_pages = true)
    {
        return space.map(here, {{VirtAddr{from}, bytes}, PhysAddr{to}, access, large_pages});
    }
    Status<mm::MapError> unmap(std::uint64_t from, std::uint64_t bytes)
    {
        mm::AddressSpace::Change change{space, here, sink()};
        return change.unmap({VirtAddr{from}, bytes});
    }
    Status<mm::MapError> protect(std::uint64_t from, std::uint64_t bytes, Access access)
    {
        mm::AddressSpace::Change change{space, here, sink()};
        return change.protect({VirtAddr{from}, bytes}, access);
    }

    // What a processor would find below the kernel's half.
    [[nodiscard]] MappedPages walk()
    {
        MappedPages found;
        PhysAddr const kernels{paging::table_of(std::exchange(top()[511], 0))};
        std::uint64_t tables{1};
        paging::for_each_page(
            reinterpret_cast<std::uint64_t>(machine_.map().at<char>(PhysAddr{0})), space.root(),
            [&](VirtAddr at, std::uint64_t bytes, paging::Rights rights) {
                EXPECT_TRUE(rights.user && !(rights.writable && rights.executable));
                Access const access{rights.writable     ? Access::read_write
                                    : rights.executable ? Access::read_execute
                                                        : Access::read};
                found[at.value()] = {space.translate(here, at)->physical, access, bytes};
            },
            [&](PhysAddr) { ++tables; });
        top()[511] = paging::table(kernels, false);
        EXPECT_EQ(tables, space.table_pages(here));
        return found;
    }

private:
    TestMachine machine_{TestMachine::even(2, 16 * MiB), 2};
    PhysAddr kernel_root_;
    std::array<ShootDown::Inbox, pcpus> inboxes_;
    std::array<mm::NodeStats, 2> before_;
    ShootDown shoot_down_{{.self = this,
                           .inbox = [](void* self, CpuId n) noexcept -> ShootDown::Inbox& {
                               return static_cast<AddressSpaceHost*>(self)->inboxes_[n.value()];
                           },
                           .interrupt =
                               [](void* self, CpuId n) noexcept {
                                   static_cast<AddressSpaceHost*>(self)->interrupted.push_back(n.value());
                                   static_cast<AddressSpaceHost*>(self)->shoot_down_.serve(n);
                               },
                           .invalidate =
                               [](void* self, Invalidation const& what) noexcept {
                                   static_cast<AddressSpaceHost*>(self)->on_invalidate(what);
                               }}};

public:
    mm::DomainAccount account{domain(3), 5};
    std::vector<std::pair<PhysAddr, std::uint64_t>> given; // what the sink got: address, bytes
    std::vector<unsigned> interrupted;
    std::function<void(Invalidation const&)> on_invalidate{[](Invalidation const&) {}};
    mm::AddressSpace space;
};

} // namespace hv::test
