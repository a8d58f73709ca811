// Starting the other pCPUs.
//
// Those that are there at boot are started at once: each finds its block by its APIC id, sets itself up, marks itself
// up and idles. The boot pCPU halts meanwhile and is woken by each arrival. One that is plugged in later is started
// alone, in two steps, and tells the up-calls that it has arrived (upcalls.hpp). Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstdint>
#include <optional>

namespace hv::arch {

// Code, and three pages of tables.
inline constexpr std::uint64_t trampoline_bytes = 4 * 4096;

// Starts the first `present` published pCPUs but the caller, through trampoline_bytes of memory below 1 MiB that are
// its own from now on. Gives the APIC id of one that did not come up, nothing if all did. Interrupts on, APIC enabled.
[[nodiscard]] std::optional<std::uint32_t> start_other_pcpus(PhysAddr trampoline, unsigned present) noexcept;

// One that has been plugged in, published but not up: first reset() it, and 10 ms later start() it. After
// start_other_pcpus(), any number of times.
void reset_pcpu(CpuId cpu) noexcept;
void start_pcpu(CpuId cpu) noexcept;

} // namespace hv::arch
