// What a boot loader hands over: multiboot 1 (QEMU's -kernel, GRUB's `multiboot`) and multiboot 2 (GRUB's
// `multiboot2`), parsed into one BootInfo.
//
// A pure function over physical memory: nothing is copied, so every string and the RSDP copy are views into what the
// loader left there, good until that memory is reused. `occupied` says which memory that is: reserve it before
// allocating anything. A second module is an error, for nobody would read it. No locks. Floor: boot/info.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/types.hpp"
#include "boot/info/fixed_vector.hpp"
#include "boot/info/parse_error.hpp"
#include "boot/info/physical_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::boot {

inline constexpr std::uint32_t multiboot1_magic = 0x2bad'b002; // in EAX at entry
inline constexpr std::uint32_t multiboot2_magic = 0x36d7'6289;
inline constexpr std::size_t max_memory_regions = 128;

// The values are the loader's; what is none of these is reserved.
enum class MemoryKind : std::uint8_t { usable = 1, reserved = 2, acpi_reclaimable = 3, acpi_nvs = 4, defective = 5 };

// A region of the firmware's memory map as it is: not sorted, not aligned, perhaps overlapping others. length > 0 and
// base + length does not overflow.
struct MemoryRegion {
    PhysAddr base;
    std::uint64_t length{0}; // bytes
    MemoryKind kind{MemoryKind{}};
};

struct OccupiedRange {
    PhysAddr base;
    std::uint64_t length{0}; // bytes
};

struct BootModule {
    PhysAddr start, end; // end is the byte after the last; start <= end
    std::string_view args;
};

struct BootInfo {
    std::string_view loader;       // empty: unknown
    std::string_view command_line; // the kernel's options only, without the file name
    FixedVector<MemoryRegion, max_memory_regions> regions;
    std::optional<BootModule> module;
    Bytes rsdp;                              // a copy made by the loader, not validated; empty: none, scan for it
    FixedVector<OccupiedRange, 16> occupied; // what the loader left in memory: info, strings, map, module
};

// Parses what a loader with `magic` left at `info` into `out`, whose content is valid only on success. The result is a
// parameter because a BootInfo is larger than a stack frame of the kernel may be.
[[nodiscard]] Status<ParseError> parse_multiboot(std::uint32_t magic, PhysAddr info, PhysicalMemory memory,
                                                 BootInfo& out);

} // namespace hv::boot
