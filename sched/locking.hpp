// The order of all locks of the product, in one table: who holds a lock of some rank may wait only for one of a higher
// rank, or of the same rank and a higher ordinal. Debug builds check it (arch/generic/lock_order.hpp).
//
//   rank  lock                            ordinal   rule
//   5     domains: which there are, what  0         taken by whoever steers, and by each pCPU once when a domain ends;
//         they are set to (core)                    never to schedule
//   10    a policy's own                  0         taken before any run-queue lock, never while holding one
//   20    run queue, one a pCPU           pCPU      two of them ascending; a thief takes a peer's by try_lock only
//   25    pace of the guests              0         taken without a run-queue lock; timers are armed under it
//   27    wake-up timer of a guest        0         the same
//   30    kernel stacks                   0         below the scheduler, as all that follow: sched/ never holds one
//   36    small memory of a node          node      taken by Env::allocate, and by the first arm of a timer
//   37    objects of a node               node      mm/object_cache.hpp
//   38    claims                          0         one claim at a time, over all nodes
//   39    a pCPU's page cache             pCPU      its pCPU only tries; who calls pages back waits
//   40    pages of a node                 node
//   50    a machine's timer queue         pCPU      leaf, taken by arm and disarm
//   1000  console and host channel        0, 1      leaf
//
// Floor: sched. mm/ and arch/ state their own ranks and may not look here; the numbers are agreed on.
#pragma once

#include "arch/generic/lock_order.hpp"
#include "arch/generic/types.hpp"

namespace hv::sched {

[[nodiscard]] constexpr LockKey steering_lock_key() { return {.rank = 5, .ordinal = 0}; }
[[nodiscard]] constexpr LockKey policy_lock_key() { return {.rank = 10, .ordinal = 0}; }
[[nodiscard]] constexpr LockKey run_queue_lock_key(CpuId cpu) { return {.rank = 20, .ordinal = cpu.value()}; }
[[nodiscard]] constexpr LockKey pace_lock_key() { return {.rank = 25, .ordinal = 0}; }
[[nodiscard]] constexpr LockKey wake_timer_lock_key() { return {.rank = 27, .ordinal = 0}; }

} // namespace hv::sched
