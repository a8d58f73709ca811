// HPET table: where the timer's registers are. Pure, no locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/types.hpp"
#include "boot/acpi/table.hpp"

#include <cstdint>

namespace hv::boot::acpi {

// The physical address of the register block; an error unless it is in memory space.
[[nodiscard]] inline Result<PhysAddr, ParseError> hpet_address(Bytes table)
{
    constexpr std::size_t space_at = 40, address_at = 44;
    if (!fits(table, address_at, 8))
        return hpet_kind.bad(table.size(), "the table is shorter than its fixed part");
    std::uint64_t const address{load<std::uint64_t>(table, address_at)};
    if (load<std::uint8_t>(table, space_at) != 0 || address == 0)
        return hpet_kind.bad(space_at, "the registers are not in memory space");
    return PhysAddr{address};
}

} // namespace hv::boot::acpi
