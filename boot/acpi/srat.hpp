// SRAT: which proximity domain (PXM) each pCPU and each range of memory belongs to.
//
// Only entries with the enabled bit are visited, so the all-zero fillers that QEMU leaves for unused memory slots are
// not. Below revision 2 a PXM has 8 bits and the rest of its field is not zero by contract, so it is cut off: every
// boot under QEMU, whose SRAT has revision 1, depends on that. Types that we do not know are skipped by their length; a
// length that does not fit its type makes the whole table unusable. Pure, no locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/types.hpp"
#include "boot/acpi/table.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace hv::boot::acpi {

struct SratCpu {
    std::uint32_t apic_id{0};
    std::uint32_t pxm{0};
};

struct SratMemory {
    PhysAddr base;
    std::uint64_t length{0}; // bytes; may be 0; base + length does not overflow
    std::uint32_t pxm{0};
    bool hot_pluggable{false}; // room for memory that may come, not memory
    bool non_volatile{false};
};

namespace detail {

inline constexpr std::size_t srat_fixed = 48;
enum class SratType : std::uint8_t { cpu = 0, memory = 1, x2apic = 2 };
enum SratFlag : std::uint32_t { srat_enabled = 1, srat_hot_pluggable = 2, srat_non_volatile = 4 };

[[nodiscard]] inline std::uint32_t srat_cpu_pxm(Bytes entry)
{
    std::uint32_t pxm{load<std::uint8_t>(entry, 2)};
    for (std::size_t i = 0; i < 3; ++i)
        pxm |= std::uint32_t{load<std::uint8_t>(entry, 9 + i)} << (8 * (i + 1));
    return pxm;
}

} // namespace detail

// Calls on_cpu(SratCpu) and on_memory(SratMemory) for the enabled entries in the order of the table. What was visited
// before an error is to be forgotten.
template <typename OnCpu, typename OnMemory>
[[nodiscard]] Status<ParseError> walk_srat(Bytes srat, OnCpu on_cpu, OnMemory on_memory)
{
    using namespace detail;
    if (srat.size() < srat_fixed)
        return srat_kind.bad(srat.size(), "the table is shorter than its fixed part");
    std::uint32_t const pxm_mask{load<std::uint8_t>(srat, header_revision) < 2 ? 0xffu : 0xffff'ffffu};
    return for_each_entry(
        srat, srat_fixed, srat_kind, [&](std::uint8_t type, Bytes entry, std::size_t offset) -> Status<ParseError> {
            if (SratType{type} == SratType::cpu) {
                if (entry.size() != 16)
                    return srat_kind.bad(offset, "a CPU entry has not 16 bytes");
                if ((load<std::uint32_t>(entry, 4) & srat_enabled) != 0)
                    on_cpu(SratCpu{load<std::uint8_t>(entry, 3), srat_cpu_pxm(entry) & pxm_mask});
            } else if (SratType{type} == SratType::x2apic) {
                if (entry.size() < 24)
                    return srat_kind.bad(offset, "an x2APIC entry is shorter than 24 bytes");
                if ((load<std::uint32_t>(entry, 12) & srat_enabled) != 0)
                    on_cpu(SratCpu{load<std::uint32_t>(entry, 8), load<std::uint32_t>(entry, 4) & pxm_mask});
            } else if (SratType{type} == SratType::memory) {
                if (entry.size() != 40)
                    return srat_kind.bad(offset, "a memory entry has not 40 bytes");
                std::uint32_t const flags{load<std::uint32_t>(entry, 28)};
                if ((flags & srat_enabled) == 0)
                    return done;
                std::uint64_t const base{load<std::uint64_t>(entry, 8)};
                std::uint64_t const length{load<std::uint64_t>(entry, 16)};
                if (length > std::numeric_limits<std::uint64_t>::max() - base)
                    return srat_kind.bad(offset, "a memory entry runs past the end of the address space");
                on_memory(SratMemory{PhysAddr{base}, length, load<std::uint32_t>(entry, 2) & pxm_mask,
                                     (flags & srat_hot_pluggable) != 0, (flags & srat_non_volatile) != 0});
            }
            return done;
        });
}

} // namespace hv::boot::acpi
