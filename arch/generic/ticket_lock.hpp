// FIFO spinlock, and the guards that hold one. The same code runs in the kernel and under ThreadSanitizer; only
// arch::relax() differs.
//
// Interrupts: every lock of the kernel is taken with interrupts off, and a guard says so: Guard guard{lock, irqs_off}.
// The tag is a promise of the caller that debug builds check. Order: see lock_order.hpp; each lock carries its key.
// Floor: arch/generic.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/lock_order.hpp"
#include "arch/generic/thread_safety.hpp"

#include <arch/cpu.hpp>
#include <arch/irq.hpp>

#include <atomic>
#include <cstdint>

namespace hv {

class HV_CAPABILITY("spinlock") TicketLock {
public:
    constexpr explicit TicketLock(LockKey key) : key_{key} {}
    TicketLock(TicketLock const&) = delete;
    TicketLock& operator=(TicketLock const&) = delete;

    void lock() HV_ACQUIRE()
    {
        HV_ASSERT_SLOW(arch::held_locks().may_wait_for(key_));
        // relaxed: taking a number orders nothing; the acquire below pairs with the previous owner's release.
        std::uint16_t const ticket{next_.fetch_add(1, std::memory_order_relaxed)};
        while (serving_.load(std::memory_order_acquire) != ticket)
            arch::relax();
        note_acquired();
    }

    [[nodiscard]] bool try_lock() HV_TRY_ACQUIRE(true)
    {
        // acquire: pairs with the previous owner's release, as in lock().
        std::uint16_t expected{serving_.load(std::memory_order_acquire)};
        auto const desired = static_cast<std::uint16_t>(expected + 1);
        if (!next_.compare_exchange_strong(expected, desired, std::memory_order_acquire, std::memory_order_relaxed))
            return false;
        note_acquired();
        return true;
    }

    void unlock() HV_RELEASE()
    {
        HV_ASSERT(is_locked());
#ifdef HV_DEBUG
        arch::held_locks().released(key_);
#endif
        // relaxed load: only the owner writes serving_, so it reads its own value. release: publishes the critical
        // section.
        auto const following = static_cast<std::uint16_t>(serving_.load(std::memory_order_relaxed) + 1);
        serving_.store(following, std::memory_order_release);
    }

    // Good for assertions only: the answer may be stale unless the caller is the owner.
    [[nodiscard]] bool is_locked() const
    {
        return next_.load(std::memory_order_relaxed) != serving_.load(std::memory_order_relaxed);
    }

    // For functions that need the lock and cannot say so to the analyser, because it was found through an index.
    void assert_held() const HV_ASSERT_CAPABILITY() { HV_ASSERT_SLOW(is_locked()); }

    [[nodiscard]] LockKey key() const { return key_; }

private:
    void note_acquired()
    {
#ifdef HV_DEBUG
        arch::held_locks().acquired(key_);
#endif
    }

    std::atomic<std::uint16_t> next_{0};
    std::atomic<std::uint16_t> serving_{0};
    LockKey key_;
};

struct IrqsOff {};
inline constexpr IrqsOff irqs_off{};

template <typename Lock>
class HV_SCOPED_CAPABILITY Guard {
public:
    [[nodiscard]] Guard(Lock& lock, IrqsOff) HV_ACQUIRE(lock) : lock_{lock}
    {
        HV_ASSERT_SLOW(arch::irqs_are_off());
        lock_.lock();
    }
    ~Guard() HV_RELEASE() { lock_.unlock(); }

    Guard(Guard const&) = delete;
    Guard& operator=(Guard const&) = delete;

private:
    Lock& lock_;
};

} // namespace hv
