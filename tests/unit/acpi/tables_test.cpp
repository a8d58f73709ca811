// MADT, SRAT and SLIT on their own: what is visited, what is refused, and that no byte outside is read.
#include "boot/acpi/madt.hpp"
#include "boot/acpi/slit.hpp"
#include "boot/acpi/srat.hpp"

#include "tests/unit/acpi/table_builder.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace hv::boot::acpi {
namespace {

using test::ByteVector;
using test::Madt;
using test::Srat;
using test::TableBuilder;
using test::text_of;

std::vector<std::uint32_t> pcpus_of(Bytes madt)
{
    std::vector<std::uint32_t> ids;
    EXPECT_TRUE(for_each_pcpu(madt, [&](std::uint32_t id) { ids.push_back(id); }));
    return ids;
}

// "cpu APIC:PXM" and "mem BASE+LENGTH:PXM[hn]" in the order of the visits; an error's text ends it.
std::string visits(Bytes srat)
{
    std::string text;
    Status<ParseError> const walked{walk_srat(
        srat,
        [&](SratCpu const& cpu) { text += "cpu " + std::to_string(cpu.apic_id) + ":" + std::to_string(cpu.pxm) + " "; },
        [&](SratMemory const& memory) {
            text += "mem " + std::to_string(memory.base.value()) + "+" + std::to_string(memory.length) + ":" +
                    std::to_string(memory.pxm) + (memory.hot_pluggable ? "h" : "") + (memory.non_volatile ? "n" : "") +
                    " ";
        })};
    return walked ? text : text + text_of(walked.error());
}

bool has(std::string const& text, std::string_view part) { return text.find(part) != std::string::npos; }

// The bytes in an allocation of their own, so that AddressSanitizer guards its end.
ByteVector prefix(ByteVector const& whole, std::size_t length)
{
    ByteVector cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    cut.shrink_to_fit();
    return cut;
}

TEST(Madt, OnlyEnabledPcpusCountAndTheirOrderIsTheTables)
{
    Madt madt;
    madt.cpu(4).cpu(0).cpu(1, 0).cpu(2, 2).cpu(3, 3).cpu(0xff).x2apic(300).x2apic(301, 2).x2apic(0xffffffff);
    EXPECT_EQ(pcpus_of(madt.build()), (std::vector<std::uint32_t>{4, 0, 3, 300}));
}

TEST(Madt, OtherEntriesAreSkippedByTheirLength)
{
    Madt madt;
    madt.cpu(0).body().u8(1).u8(12).zeros(10).u8(2).u8(10).zeros(8).u8(4).u8(6).zeros(4).u8(200).u8(2);
    madt.cpu(1);
    EXPECT_EQ(pcpus_of(madt.build()), (std::vector<std::uint32_t>{0, 1}));
}

// Interrupts of the ISA bus arrive under their own number unless an override says otherwise, on the I/O APIC that
// covers it.
TEST(Madt, AnIsaInterruptIsFoundOnTheIoApicThatHasItsNumber)
{
    auto const io_apic = [](Madt& madt, std::uint32_t address, std::uint32_t base) {
        madt.body().u8(1).u8(12).u8(0).u8(0).u32(address).u32(base);
    };
    Madt plain;
    io_apic(plain, 0xfec10000, 24);
    io_apic(plain, 0xfec00000, 0);
    plain.body().u8(2).u8(10).u8(0).u8(0).u32(2).u16(0);
    auto found = isa_interrupt(plain.build(), 4);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->controller, PhysAddr{0xfec00000});
    EXPECT_EQ(found->pin, 4u);
    EXPECT_FALSE(found->is_level || found->is_active_low);

    Madt moved;
    io_apic(moved, 0xfec10000, 24);
    io_apic(moved, 0xfec00000, 0);
    moved.body().u8(2).u8(10).u8(0).u8(4).u32(29).u16(0xf);
    found = isa_interrupt(moved.build(), 4);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->controller, PhysAddr{0xfec10000});
    EXPECT_EQ(found->pin, 5u);
    EXPECT_TRUE(found->is_level && found->is_active_low);

    EXPECT_EQ(isa_interrupt(Madt{}.cpu(0).build(), 4)->controller, PhysAddr{}); // there is none
    Madt cut;
    cut.body().u8(2).u8(9).zeros(7);
    EXPECT_FALSE(isa_interrupt(cut.build(), 4));
    Madt short_one;
    short_one.body().u8(1).u8(11).zeros(9);
    EXPECT_FALSE(isa_interrupt(short_one.build(), 4));
}

TEST(Madt, AnOverrideMovesTheLocalApic)
{
    Madt madt{0xfee00000};
    EXPECT_EQ(*local_apic_address(madt.cpu(0).build()), PhysAddr{0xfee00000});
    madt.body().u8(5).u8(12).u16(0).u64(0x1'fee0'0000);
    EXPECT_EQ(*local_apic_address(madt.build()), PhysAddr{0x1'fee0'0000});
}

