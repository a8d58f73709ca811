#include "boot/info/multiboot.hpp"

#include "tests/unit/info/loaders.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <utility>

namespace hv::boot {
namespace {

using namespace hv::test;

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
    for (int round = 0; round < 5'000; ++round) {
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
    EXPECT_GT(accepted, 300u);
    EXPECT_GT(refused, 300u);
}

} // namespace
} // namespace hv::boot
