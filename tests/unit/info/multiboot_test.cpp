#include "boot/info/multiboot.hpp"

#include "tests/unit/info/fake_memory.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

namespace hv::boot {
namespace {

using test::bytes_of;
using test::ByteVector;
using test::ByteWriter;
using test::FakeMemory;

std::string text_of(ParseError const& error)
{
    std::array<char, 512> buffer{};
    BufferSink sink{buffer};
    describe(error, sink);
    EXPECT_FALSE(sink.truncated());
    return std::string{sink.text()};
}

std::string message(std::uint32_t magic, std::uint64_t info, FakeMemory const& memory)
{
    BootInfo out;
    Status<ParseError> const parsed{parse_multiboot(magic, PhysAddr{info}, memory.view(), out)};
    return parsed ? "" : text_of(parsed.error());
}

bool occupies(BootInfo const& info, std::uint64_t base, std::uint64_t length)
{
    for (OccupiedRange const& range : info.occupied)
        if (range.base.value() <= base && base + length <= range.base.value() + range.length)
            return true;
    return false;
}

// --------------------------------------------------------------------------------------------------------------
// multiboot 1

ByteWriter& region1(ByteWriter& map, std::uint64_t base, std::uint64_t length, unsigned type)
{
    return map.u32(20).u64(base).u64(length).u32(type);
}

// What QEMU 7.2 leaves for: -m 64M -kernel k.bin -append 'sched=credit quiet' -initrd 'mod arg1 arg2', address by
// address.
FakeMemory qemu_memory()
{
    ByteWriter info;
    info.u32(0x24f).u32(0x27f).u32(0xfb80).u32(0x8000ffff).u32(0x10101e).u32(1).u32(0x101000).zeros(16);
    info.u32(0xd8).u32(0x9000).zeros(12).u32(0x101037).zeros(52);
    ByteWriter map;
    region1(map, 0, 0x9fc00, 1);
    region1(map, 0x9fc00, 0x400, 2);
    region1(map, 0xf0000, 0x10000, 2);
    region1(map, 0x100000, 0x3ee0000, 1);
    region1(map, 0x3fe0000, 0x20000, 2);
    region1(map, 0xb0000000, 0x10000000, 2);
    region1(map, 0xfed1c000, 0x4000, 2);
    region1(map, 0xfffc0000, 0x40000, 2);
    region1(map, 0xfd00000000, 0x300000000, 2);
    ByteWriter strings;
    strings.u32(0x102000).u32(0x10200c).u32(0x101010).u32(0);
    strings.c_string("mod arg1 arg2").c_string("k.bin sched=credit quiet").c_string("qemu").align(4096);
    FakeMemory memory;
    memory.put(0x9500, info.bytes).put(0x9000, map.bytes).put(0x101000, strings.bytes);
    memory.put(0x102000, bytes_of("hello module"));
    return memory;
}

TEST(Multiboot1, ReadsWhatQemuLeaves)
{
    FakeMemory const memory{qemu_memory()};
    BootInfo info;
    ASSERT_EQ(message(multiboot1_magic, 0x9500, memory), "");
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x9500}, memory.view(), info));
    EXPECT_EQ(info.loader, "qemu");
    EXPECT_EQ(info.command_line, "sched=credit quiet");
    ASSERT_EQ(info.regions.size(), 9u);
    EXPECT_EQ(info.regions[0].base, PhysAddr{0});
    EXPECT_EQ(info.regions[0].length, 0x9fc00u);
    EXPECT_EQ(info.regions[0].kind, MemoryKind::usable);
    EXPECT_EQ(info.regions[8].base, PhysAddr{0xfd00000000});
    EXPECT_EQ(info.regions[8].kind, MemoryKind::reserved);
    ASSERT_TRUE(info.module.has_value());
    EXPECT_EQ(info.module->start, PhysAddr{0x102000});
    EXPECT_EQ(info.module->end, PhysAddr{0x10200c});
    EXPECT_EQ(info.module->args, "arg1 arg2");
    EXPECT_TRUE(info.rsdp.empty());
}

