// Where things are in the kernel's address space, and the way between physical and virtual addresses.
//
//     0xffff800000000000  direct map: physical memory, one after the other, readable and writable, never executable
//     0xffffc00000000000  device registers, uncached (mmio.hpp)
//     0xffffd00000000000  stacks, each above an unmapped guard (stacks.hpp)
//     0xffffffff80000000  the kernel image, linked for physical address 1 MiB (kernel.ld)
//
// The lower half belongs to nobody: a null pointer faults. No state, no locks. Floor: arch/x86_64.
#pragma once

#include "arch/generic/assert.hpp"
#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>

extern "C" {
// Bounds of the image's parts, made by the linker: only their addresses mean something.
extern char text_start[], text_end[], rodata_start[], data_start[],
    image_end[];                            // NOLINT(readability-identifier-naming)
extern char boot_stack[], boot_stack_top[]; // NOLINT(readability-identifier-naming)
}

namespace hv::arch {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::uint64_t direct_map_base = 0xffff800000000000;
inline constexpr std::uint64_t mmio_base = 0xffffc00000000000;
inline constexpr std::uint64_t stack_area_base = 0xffffd00000000000;
inline constexpr std::uint64_t kernel_base = 0xffffffff80000000;
inline constexpr std::uint64_t image_base = 0x100000;                     // physical
inline constexpr std::uint64_t direct_map_limit = std::uint64_t{1} << 46; // bytes that the direct map may grow to
inline constexpr std::uint64_t boot_map_limit = std::uint64_t{4} << 30;   // what start.S maps

[[nodiscard]] inline std::uint64_t address_of(void const* p) { return reinterpret_cast<std::uint64_t>(p); }

// The address at which the kernel reads and writes physical memory. The memory must be in the direct map.
template <typename T>
[[nodiscard]] T* direct_map(PhysAddr physical)
{
    return reinterpret_cast<T*>(direct_map_base + physical.value());
}

// The physical address behind a pointer into the direct map or the kernel image; any other pointer is a caller's bug.
[[nodiscard]] inline PhysAddr physical_of(void const* p)
{
    std::uint64_t const address = address_of(p);
    if (address >= kernel_base)
        return PhysAddr{address - kernel_base};
    HV_ASSERT(address >= direct_map_base && address - direct_map_base < direct_map_limit);
    return PhysAddr{address - direct_map_base};
}

} // namespace hv::arch
