// How many blocks a stack of a pCPU's cache has, and the lock over it, in one word: whoever takes the lock has the
// count at hand. It is taken by its pCPU at every call, and by others only when the node has run out of memory and
// wants the cached pages back. A pCPU that finds it taken goes to the node instead of waiting.
//
// Rank 39, the pCPU's number as ordinal: below the nodes' locks, which are taken while it is held. Floor: mm.
#pragma once

#include "arch/generic/lock_order.hpp"
#include "arch/generic/thread_safety.hpp"

#include <arch/cpu.hpp>

#include <atomic>
#include <cstdint>

namespace hv::mm {

inline constexpr std::uint16_t cache_lock_rank = 39;

class HV_CAPABILITY("cache lock") CountLock {
public:
    constexpr explicit CountLock(LockKey key) : key_{key} {}
    CountLock(CountLock const&) = delete;
    CountLock& operator=(CountLock const&) = delete;

    [[nodiscard]] bool try_lock() HV_TRY_ACQUIRE(true)
    {
        // acquire: pairs with the previous owner's release.
        if ((word_.fetch_or(taken, std::memory_order_acquire) & taken) != 0)
            return false;
#ifdef HV_DEBUG
        arch::held_locks().acquired(key_);
#endif
        return true;
    }
    void lock() HV_ACQUIRE()
    {
        HV_ASSERT_SLOW(arch::held_locks().may_wait_for(key_));
        while (!try_lock())
            arch::relax();
    }
    // Lets go, and leaves `count` behind.
    void unlock(std::uint32_t count) HV_RELEASE()
    {
#ifdef HV_DEBUG
        arch::held_locks().released(key_);
#endif
        word_.store(count, std::memory_order_release);
    }

    // For others to see before the lock is free again; below 2^30.
    void set_count(std::uint32_t count) HV_REQUIRES(this) { word_.store(taken | count, std::memory_order_relaxed); }
    // Anybody may ask; who has the lock can rely on it. relaxed: the lock orders it.
    [[nodiscard]] std::uint32_t count() const { return word_.load(std::memory_order_relaxed) & ~taken; }

private:
    // Not the highest bit: gcc would turn the test of that into one of the sign, and the "bts" into a loop.
    static constexpr std::uint32_t taken = std::uint32_t{1} << 30;

    std::atomic<std::uint32_t> word_{0};
    LockKey key_;
};

} // namespace hv::mm
