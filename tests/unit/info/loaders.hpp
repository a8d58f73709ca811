// What QEMU and GRUB leave in memory, byte by byte.
#pragma once

#include "boot/info/multiboot.hpp"
#include "tests/unit/info/error_text.hpp"
#include "tests/unit/info/fake_memory.hpp"

#include <cstdint>
#include <string>

namespace hv::test {

[[nodiscard]] inline std::string message(std::uint32_t magic, std::uint64_t info, FakeMemory const& memory)
{
    boot::BootInfo out;
    Status<boot::ParseError> const parsed{boot::parse_multiboot(magic, PhysAddr{info}, memory.view(), out)};
    return parsed ? "" : text_of(parsed.error());
}

[[nodiscard]] inline bool occupies(boot::BootInfo const& info, std::uint64_t base, std::uint64_t length)
{
    for (boot::OccupiedRange const& range : info.occupied)
        if (range.base.value() <= base && base + length <= range.base.value() + range.length)
            return true;
    return false;
}

inline ByteWriter& region1(ByteWriter& map, std::uint64_t base, std::uint64_t length, unsigned type)
{
    return map.u32(20).u64(base).u64(length).u32(type);
}

// What QEMU 7.2 leaves for: -m 64M -kernel k.bin -append 'sched=credit quiet' -initrd 'mod arg1 arg2', address by
// address.
[[nodiscard]] inline FakeMemory qemu_memory()
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

inline ByteWriter& tag(ByteWriter& info, unsigned type, ByteVector const& body)
{
    info.u32(type).u32(8 + body.size());
    info.bytes.insert(info.bytes.end(), body.begin(), body.end());
    return info.align(8);
}

[[nodiscard]] inline ByteVector mmap2()
{
    ByteWriter map;
    map.u32(24).u32(0).u64(0).u64(0x9f000).u32(1).u32(0).u64(0x100000).u64(0x7f00000).u32(1).u32(0);
    map.u64(0xfffc0000).u64(0x40000).u32(2).u32(0);
    return map.bytes;
}

[[nodiscard]] inline ByteWriter grub_info()
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

[[nodiscard]] inline ByteVector finish(ByteWriter info)
{
    tag(info, 0, {});
    return info.patch_u32(0, static_cast<std::uint32_t>(info.bytes.size())).bytes;
}

} // namespace hv::test
