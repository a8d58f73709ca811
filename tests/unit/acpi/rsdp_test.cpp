#include "boot/acpi/rsdp.hpp"

#include "boot/acpi/hpet.hpp"
#include "tests/unit/acpi/table_builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>

namespace hv::boot::acpi {
namespace {

using test::ByteVector;
using test::ByteWriter;
using test::FakeMemory;
using test::TableBuilder;
using test::text_of;

ByteVector rsdp0(std::uint32_t rsdt)
{
    ByteWriter out;
    out.text("RSD PTR ").u8(0).text("HVTEST").u8(0).u32(rsdt);
    test::fix_checksum(out.bytes, 8, 0, 20);
    return out.bytes;
}

ByteVector rsdp2(std::uint32_t rsdt, std::uint64_t xsdt)
{
    ByteWriter out;
    out.text("RSD PTR ").u8(0).text("HVTEST").u8(2).u32(rsdt).u32(36).u64(xsdt).u32(0);
    test::fix_checksum(out.bytes, 8, 0, 20);
    test::fix_checksum(out.bytes, 32, 0, 36);
    return out.bytes;
}

ByteVector rsdt(std::initializer_list<std::uint64_t> addresses)
{
    TableBuilder table{"RSDT", 1};
    for (std::uint64_t const address : addresses)
        table.body().u32(address);
    return table.build();
}

ByteVector xsdt(std::initializer_list<std::uint64_t> addresses)
{
    TableBuilder table{"XSDT", 1};
    for (std::uint64_t const address : addresses)
        table.body().u64(address);
    return table.build();
}

ByteVector marked(std::string_view signature, unsigned mark)
{
    TableBuilder table{signature, 1};
    table.body().u32(mark);
    return table.build();
}

std::uint32_t mark_of(Bytes table) { return load<std::uint32_t>(table, header_size); }

// The F-segment with `rsdp` at `offset`.
ByteVector f_segment(ByteVector const& rsdp, std::size_t offset)
{
    ByteVector segment(0x20000);
    std::copy(rsdp.begin(), rsdp.end(), segment.begin() + static_cast<std::ptrdiff_t>(offset));
    return segment;
}

TEST(Rsdp, IsFoundWhereQemuPutsItAndLeadsToTheTables)
{
    FakeMemory memory;
    memory.put(0xe0000, f_segment(rsdp0(0x7fe0000), 0x136a0));
    memory.put(0x7fe0000, rsdt({0x7fe1000, 0x7fe2000, 0x7fe3000}));
    memory.put(0x7fe1000, marked("FACP", 1)).put(0x7fe2000, marked("APIC", 2)).put(0x7fe3000, marked("SRAT", 3));
    Tables const tables{load_tables(memory.view(), {})};
    ASSERT_TRUE(tables.madt);
    ASSERT_FALSE(tables.madt->empty());
    EXPECT_EQ(mark_of(*tables.madt), 2u);
    EXPECT_EQ(mark_of(*tables.srat), 3u);
    ASSERT_TRUE(tables.slit); // Not there: no error, and empty.
    EXPECT_TRUE(tables.slit->empty());
    EXPECT_TRUE(tables.hpet->empty());
}

TEST(Rsdp, HandedOverCopyGoesBeforeEbdaAndEbdaBeforeTheRom)
{
    FakeMemory memory;
    ByteVector ebda(1024);
    ByteVector const in_ebda{rsdp0(0x2000)};
    std::copy(in_ebda.begin(), in_ebda.end(), ebda.begin() + 0x3f0 - 0x10);
    memory.put(0x400, ByteWriter{}.zeros(14).u16(0x9fc0).bytes).put(0x9fc00, ebda);
    memory.put(0xe0000, f_segment(rsdp0(0x3000), 0));
    EXPECT_EQ(find_rsdp(memory.view(), rsdp0(0x1000))->rsdt, PhysAddr{0x1000});
    EXPECT_EQ(find_rsdp(memory.view(), {})->rsdt, PhysAddr{0x2000});
    memory.put(0x9fc00, ByteVector(1024));
    EXPECT_EQ(find_rsdp(memory.view(), {})->rsdt, PhysAddr{0x3000});

    ByteVector damaged{rsdp0(0x1000)};
    damaged[12] ^= std::byte{1};
    EXPECT_EQ(find_rsdp(memory.view(), damaged)->rsdt, PhysAddr{0x3000});
}

TEST(Rsdp, OnlyCountsOnA16ByteBoundaryAndMayEndTheRom)
{
    FakeMemory memory;
    memory.put(0xe0000, f_segment(rsdp0(0x3000), 0x104));
    EXPECT_NE(text_of(find_rsdp(memory.view(), {}).error()).find("0xe0000: there is no valid RSDP"), std::string::npos);
    memory.put(0xe0000, f_segment(rsdp0(0x3000), 0x1ffe0));
    EXPECT_EQ(find_rsdp(memory.view(), {})->rsdt, PhysAddr{0x3000});
}

TEST(Rsdp, WithoutAnyReadableMemoryAllTablesSayWhy)
{
    Tables const tables{load_tables(FakeMemory{}.view(), {})};
    EXPECT_FALSE(tables.madt || tables.srat || tables.slit || tables.hpet);
}

TEST(Rsdp, Revision2LeadsToTheXsdtUnlessItsChecksumIsWrong)
{
    ByteVector const good{rsdp2(0x1000, 0x1'0000'0000)};
    EXPECT_EQ(parse_rsdp(good)->xsdt, PhysAddr{0x1'0000'0000});
    ByteVector damaged{good};
    damaged[30] ^= std::byte{1};
    EXPECT_EQ(parse_rsdp(damaged)->xsdt, PhysAddr{});
    EXPECT_EQ(parse_rsdp(damaged)->rsdt, PhysAddr{0x1000});
    // The copy in a multiboot 2 tag of the old kind ends after 20 bytes.
    EXPECT_EQ(parse_rsdp(Bytes{good}.first(20))->rsdt, PhysAddr{0x1000});
    EXPECT_FALSE(parse_rsdp(rsdp0(0)).has_value());
    EXPECT_FALSE(parse_rsdp(Bytes{good}.first(19)).has_value());
}

TEST(RootTable, XsdtIsPreferredAndRsdtServesWhenItIsDamaged)
{
    FakeMemory memory;
    memory.put(0x1000, rsdt({0x5000})).put(0x1'0000'0000, xsdt({0x6000ull, 0x2'0000'0000ull}));
    memory.put(0x5000, marked("APIC", 5)).put(0x2'0000'0000, marked("APIC", 8)).put(0x6000, marked("FACP", 6));
    Rsdp const rsdp{2, PhysAddr{0x1000}, PhysAddr{0x1'0000'0000}};
    Result<RootTable, ParseError> const root{open_root(memory.view(), rsdp)};
    ASSERT_TRUE(root);
    EXPECT_EQ(root->size(), 2u);
    EXPECT_EQ(mark_of(*find_table(memory.view(), *root, madt_kind)), 8u);

    memory.at(0x1'0000'0000)[40] ^= std::byte{1};
    Result<RootTable, ParseError> const fallback{open_root(memory.view(), rsdp)};
    ASSERT_TRUE(fallback);
    EXPECT_EQ(mark_of(*find_table(memory.view(), *fallback, madt_kind)), 5u);
    EXPECT_NE(text_of(open_root(memory.view(), {2, PhysAddr{}, PhysAddr{0x1'0000'0000}}).error()).find("XSDT"),
              std::string::npos);
}

TEST(RootTable, MustHaveItsSignature)
{
    FakeMemory memory;
    memory.put(0x1000, xsdt({0x5000ull}));
    EXPECT_NE(text_of(open_root(memory.view(), {0, PhysAddr{0x1000}, {}}).error()).find("another signature"),
              std::string::npos);
}

TEST(FindTable, TheFirstOfTwoCountsEvenIfItIsDamaged)
{
    FakeMemory memory;
    memory.put(0x1000, rsdt({0, 0x777000, 0x5000, 0x6000}));
    memory.put(0x5000, marked("SRAT", 5)).put(0x6000, marked("SRAT", 6));
    Result<RootTable, ParseError> const root{open_root(memory.view(), {0, PhysAddr{0x1000}, {}})};
    ASSERT_TRUE(root);
    EXPECT_EQ(mark_of(*find_table(memory.view(), *root, srat_kind)), 5u);
    memory.at(0x5000)[36] ^= std::byte{1};
    EXPECT_EQ(
        text_of(find_table(memory.view(), *root, srat_kind).error()),
        "SRAT, physical address 0x5000: the table's checksum is wrong; update the firmware, or correct the table if "
        "it was given with -acpitable");
}

TEST(FindTable, ImplausibleLengthsAreRefusedBeforeAnythingIsSummed)
{
    for (std::uint32_t const length : {0u, 35u, 0x100001u, 0xffffffffu}) {
        FakeMemory memory;
        memory.put(0x1000, rsdt({0x5000})).put(0x5000, ByteWriter{marked("SRAT", 5)}.patch_u32(4, length).bytes);
        Result<RootTable, ParseError> const root{open_root(memory.view(), {0, PhysAddr{0x1000}, {}})};
        EXPECT_NE(text_of(find_table(memory.view(), *root, srat_kind).error()).find("not between 36 bytes and 1 MiB"),
                  std::string::npos);
    }
}

TEST(RootTable, TruncationAtAnyByteIsAnErrorOrAShorterList)
{
    ByteVector const whole{rsdt({0x5000, 0x6000, 0x7000})};
    for (std::size_t length = 0; length < whole.size(); ++length) {
        FakeMemory memory;
        memory.put(0x1000, ByteVector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
        EXPECT_FALSE(open_root(memory.view(), {0, PhysAddr{0x1000}, {}})) << length;
        if (length < header_size)
            continue;
        // The same with a length and checksum that agree.
        ByteVector& table{memory.at(0x1000)};
        table[4] = static_cast<std::byte>(length);
        test::fix_checksum(table, 9, 0, length);
        Result<RootTable, ParseError> const root{open_root(memory.view(), {0, PhysAddr{0x1000}, {}})};
        ASSERT_TRUE(root) << length;
        EXPECT_EQ(root->size(), (length - header_size) / 4);
        EXPECT_TRUE(find_table(memory.view(), *root, srat_kind)->empty());
    }
}

TEST(Hpet, GivesTheAddressOfItsRegistersInMemorySpaceOnly)
{
    auto const hpet = [](unsigned space, std::uint64_t address) {
        TableBuilder table{"HPET", 1};
        table.body().u32(0x8086a201).u8(space).u8(0).u8(0).u8(0).u64(address).u8(0).u16(0).u8(0);
        return table.build();
    };
    EXPECT_EQ(*hpet_address(hpet(0, 0xfed00000)), PhysAddr{0xfed00000});
    EXPECT_FALSE(hpet_address(hpet(1, 0xfed00000)));
    EXPECT_FALSE(hpet_address(hpet(0, 0)));
    ByteVector const whole{hpet(0, 0xfed00000)};
    for (std::size_t length = 0; length < 52; ++length)
        EXPECT_FALSE(hpet_address(Bytes{whole}.first(length))) << length;
}

} // namespace
} // namespace hv::boot::acpi