TEST(Multiboot1, EverythingThatTheResultPointsToIsOccupied)
{
    FakeMemory const memory{qemu_memory()};
    BootInfo info;
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x9500}, memory.view(), info));
    EXPECT_TRUE(occupies(info, 0x9500, 120));  // info
    EXPECT_TRUE(occupies(info, 0x9000, 0xd8)); // map
    EXPECT_TRUE(occupies(info, 0x101000, 16)); // list of modules
    EXPECT_TRUE(occupies(info, 0x101010, 14)); // its string
    EXPECT_TRUE(occupies(info, 0x10101e, 25)); // command line
    EXPECT_TRUE(occupies(info, 0x101037, 5));  // loader
    EXPECT_TRUE(occupies(info, 0x102000, 12)); // module
    EXPECT_EQ(info.occupied.size(), 7u);
}

TEST(Multiboot1, Grub2PassesNoFileName)
{
    FakeMemory memory;
    ByteWriter info;
    info.u32(1u << 0 | 1u << 2 | 1u << 9).u32(639).u32(1024).u32(0).u32(0x20000).zeros(44).u32(0x20100).zeros(52);
    ByteWriter strings;
    strings.c_string("quiet sched=null").align(256).c_string("GRUB 2.06-13").align(8192);
    memory.put(0x10000, info.bytes).put(0x20000, strings.bytes);
    BootInfo out;
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x10000}, memory.view(), out));
    EXPECT_EQ(out.command_line, "quiet sched=null");
    EXPECT_EQ(out.loader, "GRUB 2.06-13");
    // No map was given: the two sizes stand in for it.
    ASSERT_EQ(out.regions.size(), 2u);
    EXPECT_EQ(out.regions[0].length, 639u * 1024);
    EXPECT_EQ(out.regions[1].base, PhysAddr{0x100000});
    EXPECT_EQ(out.regions[1].length, 1024u * 1024);
    EXPECT_FALSE(out.module.has_value());
}

TEST(Multiboot1, ACommandLineThatIsOnlyTheFileNameIsEmpty)
{
    FakeMemory memory{qemu_memory()};
    std::memcpy(memory.at(0x101000).data() + 0x1e, "k.bin\0", 6);
    BootInfo out;
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x9500}, memory.view(), out));
    EXPECT_EQ(out.command_line, "");
}

TEST(Multiboot1, AStringMayCrossAPageButNotGoOnForEver)
{
    FakeMemory memory{qemu_memory()};
    memory.put(0x9500, ByteWriter{memory.at(0x9500)}.patch_u32(16, 0x30ff0).bytes);
    ByteWriter line;
    line.zeros(0xff0).c_string("k.bin quiet khz=1000 trace=off").align(8192);
    memory.put(0x30000, line.bytes);
    BootInfo out;
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x9500}, memory.view(), out));
    EXPECT_EQ(out.command_line, "quiet khz=1000 trace=off");

    memory.put(0x30000, ByteVector(16384, std::byte{'a'}));
    EXPECT_EQ(
        message(multiboot1_magic, 0x9500, memory),
        "multiboot info, physical address 0x30ff0: a string has no end within 4096 bytes; shorten the command line");
}

TEST(Multiboot1, RefusalsNameThePlace)
{
    FakeMemory memory{qemu_memory()};
    EXPECT_NE(message(multiboot1_magic, 0x8000, memory).find("0x8000: the info block is not in readable memory"),
              std::string::npos);
    EXPECT_EQ(message(0x2badb003, 0x9500, memory),
              "boot, register EAX 0x2badb003: this is no magic number of multiboot 1 or 2; boot with GRUB 2 or "
              "qemu-system-x86_64 -kernel");

    auto const patched = [](std::size_t offset, std::uint32_t value) {
        FakeMemory other{qemu_memory()};
        other.put(0x9500, ByteWriter{other.at(0x9500)}.patch_u32(offset, value).bytes);
        return message(multiboot1_magic, 0x9500, other);
    };
    EXPECT_NE(patched(0, 0x24e & ~0x40u).find("0x9500: the loader gives no memory map"), std::string::npos);
    EXPECT_NE(patched(20, 2).find("more than one module"), std::string::npos);
    EXPECT_NE(patched(24, 0x777000).find("0x777000: the list of modules is not"), std::string::npos);
    EXPECT_NE(patched(16, 0x777000).find("0x777000: a string is not"), std::string::npos);
    EXPECT_NE(patched(48, 0x777000).find("0x777000: the memory map is empty or not"), std::string::npos);
    EXPECT_NE(patched(44, 0xfffffff0).find("0x9000: the memory map is larger"), std::string::npos);
    EXPECT_EQ(patched(44, 0x30), "");
    EXPECT_NE(patched(44, 0x31).find("0x9030: the memory map ends in the middle"), std::string::npos);
}

