// The watchdog: names a pCPU that has been stuck with interrupts off, and shows where.
//
// Each pCPU's timer interrupt leaves a sign of life four times in `limit` and looks for that of the next pCPU in the
// ring. When there was none for `limit`, it sends the other an NMI. An NMI that finds interrupts off twice in a row,
// with no sign of life in between, ends the machine with a backtrace from where it struck; one that finds them on found
// a pCPU that its host let wait. Of several that are stuck side by side one is named. A pCPU that is alone has nobody
// to watch it. Members say who may touch them. Floor: arch/x86_64.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"

#include <atomic>
#include <cstdint>
#include <limits>

namespace hv::arch {

struct TrapFrame;

inline constexpr Instant never{Instant::at_ns(std::numeric_limits<std::int64_t>::max())};

// Part of each pCPU's block.
struct Watched {
    Instant due{never};                        // this pCPU: when its timer interrupt beats next
    std::atomic<std::uint32_t> beats{0};       // this pCPU writes; 0: not started
    std::atomic<bool> is_suspected{false};     // set by the neighbour with its NMI, cleared by this pCPU
    std::uint32_t neighbours_beats{0};         // this pCPU: what it saw there last...
    Instant neighbours_sign{};                 // ...and when that changed
    std::uint32_t strikes{0}, strike_beats{0}; // this pCPU's NMI handler
};

// Starts it on every pCPU that is up; each is watched from its first beat on. limit > 0. Interrupts on.
void watchdog_start(Duration limit) noexcept;
// On a pCPU that has been plugged in since, interrupts off: it watches and is watched, too, if there is a watchdog.
void watchdog_join() noexcept;
// For the timer interrupt of the calling pCPU, when `due` has come. Interrupts off.
void watchdog_beat(Instant now) noexcept;
// For the NMI handler: whether a neighbour sent it. Does not return if the calling pCPU is stuck.
[[nodiscard]] bool watchdog_nmi(TrapFrame const& frame) noexcept;
// What a neighbour does that saw no sign of life for too long.
void watchdog_suspect(CpuId cpu) noexcept;

} // namespace hv::arch
