// The way to the ACPI tables: RSDP, then XSDT or RSDT, then the table with a given signature.
//
// A table that this file returns has a plausible length, lies in readable memory and sums to zero. Where two tables
// have one signature, the first counts. Tables stay where the firmware put them (regions of kind acpi_reclaimable,
// acpi_nvs or reserved). Pure functions over physical memory, no locks. Floor: boot/acpi.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/types.hpp"
#include "boot/acpi/table.hpp"
#include "boot/info/physical_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace hv::boot::acpi {

struct Rsdp {
    std::uint8_t revision{0};
    PhysAddr rsdt; // 0: there is none
    PhysAddr xsdt; // 0: there is none, or its checksum is wrong
};

// The RSDP that `bytes` begin with; nothing if they do not begin with a valid one. Bytes behind it do not matter.
[[nodiscard]] std::optional<Rsdp> parse_rsdp(Bytes bytes);

// Tries the loader's copy (may be empty) first, then the first KiB of the EBDA, then 0xE0000 to 0xFFFFF.
[[nodiscard]] Result<Rsdp, ParseError> find_rsdp(PhysicalMemory memory, Bytes handed_over);

// The RSDT or XSDT: a list of addresses.
struct RootTable {
    Bytes bytes;
    std::size_t entry_size{4}; // 4 or 8

    [[nodiscard]] std::size_t size() const { return (bytes.size() - header_size) / entry_size; }
    [[nodiscard]] PhysAddr operator[](std::size_t index) const; // index < size()
};

// The XSDT if there is a valid one, else the RSDT.
[[nodiscard]] Result<RootTable, ParseError> open_root(PhysicalMemory memory, Rsdp const& rsdp);

// The first table of that kind; empty if there is none. An error if the first one is damaged: a second is not tried.
[[nodiscard]] Result<Bytes, ParseError> find_table(PhysicalMemory memory, RootTable const& root, TableKind const& kind);

// What find_table says about each table that we read. If there is no way to any table, all of them say why.
struct Tables {
    Result<Bytes, ParseError> madt{Bytes{}};
    Result<Bytes, ParseError> srat{Bytes{}};
    Result<Bytes, ParseError> slit{Bytes{}};
    Result<Bytes, ParseError> hpet{Bytes{}};
    Result<Bytes, ParseError> hmat{Bytes{}};
};

[[nodiscard]] Tables load_tables(PhysicalMemory memory, Bytes handed_over_rsdp);

} // namespace hv::boot::acpi