TEST(Multiboot1, DamagedRegionsAreRefused)
{
    auto const with_map = [](ByteWriter const& map) {
        FakeMemory memory{qemu_memory()};
        memory.put(0x9500,
                   ByteWriter{memory.at(0x9500)}.patch_u32(44, static_cast<std::uint32_t>(map.bytes.size())).bytes);
        memory.put(0x9000, map.bytes);
        return message(multiboot1_magic, 0x9500, memory);
    };
    ByteWriter short_entry, overflow, whole, many;
    short_entry.u32(16).zeros(40);
    EXPECT_NE(with_map(short_entry).find("0x9000: a region of the memory map is shorter"), std::string::npos);
    region1(overflow, 0xffff'ffff'ffff'f000, 0x1001, 1);
    EXPECT_NE(with_map(overflow).find("runs past the end of the address space"), std::string::npos);
    region1(whole, 0xffff'ffff'ffff'f000, 0x1000, 2);
    EXPECT_EQ(with_map(whole), "");
    for (unsigned i = 0; i < max_memory_regions; ++i)
        region1(many, i * 0x10000, 0x1000, 1);
    EXPECT_EQ(with_map(many), "");
    region1(many, 0x1000'0000, 0, 1); // Empty: does not count.
    EXPECT_EQ(with_map(many), "");
    region1(many, 0x1000'0000, 0x1000, 1);
    EXPECT_NE(with_map(many).find("more than 128 regions"), std::string::npos);
}

TEST(Multiboot1, RegionsOfUnknownKindAreReserved)
{
    FakeMemory memory{qemu_memory()};
    ByteWriter map;
    region1(map, 0, 0x1000, 77);
    region1(map, 0x1000, 0x1000, 0);
    region1(map, 0x2000, 0x1000, 3);
    memory.put(0x9000, map.bytes);
    memory.put(0x9500, ByteWriter{memory.at(0x9500)}.patch_u32(44, 72).bytes);
    BootInfo out;
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x9500}, memory.view(), out));
    EXPECT_EQ(out.regions[0].kind, MemoryKind::reserved);
    EXPECT_EQ(out.regions[1].kind, MemoryKind::reserved);
    EXPECT_EQ(out.regions[2].kind, MemoryKind::acpi_reclaimable);
}

// --------------------------------------------------------------------------------------------------------------
// multiboot 2

ByteWriter& tag(ByteWriter& info, unsigned type, ByteVector const& body)
{
    info.u32(type).u32(8 + body.size());
    info.bytes.insert(info.bytes.end(), body.begin(), body.end());
    return info.align(8);
}

ByteVector mmap2()
{
    ByteWriter map;
    map.u32(24).u32(0).u64(0).u64(0x9f000).u32(1).u32(0).u64(0x100000).u64(0x7f00000).u32(1).u32(0);
    map.u64(0xfffc0000).u64(0x40000).u32(2).u32(0);
    return map.bytes;
}

ByteWriter grub_info()
{
    ByteWriter info;
    info.u32(0).u32(0);
    tag(info, 21, ByteWriter{}.u32(0x100000).bytes);
    tag(info, 1, ByteWriter{}.c_string("sched=credit numa=off").bytes);
    tag(info, 2, ByteWriter{}.c_string("GRUB 2.06-13+deb12u1").bytes);
    tag(info, 3, ByteWriter{}.u32(0x200000).u32(0x200123).c_string("the scenario").bytes);
    tag(info, 4, ByteWriter{}.u32(639).u32(130048).bytes);
    tag(info, 6, mmap2());
    tag(info, 14, ByteWriter{}.text("old RSDP").bytes);
    return info;
}

ByteVector finish(ByteWriter info)
{
    tag(info, 0, {});
    return info.patch_u32(0, static_cast<std::uint32_t>(info.bytes.size())).bytes;
}

TEST(Multiboot2, ReadsWhatGrubLeaves)
{
    FakeMemory memory;
    ByteVector const info{finish(grub_info())};
    memory.put(0x20000, info);
    BootInfo out;
    ASSERT_EQ(message(multiboot2_magic, 0x20000, memory), "");
    ASSERT_TRUE(parse_multiboot(multiboot2_magic, PhysAddr{0x20000}, memory.view(), out));
    EXPECT_EQ(out.loader, "GRUB 2.06-13+deb12u1");
    EXPECT_EQ(out.command_line, "sched=credit numa=off");
    ASSERT_TRUE(out.module.has_value());
    EXPECT_EQ(out.module->start, PhysAddr{0x200000});
    EXPECT_EQ(out.module->end, PhysAddr{0x200123});
    EXPECT_EQ(out.module->args, "the scenario");
    ASSERT_EQ(out.regions.size(), 3u);
    EXPECT_EQ(out.regions[1].length, 0x7f00000u);
    EXPECT_EQ(as_text(out.rsdp), "old RSDP");
    EXPECT_TRUE(occupies(out, 0x20000, info.size()));
    EXPECT_TRUE(occupies(out, 0x200000, 0x123));
}

TEST(Multiboot2, TheNewRsdpWinsWhereverItStands)
{
    for (bool const new_first : {false, true}) {
        ByteWriter info;
        info.u32(0).u32(0);
        if (new_first)
            tag(info, 15, bytes_of("new"));
        tag(info, 14, bytes_of("old"));
        if (!new_first)
            tag(info, 15, bytes_of("new"));
        tag(info, 6, mmap2());
        FakeMemory memory;
        memory.put(0x20000, finish(info));
        BootInfo out;
        ASSERT_TRUE(parse_multiboot(multiboot2_magic, PhysAddr{0x20000}, memory.view(), out));
        EXPECT_EQ(as_text(out.rsdp), "new");
    }
}

TEST(Multiboot2, WithoutAMapTheBasicSizesServe)
{
    ByteWriter info;
    info.u32(0).u32(0);
    tag(info, 4, ByteWriter{}.u32(640).u32(2048).bytes);
    FakeMemory memory;
    memory.put(0x20000, finish(info));
    BootInfo out;
    ASSERT_TRUE(parse_multiboot(multiboot2_magic, PhysAddr{0x20000}, memory.view(), out));
    ASSERT_EQ(out.regions.size(), 2u);
    EXPECT_EQ(out.regions[1].length, 2u << 20);
}

TEST(Multiboot2, RefusalsNameThePlace)
{
    auto const parse = [](ByteVector bytes) {
        FakeMemory memory;
        memory.put(0x20000, std::move(bytes));
        return message(multiboot2_magic, 0x20000, memory);
    };
    ByteWriter empty;
    empty.u32(0).u32(0);
    EXPECT_NE(parse(finish(empty)).find("0x20000: the loader gives no memory map"), std::string::npos);

    ByteWriter two_modules{grub_info()};
    std::size_t const second{two_modules.bytes.size()};
    tag(two_modules, 3, ByteWriter{}.u32(0x300000).u32(0x300001).c_string("").bytes);
    std::array<char, 64> place{};
    BufferSink sink{place};
    print(sink, "{:x}: there is more than one module; give one file", 0x20000 + second);
    EXPECT_NE(parse(finish(two_modules)).find(sink.text()), std::string::npos);

    ByteWriter backwards{empty};
    tag(backwards, 3, ByteWriter{}.u32(0x300001).u32(0x300000).c_string("").bytes);
    EXPECT_NE(parse(finish(backwards)).find("ends before it starts"), std::string::npos);

    ByteWriter stunted{empty};
    tag(stunted, 3, ByteWriter{}.u32(0x300001).bytes);
    EXPECT_NE(parse(finish(stunted)).find("a module tag is shorter"), std::string::npos);

    ByteWriter loop{empty};
    loop.u32(1).u32(0); // A tag of length 0 would be read for ever.
    EXPECT_NE(parse(finish(loop)).find("0x20008: a tag is shorter than its header"), std::string::npos);

    ByteWriter no_end{grub_info()};
    no_end.patch_u32(0, static_cast<std::uint32_t>(no_end.bytes.size()));
    EXPECT_NE(parse(no_end.bytes).find("the list of tags has no end"), std::string::npos);

    ByteWriter zero_step{empty};
    tag(zero_step, 6, ByteWriter{}.u32(0).u32(0).zeros(24).bytes);
    EXPECT_NE(parse(finish(zero_step)).find("shorter than 24 bytes"), std::string::npos);

    ByteWriter ragged{empty};
    tag(ragged, 6, ByteWriter{}.u32(24).u32(0).zeros(30).bytes);
    EXPECT_NE(parse(finish(ragged)).find("ends in the middle of a region"), std::string::npos);

    EXPECT_NE(parse(ByteWriter{}.u32(4).u32(0).bytes).find("the size of the info block"), std::string::npos);
    EXPECT_NE(parse(ByteWriter{}.u32(0x7fffffff).u32(0).bytes).find("the size of the info block"), std::string::npos);
    EXPECT_NE(parse(ByteWriter{}.u32(64).u32(0).bytes).find("not in readable memory"), std::string::npos);
}

// ------------------------------------------------------------------------------------------------------------- any
// input

TEST(Multiboot2, TruncationAtAnyByteIsAnError)
{
    ByteVector const whole{finish(grub_info())};
    for (std::size_t length = 8; length < whole.size(); ++length) {
        FakeMemory memory;
        ByteWriter cut{ByteVector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))};
        memory.put(0x20000, cut.patch_u32(0, static_cast<std::uint32_t>(length)).bytes);
        BootInfo out;
        EXPECT_FALSE(parse_multiboot(multiboot2_magic, PhysAddr{0x20000}, memory.view(), out)) << length;
    }
}