TEST(Madt, MalformedEntriesAreErrorsThatNameTheirOffset)
{
    auto const error = [](unsigned type, unsigned length) {
        Madt madt;
        madt.cpu(0).body().u8(type).u8(length).zeros(length < 2 ? 0 : length - 2);
        ByteVector const table{madt.build()};
        Status<ParseError> const walked{for_each_pcpu(table, [](std::uint32_t) {})};
        Result<PhysAddr, ParseError> const address{local_apic_address(table)};
        return walked ? address ? std::string{} : text_of(address.error()) : text_of(walked.error());
    };
    EXPECT_TRUE(has(error(0, 7), "MADT, offset 0x34: a local APIC entry is shorter than 8 bytes"));
    EXPECT_TRUE(has(error(9, 15), "MADT, offset 0x34: an x2APIC entry is shorter than 16 bytes"));
    EXPECT_TRUE(has(error(5, 11), "MADT, offset 0x34: a local APIC address entry is shorter than 12 bytes"));
    EXPECT_TRUE(has(error(1, 0), "MADT, offset 0x34: an entry is shorter than its header"));
    EXPECT_TRUE(has(error(1, 1), "MADT, offset 0x34: an entry is shorter than its header"));
}

TEST(Madt, TruncationAtAnyByteGivesAPrefixOrAnError)
{
    Madt madt;
    ByteVector const whole{madt.cpu(0).x2apic(1).cpu(2).build()};
    for (std::size_t length = 0; length < whole.size(); ++length) {
        ByteVector const cut{prefix(whole, length)};
        unsigned seen{0};
        bool const ok = for_each_pcpu(cut, [&](std::uint32_t id) { EXPECT_EQ(id, seen++); }).ok();
        EXPECT_EQ(ok, length == 44 || length == 52 || length == 68) << length;
        EXPECT_EQ(local_apic_address(cut).ok(), ok) << length;
    }
}

TEST(Srat, FieldsAreReadAtTheirPlacesAndOnlyOfEnabledEntries)
{
    Srat srat{3};
    srat.cpu(1, 0x01020304).cpu(2, 9, 0).x2apic(400, 300).x2apic(401, 300, 0);
    srat.memory(1000, 2000, 0x0a0b0c0d).memory(0, 0, 0, 0).memory(5, 6, 7, 3).memory(8, 9, 1, 5);
    EXPECT_EQ(visits(srat.build()), "cpu 1:16909060 cpu 400:300 mem 1000+2000:168496141 mem 5+6:7h mem 8+9:1n ");
}

TEST(Srat, BelowRevision2OnlyTheLowByteOfAPxmCounts)
{
    Srat srat{1};
    srat.cpu(1, 0x01000007).x2apic(2, 300).memory(0, 4096, 0x0102);
    EXPECT_EQ(visits(srat.build()), "cpu 1:7 cpu 2:44 mem 0+4096:2 ");
}

TEST(Srat, UnknownTypesAreSkippedByTheirLength)
{
    Srat srat;
    srat.unknown(3, 18).cpu(0, 0).unknown(4, 12).unknown(5, 32).unknown(6, 32).unknown(255, 2).memory(0, 4096, 0);
    EXPECT_EQ(visits(srat.build()), "cpu 0:0 mem 0+4096:0 ");
}

TEST(Srat, MalformedEntriesAreErrorsThatNameTheirOffset)
{
    auto const error = [](unsigned type, unsigned length) {
        Srat srat;
        srat.body().u8(type).u8(length).zeros(length < 2 ? 0 : length - 2);
        return visits(srat.build());
    };
    EXPECT_TRUE(has(error(0, 15), "SRAT, offset 0x30: a CPU entry has not 16 bytes"));
    EXPECT_TRUE(has(error(0, 17), "SRAT, offset 0x30: a CPU entry has not 16 bytes"));
    EXPECT_TRUE(has(error(1, 32), "SRAT, offset 0x30: a memory entry has not 40 bytes"));
    EXPECT_TRUE(has(error(1, 41), "SRAT, offset 0x30: a memory entry has not 40 bytes"));
    EXPECT_TRUE(has(error(2, 23), "SRAT, offset 0x30: an x2APIC entry is shorter than 24 bytes"));
    EXPECT_EQ(error(2, 25), "");
    EXPECT_TRUE(has(error(3, 0), "SRAT, offset 0x30: an entry is shorter than its header"));
    EXPECT_TRUE(has(error(3, 1), "SRAT, offset 0x30: an entry is shorter than its header"));
    Srat past_the_end;
    past_the_end.body().u8(3).u8(18).zeros(15);
    EXPECT_TRUE(has(visits(past_the_end.build()), "SRAT, offset 0x30: an entry runs past the end of the table"));
    Srat overflow;
    overflow.cpu(0, 0).memory(0xffff'ffff'ffff'f000, 0x1000, 0);
    EXPECT_TRUE(
        has(visits(overflow.build()), "SRAT, offset 0x40: a memory entry runs past the end of the address space"));
}

TEST(Srat, TruncationAtAnyByteGivesAPrefixOrAnError)
{
    Srat srat;
    ByteVector const whole{srat.cpu(0, 0).x2apic(1, 1).memory(0, 4096, 0).unknown(5, 32).build()};
    std::string const all{visits(whole)};
    for (std::size_t length = 0; length < whole.size(); ++length) {
        std::string const seen{visits(prefix(whole, length))};
        bool const at_boundary = length == 48 || length == 64 || length == 88 || length == 128;
        EXPECT_EQ(!has(seen, "SRAT"), at_boundary) << length;
        EXPECT_TRUE(!at_boundary || all.starts_with(seen)) << length;
    }
}

TEST(Slit, KeepsAsymmetryAndTheMarkOfNoWay)
{
    ByteVector const bytes{test::slit(3, {10, 21, 255, 31, 10, 11, 255, 254, 10})};
    Result<Slit, ParseError> const kept{parse_slit(bytes)};
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->distance(0, 1), 21);
    EXPECT_EQ(kept->distance(1, 0), 31);
    EXPECT_EQ(kept->distance(0, 2), unreachable_distance);
    EXPECT_EQ(kept->distance(2, 1), 254);
}

