#include "boot/info/multiboot.hpp"

#include "tests/unit/info/loaders.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace hv::boot {
namespace {

using namespace hv::test;

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

// So that everybody may compute base + length.
TEST(Multiboot1, AMapWithoutAnyRegionIsRefused)
{
    FakeMemory memory{qemu_memory()};
    ByteWriter map;
    region1(map, 0x100000, 0, 1);
    memory.put(0x9000, map.bytes);
    ByteWriter info;
    info.bytes = memory.at(0x9500);
    info.patch_u32(44, 24); // the map's length
    memory.put(0x9500, info.bytes);
    EXPECT_NE(message(boot::multiboot1_magic, 0x9500, memory).find("0x9500: the loader's memory map is empty"),
              std::string::npos)
        << message(boot::multiboot1_magic, 0x9500, memory);
}

TEST(Multiboot1, ARegionUpToTheLastByteOfTheAddressSpaceLosesIt)
{
    FakeMemory memory{qemu_memory()};
    ByteWriter map;
    region1(map, 0xffff'ffff'ffff'f000, 0x1000, 2);
    memory.put(0x9000, map.bytes);
    memory.put(0x9500, ByteWriter{memory.at(0x9500)}.patch_u32(44, 24).bytes);
    BootInfo out;
    ASSERT_TRUE(parse_multiboot(multiboot1_magic, PhysAddr{0x9500}, memory.view(), out));
    ASSERT_EQ(out.regions.size(), 1u);
    EXPECT_EQ(out.regions[0].length, 0xfffu);
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

} // namespace
} // namespace hv::boot
