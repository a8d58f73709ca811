// Host flavour of <arch/cpu.hpp>: "the pCPU" is a std::thread.
#pragma once

#include "arch/generic/lock_order.hpp"

#include <atomic>
#include <cstdint>
#include <thread>

namespace hv::arch {

inline constexpr unsigned cache_line = 64;

inline void relax() { std::this_thread::yield(); }

// For words that only this pCPU writes, whole against whatever may interrupt it.
[[nodiscard]] inline bool local_compare_exchange(std::uint64_t& word, std::uint64_t expected, std::uint64_t desired)
{
    // relaxed: nobody else writes it, and what the word is about is published by other means.
    return std::atomic_ref{word}.compare_exchange_strong(expected, desired, std::memory_order_relaxed);
}
// Returns what the word was before.
inline std::uint64_t local_add(std::uint64_t& word, std::uint64_t amount)
{
    return std::atomic_ref{word}.fetch_add(amount, std::memory_order_relaxed);
}

// The locks that the calling thread holds.
[[nodiscard]] inline HeldLocks& held_locks()
{
    thread_local HeldLocks held;
    return held;
}

} // namespace hv::arch
