// Meant for ThreadSanitizer: what must hold when several pCPUs really use floor 0 at once.
#include "arch/generic/mask.hpp"
#include "arch/generic/ticket_lock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

namespace hv {
namespace {

// Counts only owners that follow another thread: a test in which one thread is done before the other begins sees no
// race.
TEST(TicketLockStress, OrdersPlainAccessesOfItsOwners)
{
    constexpr int wanted_handovers = 20'000;
    TicketLock lock{{.rank = 10, .ordinal = 0}};
    int owned{0}, handovers{0}, last_owner{-1}; // Not atomic on purpose: only the lock orders them.
    std::array<int, 3> owned_by{};
    auto const own = [&](int self, bool by_try_lock) {
        for (bool more = true; more;) {
            if (!by_try_lock)
                lock.lock();
            else
                while (!lock.try_lock())
                    arch::relax();
            ++owned;
            ++owned_by[static_cast<std::size_t>(self)];
            handovers += last_owner != self;
            last_owner = self;
            more = handovers < wanted_handovers;
            lock.unlock();
        }
    };
    std::array threads{std::thread{own, 0, false}, std::thread{own, 1, true}, std::thread{own, 2, false}};
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(owned, owned_by[0] + owned_by[1] + owned_by[2]);
    EXPECT_GE(handovers, wanted_handovers);
    EXPECT_FALSE(lock.is_locked());
}

// Two locks in ascending order, from any pair of four: no deadlock, no lost update.
TEST(TicketLockStress, PairsInAscendingOrderNeverDeadlock)
{
    constexpr int rounds = 5'000;
    struct Account {
        explicit Account(std::uint16_t ordinal) : lock{{.rank = 20, .ordinal = ordinal}} {}
        TicketLock lock;
        int balance{1000};
    };
    std::array accounts{Account{0}, Account{1}, Account{2}, Account{3}};
    auto const transfer = [&](unsigned seed) {
        for (unsigned i = 0; i < rounds; ++i) {
            std::size_t const from{(seed + i) % 4}, to{(seed + i * 3 + 1) % 4};
            if (from == to)
                continue;
            Guard const low{accounts[std::min(from, to)].lock, irqs_off};
            Guard const high{accounts[std::max(from, to)].lock, irqs_off};
            --accounts[from].balance;
            ++accounts[to].balance;
        }
    };
    std::array threads{std::thread{transfer, 0u}, std::thread{transfer, 1u}, std::thread{transfer, 2u}};
    for (std::thread& thread : threads)
        thread.join();
    int total{0};
    for (Account const& account : accounts)
        total += account.balance;
    EXPECT_EQ(total, 4000);
}

// Each thread owns bits of the same word. In between they clear all of them at about the same time, which is when the
// summary may go wrong: afterwards a set bit must be found by a snapshot.
TEST(AtomicCpuMaskStress, ASetBitIsNeverHiddenByAPeersClear)
{
    constexpr int rounds = 30'000;
    AtomicCpuMask mask;
    std::atomic<int> hidden{0};
    auto const toggle = [&](CpuId::Rep own) {
        for (int i = 0; i < rounds; ++i) {
            mask.set(CpuId{own});
            // By now our set is complete; a peer that clears may at most be in the middle of putting the summary right,
            // though a busy host may keep it there for a while.
            auto const patience = std::chrono::steady_clock::now() + std::chrono::seconds{5};
            while (!mask.snapshot().test(CpuId{own})) {
                if (std::chrono::steady_clock::now() > patience) {
                    hidden.fetch_add(1);
                    return;
                }
                arch::relax();
            }
            mask.clear(CpuId{own});
        }
    };
    std::array threads{std::thread{toggle, CpuId::Rep{1}}, std::thread{toggle, CpuId::Rep{2}},
                       std::thread{toggle, CpuId::Rep{63}}};
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(hidden.load(), 0);
    EXPECT_TRUE(mask.snapshot().empty());
}

} // namespace
} // namespace hv
