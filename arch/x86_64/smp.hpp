// Starting the other pCPUs.
//
// All are started at once: each finds its block by its APIC id, sets itself up, marks itself up and idles. The boot
// pCPU halts meanwhile and is woken by each arrival. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstdint>
#include <optional>

namespace hv::arch {

// Code, and three pages of tables.
inline constexpr std::uint64_t trampoline_bytes = 4 * 4096;

// Starts every published pCPU but the caller, through trampoline_bytes of memory below 1 MiB that are free for it (and
// may be used otherwise afterwards). Gives the APIC id of
// one that did not come up, nothing if all did. Interrupts on, APIC enabled.
[[nodiscard]] std::optional<std::uint32_t> start_other_pcpus(PhysAddr trampoline) noexcept;

} // namespace hv::arch
