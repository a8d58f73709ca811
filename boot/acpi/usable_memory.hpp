// Usable memory out of the firmware's memory map: sorted, disjoint, in whole pages, without anything that another
// region of the map claims. Firmware maps are none of these. Pure, no locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/types.hpp"
#include "boot/info/fixed_vector.hpp"
#include "boot/info/multiboot.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::boot::acpi {

inline constexpr std::uint64_t page_bytes = 4096;

// length > 0, base + length does not overflow.
struct MemoryRange {
    PhysAddr base;
    std::uint64_t length{0}; // bytes
    NodeId node;

    [[nodiscard]] constexpr std::uint64_t end() const { return base.value() + length; }
};

using MemoryRanges = FixedVector<MemoryRange, 256>;

// Replaces `out`; every range gets node 0. Returns how many bytes had to be left out for lack of room in `out`.
std::uint64_t collect_usable_memory(std::span<MemoryRegion const> regions, MemoryRanges& out);

// Cuts the range at `index` in two at the byte `at`, base < at < end. Returns false, and changes nothing, if `ranges`
// is full.
[[nodiscard]] bool split_range(MemoryRanges& ranges, std::size_t index, std::uint64_t at);

// Shrinks every range to the whole pages in it; ranges without a whole page go.
void keep_whole_pages(MemoryRanges& ranges);

} // namespace hv::boot::acpi