// Under AddressSanitizer: damaged info must never be read beyond, and what is returned must be readable.
TEST(Multiboot, DamagedInfoIsReadInBounds)
{
    std::mt19937 random{20250303};
    unsigned accepted{0}, refused{0};
    for (int round = 0; round < 20'000; ++round) {
        bool const second = random() % 2 == 0;
        FakeMemory memory{qemu_memory()};
        memory.put(0x20000, finish(grub_info()));
        std::uint64_t const block{second ? 0x20000u : std::array{0x9500u, 0x9000u, 0x101000u}[random() % 3]};
        std::size_t const range{block == 0x101000 ? std::size_t{0x40} : memory.at(block).size()};
        for (auto i = 1 + random() % 3; i > 0; --i)
            memory.at(block)[random() % range] = static_cast<std::byte>(random() % 3 == 0 ? 0xff : random());
        BootInfo out;
        Status<ParseError> const parsed{parse_multiboot(second ? multiboot2_magic : multiboot1_magic,
                                                        PhysAddr{second ? 0x20000u : 0x9500u}, memory.view(), out)};
        parsed ? ++accepted : ++refused;
        if (!parsed) {
            EXPECT_NE(text_of(parsed.error()).find("; "), std::string::npos);
            continue;
        }
        std::string const copy{std::string{out.command_line} + std::string{out.loader}};
        EXPECT_LE(copy.size(), 8192u);
        for (MemoryRegion const& region : out.regions)
            ASSERT_GT(region.base.value() + region.length, region.base.value());
    }
    EXPECT_GT(accepted, 1000u);
    EXPECT_GT(refused, 1000u);
}

} // namespace
} // namespace hv::boot
