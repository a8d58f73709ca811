// Device registers: their mapping (uncached, never executable) and access by 32 or 64 bits.
//
// Mappings are made while the boot pCPU is alone and last for ever. No locks. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>

namespace hv::arch {

// Maps `bytes` of device registers and returns their address. Panics when page tables cannot be had: nothing runs
// without.
[[nodiscard]] std::uint64_t map_device(PhysAddr physical, std::size_t bytes) noexcept;

[[nodiscard]] inline std::uint32_t mmio_read32(std::uint64_t address)
{
    return *reinterpret_cast<std::uint32_t const volatile*>(address);
}
[[nodiscard]] inline std::uint64_t mmio_read64(std::uint64_t address)
{
    return *reinterpret_cast<std::uint64_t const volatile*>(address);
}
inline void mmio_write32(std::uint64_t address, std::uint32_t value)
{
    *reinterpret_cast<std::uint32_t volatile*>(address) = value;
}
inline void mmio_write64(std::uint64_t address, std::uint64_t value)
{
    *reinterpret_cast<std::uint64_t volatile*>(address) = value;
}

} // namespace hv::arch
