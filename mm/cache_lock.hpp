// The lock of one pCPU's page cache: one word, taken by its pCPU at every call, and by others only when the node has
// run out of memory and wants the cached pages back. A pCPU that finds it taken goes to the node instead of waiting.
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

class HV_CAPABILITY("cache lock") CacheLock {
public:
    constexpr explicit CacheLock(LockKey key) : key_{key} {}
    CacheLock(CacheLock const&) = delete;
    CacheLock& operator=(CacheLock const&) = delete;

    [[nodiscard]] bool try_lock() HV_TRY_ACQUIRE(true)
    {
        // acquire: pairs with the previous owner's release.
        if (is_taken_.exchange(1, std::memory_order_acquire) != 0)
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
    void unlock() HV_RELEASE()
    {
#ifdef HV_DEBUG
        arch::held_locks().released(key_);
#endif
        is_taken_.store(0, std::memory_order_release);
    }

private:
    std::atomic<std::uint32_t> is_taken_{0};
    LockKey key_;
};

} // namespace hv::mm
