// Host flavour of <arch/cpu.hpp>: "the pCPU" is a std::thread.
#pragma once

#include "arch/generic/lock_order.hpp"

#include <thread>

namespace hv::arch {

inline constexpr unsigned cache_line = 64;

inline void relax() { std::this_thread::yield(); }

// The locks that the calling thread holds.
[[nodiscard]] inline HeldLocks& held_locks()
{
    thread_local HeldLocks held;
    return held;
}

} // namespace hv::arch
