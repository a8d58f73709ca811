#include "boot/acpi/rsdp.hpp"

#include "boot/acpi/hmat.hpp"

namespace hv::boot::acpi {

namespace {

constexpr std::string_view rsdp_signature{"RSD PTR "};
constexpr std::size_t rsdp_size = 20;           // revision 0
constexpr std::size_t rsdp_size_xsdt = 36;      // revision 2 and later, at least
constexpr std::size_t longest_table = 1u << 20; // Ours have kilobytes; more is a damaged length.

// The table at `at`, whatever its signature, or why it is unusable.
Result<Bytes, ParseError> read_table(PhysicalMemory memory, PhysAddr at, TableKind const& kind)
{
    auto const bad = [&](std::string_view what) {
        return fail(ParseError{.thing = kind.at_address, .place = at.value(), .what = what, .fix = blame_firmware});
    };
    Bytes const header{memory.read(at, header_size)};
    if (header.empty())
        return bad("the table is not in readable memory");
    std::size_t const length{load<std::uint32_t>(header, header_length)};
    if (length < header_size || length > longest_table)
        return bad("the table's length is not between 36 bytes and 1 MiB");
    Bytes const table{memory.read(at, length)};
    if (table.empty())
        return bad("the table is not in readable memory");
    if (byte_sum(table) != 0)
        return bad("the table's checksum is wrong");
    return table;
}

bool has_signature(Bytes bytes, std::string_view signature)
{
    return fits(bytes, 0, signature.size()) && as_text(bytes.first(signature.size())) == signature;
}

std::optional<Rsdp> scan(PhysicalMemory memory, std::uint64_t base, std::size_t length)
{
    Bytes const area{memory.read(PhysAddr{base}, length)};
    for (std::size_t offset = 0; offset + rsdp_size <= area.size(); offset += 16)
        if (std::optional<Rsdp> const found{parse_rsdp(area.subspan(offset))})
            return found;
    return std::nullopt;
}

std::optional<Rsdp> scan_ebda(PhysicalMemory memory)
{
    Bytes const segment{memory.read(PhysAddr{0x40e}, 2)};
    if (segment.empty())
        return std::nullopt;
    std::uint64_t const base{std::uint64_t{load<std::uint16_t>(segment, 0)} << 4};
    return base < 0x400 || base >= 0xa0000 ? std::nullopt : scan(memory, base, 1024);
}

Result<RootTable, ParseError> open(PhysicalMemory memory, PhysAddr at, TableKind const& kind, std::size_t entry_size)
{
    Result<Bytes, ParseError> const table{read_table(memory, at, kind)};
    if (!table)
        return fail(table.error());
    if (!has_signature(*table, kind.signature))
        return kind.bad(0, "the table has another signature");
    return RootTable{*table, entry_size};
}

} // namespace

std::optional<Rsdp> parse_rsdp(Bytes bytes)
{
    if (!has_signature(bytes, rsdp_signature) || bytes.size() < rsdp_size || byte_sum(bytes.first(rsdp_size)) != 0)
        return std::nullopt;
    Rsdp result{load<std::uint8_t>(bytes, 15), PhysAddr{load<std::uint32_t>(bytes, 16)}, PhysAddr{}};
    if (result.revision >= 2 && bytes.size() >= rsdp_size_xsdt) {
        std::size_t const length{load<std::uint32_t>(bytes, 20)};
        if (length >= rsdp_size_xsdt && length <= bytes.size() && byte_sum(bytes.first(length)) == 0)
            result.xsdt = PhysAddr{load<std::uint64_t>(bytes, 24)};
    }
    if (result.rsdt == PhysAddr{} && result.xsdt == PhysAddr{})
        return std::nullopt;
    return result;
}

Result<Rsdp, ParseError> find_rsdp(PhysicalMemory memory, Bytes handed_over)
{
    if (std::optional<Rsdp> const copy{parse_rsdp(handed_over)})
        return *copy;
    if (std::optional<Rsdp> const found{scan_ebda(memory)})
        return *found;
    if (std::optional<Rsdp> const found{scan(memory, 0xe0000, 0x20000)})
        return *found;
    return fail(ParseError{.thing = "RSDP, physical address",
                           .place = 0xe0000,
                           .what = "there is no valid RSDP, in the EBDA neither, so no ACPI table can be found",
                           .fix = "on a machine with UEFI firmware boot with GRUB's multiboot2, which hands it over"});
}

PhysAddr RootTable::operator[](std::size_t index) const
{
    HV_ASSERT(index < size());
    std::size_t const offset{header_size + index * entry_size};
    return PhysAddr{entry_size == 8 ? load<std::uint64_t>(bytes, offset) : load<std::uint32_t>(bytes, offset)};
}

Result<RootTable, ParseError> open_root(PhysicalMemory memory, Rsdp const& rsdp)
{
    if (rsdp.xsdt != PhysAddr{}) {
        Result<RootTable, ParseError> const root{open(memory, rsdp.xsdt, xsdt_kind, 8)};
        if (root || rsdp.rsdt == PhysAddr{})
            return root;
    }
    return open(memory, rsdp.rsdt, rsdt_kind, 4);
}

Result<Bytes, ParseError> find_table(PhysicalMemory memory, RootTable const& root, TableKind const& kind)
{
    for (std::size_t i = 0; i < root.size(); ++i)
        if (root[i] != PhysAddr{} && has_signature(memory.read(root[i], kind.signature.size()), kind.signature))
            return read_table(memory, root[i], kind);
    return Bytes{};
}

Tables load_tables(PhysicalMemory memory, Bytes handed_over_rsdp)
{
    Result<Rsdp, ParseError> const rsdp{find_rsdp(memory, handed_over_rsdp)};
    if (!rsdp)
        return {fail(rsdp.error()), fail(rsdp.error()), fail(rsdp.error()), fail(rsdp.error()), fail(rsdp.error())};
    Result<RootTable, ParseError> const root{open_root(memory, *rsdp)};
    if (!root)
        return {fail(root.error()), fail(root.error()), fail(root.error()), fail(root.error()), fail(root.error())};
    return {find_table(memory, *root, madt_kind), find_table(memory, *root, srat_kind),
            find_table(memory, *root, slit_kind), find_table(memory, *root, hpet_kind),
            find_table(memory, *root, hmat_kind)};
}

} // namespace hv::boot::acpi