TEST(Slit, DistancesThatBreakTheRulesAreErrorsThatNameTheirOffset)
{
    auto const error = [](unsigned count, std::vector<unsigned> const& cells) {
        ByteVector const bytes{test::slit(count, cells)};
        Result<Slit, ParseError> const slit{parse_slit(bytes)};
        return slit ? std::string{} : text_of(slit.error());
    };
    EXPECT_EQ(error(2, {10, 11, 11, 10}), "");
    EXPECT_TRUE(has(error(2, {10, 20, 20, 20}), "SLIT, offset 0x2f: the distance of a locality to itself is not 10"));
    EXPECT_TRUE(has(error(2, {10, 10, 10, 10}), "SLIT, offset 0x2d: the distance to another locality is not above 10"));
    EXPECT_TRUE(has(error(2, {10, 20, 9, 10}), "SLIT, offset 0x2e: the distance to another"));
    EXPECT_TRUE(has(error(0, {}), "SLIT, offset 0x24: the number of localities is not between 1 and 255"));
    EXPECT_TRUE(has(error(256, std::vector<unsigned>(65536, 10)), "not between 1 and 255"));
    EXPECT_TRUE(has(error(3, {10, 20, 20, 10}), "too short for its number of localities"));
    EXPECT_EQ(error(1, {10, 0, 0, 0}), ""); // Bytes behind the matrix do not matter.
}

TEST(Slit, AHugeNumberOfLocalitiesDoesNotOverflowTheSize)
{
    for (std::uint64_t const count : {0x1'0000'0000ull, 0x8000'0000'0000'0001ull, ~0ull}) {
        TableBuilder table{"SLIT", 1};
        table.body().u64(count).zeros(16);
        EXPECT_FALSE(parse_slit(table.build()));
    }
}

TEST(Slit, TruncationAtAnyByteIsAnError)
{
    ByteVector const whole{test::slit(2, {10, 20, 20, 10})};
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_FALSE(parse_slit(prefix(whole, length))) << length;
    EXPECT_TRUE(parse_slit(whole));
}

// Under AddressSanitizer: whatever the bytes, each parser answers and none reads outside.
TEST(AcpiTables, DamagedBytesAreReadInBounds)
{
    std::mt19937 random{20250304};
    Srat srat{2};
    Madt madt;
    std::vector<ByteVector> const whole{madt.cpus(4).x2apic(7).build(),
                                        srat.cpu(0, 0).memory(0, 4096, 0).x2apic(1, 1).memory(8192, 4096, 1).build(),
                                        test::slit(3, {10, 20, 20, 20, 10, 20, 20, 20, 10})};
    unsigned accepted{0}, refused{0};
    for (int round = 0; round < 10'000; ++round) {
        ByteVector bytes{whole[random() % whole.size()]};
        for (auto i = random() % 4; i > 0; --i)
            bytes[header_size + random() % (bytes.size() - header_size)] = static_cast<std::byte>(random());
        bytes = prefix(bytes, random() % 2 == 0 ? bytes.size() : random() % (bytes.size() + 1));
        for (bool const ok : {for_each_pcpu(bytes, [](std::uint32_t) {}).ok(), local_apic_address(bytes).ok(),
                              walk_srat(bytes, [](SratCpu) {}, [](SratMemory) {}).ok(), parse_slit(bytes).ok()})
            ok ? ++accepted : ++refused;
    }
    EXPECT_GT(accepted, 1000u);
    EXPECT_GT(refused, 1000u);
}

} // namespace
} // namespace hv::boot::acpi
