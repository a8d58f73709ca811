// MADT: which pCPUs the machine has, where the local APIC's registers are, and where ISA interrupts arrive.
//
// Entries without the enabled bit are places: a pCPU may be plugged in there later, if other tables know of it too.
// APIC ids are sparse: nothing may be indexed by them. Pure, no locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/types.hpp"
#include "boot/acpi/table.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace hv::boot::acpi {

namespace detail {

inline constexpr std::size_t madt_fixed = 44;
inline constexpr std::uint32_t madt_enabled = 1;
enum class MadtType : std::uint8_t { local_apic = 0, io_apic = 1, override = 2, local_apic_address = 5, x2apic = 9 };

} // namespace detail

// Calls visit(APIC id as u32, whether a pCPU is there) for each place of a pCPU in the order of the table. A pCPU that
// stands in it twice, as a local APIC and as an x2APIC, is visited twice. What was visited before an error is to be
// forgotten.
template <typename Visit>
[[nodiscard]] Status<ParseError> for_each_pcpu_place(Bytes madt, Visit visit)
{
    using detail::MadtType;
    return for_each_entry(madt, detail::madt_fixed, madt_kind,
                          [&](std::uint8_t type, Bytes entry, std::size_t offset) -> Status<ParseError> {
                              if (MadtType{type} == MadtType::local_apic) {
                                  if (entry.size() < 8)
                                      return madt_kind.bad(offset, "a local APIC entry is shorter than 8 bytes");
                                  std::uint8_t const id{load<std::uint8_t>(entry, 3)};
                                  if (id != 0xff)
                                      visit(std::uint32_t{id},
                                            (load<std::uint32_t>(entry, 4) & detail::madt_enabled) != 0);
                              } else if (MadtType{type} == MadtType::x2apic) {
                                  if (entry.size() < 16)
                                      return madt_kind.bad(offset, "an x2APIC entry is shorter than 16 bytes");
                                  std::uint32_t const id{load<std::uint32_t>(entry, 4)};
                                  if (id != 0xffff'ffff)
                                      visit(id, (load<std::uint32_t>(entry, 8) & detail::madt_enabled) != 0);
                              }
                              return done;
                          });
}

// The same for each present pCPU: visit(APIC id).
template <typename Visit>
[[nodiscard]] Status<ParseError> for_each_pcpu(Bytes madt, Visit visit)
{
    return for_each_pcpu_place(madt, [&](std::uint32_t apic_id, bool is_present) {
        if (is_present)
            visit(apic_id);
    });
}

// Where the local APIC is, as the fixed part says or as an override entry corrects it.
[[nodiscard]] inline Result<PhysAddr, ParseError> local_apic_address(Bytes madt)
{
    std::uint64_t address{0};
    Status<ParseError> const walked{
        for_each_entry(madt, detail::madt_fixed, madt_kind,
                       [&](std::uint8_t type, Bytes entry, std::size_t offset) -> Status<ParseError> {
                           if (detail::MadtType{type} != detail::MadtType::local_apic_address)
                               return done;
                           if (entry.size() < 12)
                               return madt_kind.bad(offset, "a local APIC address entry is shorter than 12 bytes");
                           address = load<std::uint64_t>(entry, 4);
                           return done;
                       })};
    if (!walked)
        return fail(walked.error());
    return PhysAddr{address != 0 ? address : load<std::uint32_t>(madt, 36)};
}

// Where an interrupt of the ISA bus arrives.
struct IsaInterrupt {
    PhysAddr controller{}; // an I/O APIC; 0: the firmware names none
    std::uint32_t pin{0};
    bool is_level{false}, is_active_low{false};
};

// ISA interrupt `irq` (0..15): its number, polarity and trigger unless an entry says otherwise, on the I/O APIC with
// the highest first number that is not above it.
[[nodiscard]] inline Result<IsaInterrupt, ParseError> isa_interrupt(Bytes madt, std::uint8_t irq)
{
    using detail::MadtType;
    IsaInterrupt found;
    std::uint32_t number{irq};
    Status<ParseError> walked{
        for_each_entry(madt, detail::madt_fixed, madt_kind,
                       [&](std::uint8_t type, Bytes entry, std::size_t offset) -> Status<ParseError> {
                           if (MadtType{type} != MadtType::override)
                               return done;
                           if (entry.size() < 10)
                               return madt_kind.bad(offset, "an interrupt source override is shorter than 10 bytes");
                           if (load<std::uint8_t>(entry, 3) != irq)
                               return done;
                           std::uint16_t const flags{load<std::uint16_t>(entry, 8)};
                           number = load<std::uint32_t>(entry, 4);
                           found.is_active_low = (flags & 3) == 3;
                           found.is_level = (flags >> 2 & 3) == 3;
                           return done;
                       })};
    std::optional<std::uint32_t> first;
    if (walked)
        walked = for_each_entry(madt, detail::madt_fixed, madt_kind,
                                [&](std::uint8_t type, Bytes entry, std::size_t offset) -> Status<ParseError> {
                                    if (MadtType{type} != MadtType::io_apic)
                                        return done;
                                    if (entry.size() < 12)
                                        return madt_kind.bad(offset, "an I/O APIC entry is shorter than 12 bytes");
                                    std::uint32_t const base{load<std::uint32_t>(entry, 8)};
                                    if (base > number || (first && base < *first))
                                        return done;
                                    first = base;
                                    found.controller = PhysAddr{load<std::uint32_t>(entry, 4)};
                                    found.pin = number - base;
                                    return done;
                                });
    if (!walked)
        return fail(walked.error());
    return found;
}

} // namespace hv::boot::acpi
