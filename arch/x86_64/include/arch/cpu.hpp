// x86_64 flavour of <arch/cpu.hpp>.
#pragma once

#include "arch/generic/lock_order.hpp"

namespace hv::arch {

inline constexpr unsigned cache_line = 64;

inline void relax() { asm volatile("pause" ::: "memory"); }

// The locks that the calling pCPU holds. Kept in the pCPU's own block, which GS points to.
[[nodiscard]] HeldLocks& held_locks() noexcept;

} // namespace hv::arch
