// The registers by which an emulated q35 machine tells of pCPUs and memory that are plugged in while it runs. Where
// there is no such device they read as ones or zeroes, which says that there is nothing.
//
// Locking: none, one pCPU asks. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstdint>
#include <optional>

namespace hv::arch {

inline constexpr std::uint32_t pcpu_places = 256, memory_places = 256;

struct PcpuPlace {
    bool is_there{false};
    bool shall_go{false}; // somebody has asked for that since the last look
};

// The place for a pCPU with this number in the machine's own order. What is there counts, not the event of its coming:
// until the first look the device plays an older one, which forgets its events.
[[nodiscard]] PcpuPlace look_at_pcpu_place(std::uint32_t place) noexcept;
// The APIC id of the pCPU in that place, which may be empty.
[[nodiscard]] std::uint32_t apic_id_of_place(std::uint32_t place) noexcept;

struct PluggedMemory {
    PhysAddr base;
    std::uint64_t length{0};
    std::uint32_t pxm{0};
};

[[nodiscard]] std::optional<PluggedMemory> memory_in_place(std::uint32_t place) noexcept;

} // namespace hv::arch
