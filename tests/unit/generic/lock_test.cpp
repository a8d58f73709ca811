#include "arch/generic/ticket_lock.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

namespace hv {
namespace {

#ifdef HV_DEBUG
constexpr bool order_is_checked{true};
#else
constexpr bool order_is_checked{false};
#endif

constexpr LockKey low{.rank = 10, .ordinal = 0};
constexpr LockKey first{.rank = 20, .ordinal = 1};
constexpr LockKey second{.rank = 20, .ordinal = 2};

TEST(HeldLocks, AllowsOnlyHigherKeys)
{
    HeldLocks held;
    EXPECT_TRUE(held.none());
    EXPECT_TRUE(held.may_wait_for(low));
    held.acquired(first);
    EXPECT_FALSE(held.may_wait_for(low));
    EXPECT_FALSE(held.may_wait_for(first));
    EXPECT_TRUE(held.may_wait_for(second));
    held.acquired(low); // by try_lock
    EXPECT_FALSE(held.may_wait_for(first));
    held.released(first);
    EXPECT_TRUE(held.may_wait_for(first));
    held.released(low);
    EXPECT_TRUE(held.none());
}

TEST(HeldLocksDeathTest, ReleasingWhatIsNotHeldIsCaught)
{
    HeldLocks held;
    held.acquired(low);
    EXPECT_DEATH(held.released(first), "was_held");
}

TEST(HeldLocksDeathTest, MoreLocksThanThereIsRoomForAreCaught)
{
    HeldLocks held;
    for (std::uint16_t i = 0; i < 8; ++i)
        held.acquired({.rank = 1, .ordinal = i});
    EXPECT_DEATH(held.acquired({.rank = 2, .ordinal = 0}), "depth_");
}

TEST(TicketLock, TryLockFailsWhileHeldAndSucceedsAfterwards)
{
    TicketLock lock{low};
    ASSERT_TRUE(lock.try_lock());
    EXPECT_TRUE(lock.is_locked());
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_FALSE(lock.is_locked());
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
}

// The tickets are 16 bits wide.
TEST(TicketLock, SurvivesMoreOwnersThanItHasTickets)
{
    TicketLock lock{low};
    for (int i = 0; i < 70'000; ++i) {
        if (i % 2 == 0)
            lock.lock();
        else
            ASSERT_TRUE(lock.try_lock());
        lock.unlock();
    }
    EXPECT_FALSE(lock.is_locked());
}

TEST(TicketLock, AGuardHoldsItForItsScope)
{
    if (!order_is_checked)
        GTEST_SKIP() << "the order of locks is checked with HV_DEBUG only";
    TicketLock lock{low};
    {
        Guard const guard{lock, irqs_off};
        EXPECT_TRUE(lock.is_locked());
        EXPECT_FALSE(arch::held_locks().none());
    }
    EXPECT_FALSE(lock.is_locked());
    EXPECT_TRUE(arch::held_locks().none());
}

TEST(TicketLockDeathTest, UnlockOfAFreeLockIsCaught)
{
    TicketLock lock{low};
    EXPECT_DEATH(lock.unlock(), "is_locked");
}

TEST(TicketLockDeathTest, WaitingInTheWrongOrderIsCaught)
{
    if (!order_is_checked)
        GTEST_SKIP() << "the order of locks is checked with HV_DEBUG only";
    TicketLock outer{low}, a{first}, b{second};
    Guard const guard{b, irqs_off};
    EXPECT_DEATH(a.lock(), "may_wait_for");
    EXPECT_DEATH(outer.lock(), "may_wait_for");
}

TEST(TicketLockDeathTest, WaitingForALockOfOnesOwnIsCaught)
{
    if (!order_is_checked)
        GTEST_SKIP() << "the order of locks is checked with HV_DEBUG only";
    TicketLock lock{low};
    Guard const guard{lock, irqs_off};
    EXPECT_DEATH(lock.lock(), "may_wait_for");
}

TEST(TicketLock, TryLockIsAllowedInAnyOrder)
{
    TicketLock a{first}, b{second};
    Guard const guard{b, irqs_off};
    ASSERT_TRUE(a.try_lock());
    a.unlock();
}

TEST(TicketLock, ReleaseInAnyOrderForgetsTheRightOne)
{
    if (!order_is_checked)
        GTEST_SKIP() << "the order of locks is checked with HV_DEBUG only";
    TicketLock a{first}, b{second};
    a.lock();
    b.lock();
    a.unlock();
    EXPECT_FALSE(arch::held_locks().may_wait_for(first)); // b is still held
    b.unlock();
    EXPECT_TRUE(arch::held_locks().none());
}

// The order is a thread's (a pCPU's) own: what a peer holds does not matter.
TEST(TicketLock, HeldLocksAreNotSharedBetweenThreads)
{
    TicketLock a{first}, b{second};
    Guard const guard{b, irqs_off};
    std::thread peer{[&] {
        a.lock();
        a.unlock();
    }};
    peer.join();
    EXPECT_FALSE(a.is_locked());
}

// FIFO: whoever asked first is served first. The second asks only once the first is seen to wait.
TEST(TicketLock, ServesInTheOrderOfAsking)
{
    TicketLock lock{low};
    std::atomic<int> served{0};
    std::array<int, 2> place{};
    std::atomic<int> asking{0};
    lock.lock();
    auto const ask = [&](unsigned me) {
        asking.fetch_add(1);
        lock.lock();
        place[me] = served.fetch_add(1);
        lock.unlock();
    };
    std::thread one{ask, 0u};
    while (asking.load() < 1)
        arch::relax();
    std::this_thread::sleep_for(std::chrono::milliseconds{20}); // From the announcement to the ticket.
    std::thread two{ask, 1u};
    while (asking.load() < 2)
        arch::relax();
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_EQ(served.load(), 0);
    lock.unlock();
    one.join();
    two.join();
    EXPECT_EQ(place[0], 0);
    EXPECT_EQ(place[1], 1);
}

} // namespace
} // namespace hv
