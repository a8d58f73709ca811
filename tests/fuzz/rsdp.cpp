// The way from the RSDP to the tables, through memory that holds anything: every table that is found is readable as a
// whole and sums to zero.
//
// The input lies at 0xE0000, where the RSDP is looked for. If its first byte is odd, the checksums of the RSDP behind
// it and of all tables that it leads to are put right first, since no fuzzer guesses them.
#include "boot/acpi/rsdp.hpp"
#include "tests/fuzz/memory_image.hpp"

#include <array>

namespace {

using namespace hv;
using boot::acpi::find_rsdp;

constexpr std::uint64_t area = 0xE0000;

// Makes `length` bytes at `base` sum to zero by changing the one at `at`.
void fix_sum(fuzz::MemoryImage& memory, std::uint64_t base, std::size_t length, std::uint64_t at)
{
    boot::Bytes const bytes{memory.view().read(PhysAddr{base}, length)};
    if (std::byte* const sum = memory.at(at); sum != nullptr && !bytes.empty())
        *sum = static_cast<std::byte>(std::to_integer<unsigned>(*sum) - boot::byte_sum(bytes));
}

void fix_table(fuzz::MemoryImage& memory, std::uint64_t base)
{
    boot::Bytes const header{memory.view().read(PhysAddr{base}, boot::acpi::header_size)};
    if (!header.empty())
        fix_sum(memory, base, boot::load<std::uint32_t>(header, boot::acpi::header_length), base + 9);
}

void fix_sums(fuzz::MemoryImage& memory)
{
    constexpr std::uint64_t rsdp = area + 16;
    fix_sum(memory, rsdp, 20, rsdp + 8);
    fix_sum(memory, rsdp, 36, rsdp + 32);
    Result<boot::acpi::Rsdp, boot::ParseError> const found{find_rsdp(memory.view(), {})};
    if (!found)
        return;
    fix_table(memory, found->rsdt.value());
    fix_table(memory, found->xsdt.value());
    Result<boot::acpi::RootTable, boot::ParseError> const root{boot::acpi::open_root(memory.view(), *found)};
    if (!root)
        return;
    std::size_t const size{root->size()};
    std::vector<std::uint64_t> tables;
    for (std::size_t i = 0; i < size; ++i)
        tables.push_back((*root)[i].value());
    for (std::uint64_t const table : tables)
        fix_table(memory, table);
}

} // namespace

HV_FUZZ_TARGET(rsdp)
{
    fuzz::MemoryImage memory{area, input};
    if (!input.empty() && input[0] % 2 == 1)
        fix_sums(memory);
    boot::acpi::Tables const tables{boot::acpi::load_tables(memory.view(), {})};
    std::array const results{&tables.madt, &tables.srat, &tables.slit, &tables.hpet, &tables.hmat};
    for (Result<boot::Bytes, boot::ParseError> const* const table : results) {
        if (!*table) {
            fuzz::expect_one_line(table->error());
            continue;
        }
        if ((*table)->empty())
            continue;
        HV_ASSERT(memory.contains(**table) && (*table)->size() >= boot::acpi::header_size);
        HV_ASSERT(boot::byte_sum(**table) == 0);
    }
}
