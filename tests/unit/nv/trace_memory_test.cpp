#include "tools/nv/trace_memory.hpp"

#include "sched/trace/directory.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/guest_ram.hpp"
#include "tools/nv/host_channel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

namespace hv::nv {
namespace {

using namespace sched::trace;
using Bytes = std::vector<std::byte>;

template <typename T>
void put(Bytes& memory, std::size_t at, T const& value)
{
    std::memcpy(memory.data() + at, &value, sizeof value);
}

std::byte pattern(std::uint64_t position) { return std::byte{static_cast<unsigned char>(position * 7 + 3)}; }

std::string refusal(std::function<void()> const& act)
{
    try {
        act();
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

// 64 KiB in two nodes; a directory at 0x100 with two pCPUs: ring 0 of 64 bytes whose records wrap, ring 1 absent.
struct GuestRegion {
    Bytes low = Bytes(0x8000), high = Bytes(0x8000);
    RingControl control{};

    GuestRegion()
    {
        control.head = 1000;
        control.tail = 950;
        control.lost_total = 3;
        put(low, 0x100, Directory{.pcpu_count = 2, .mask = 0});
        put(low, 0x100 + sizeof(Directory),
            DirectoryRing{.control = 0x8100, .data = 0x7fe0, .bytes = 64}); // data across the nodes
        put(low, 0x100 + sizeof(Directory) + sizeof(DirectoryRing), DirectoryRing{.control = 0, .data = 0, .bytes = 0});
        for (std::uint64_t position = 950; position < 1000; ++position) {
            std::size_t const address = 0x7fe0 + position % 64;
            (address < 0x8000 ? low[address] : high[address - 0x8000]) = pattern(position);
        }
        write_control();
    }
    void write_control() { put(high, 0x100, control); }
    [[nodiscard]] GuestMemory memory() { return GuestMemory{std::vector<std::span<std::byte>>{low, high}}; }
};

TEST(TraceMemory, FollowsTheDirectoryAndUnrollsTheRing)
{
    GuestRegion guest;
    Drained const drained = drain(guest.memory(), 0x100);
    ASSERT_EQ(drained.streams.size(), 2u);
    ASSERT_EQ(drained.streams[0].bytes.size(), 50u);
    for (std::uint64_t i = 0; i < 50; ++i)
        EXPECT_EQ(drained.streams[0].bytes[i], pattern(950 + i)) << i;
    EXPECT_TRUE(drained.streams[1].bytes.empty());
    EXPECT_EQ(drained.lost, 3u);
    EXPECT_EQ(drained.stamp_khz, 1'000'000u);
}

TEST(TraceMemory, RefusesWhatMakesNoSense)
{
    GuestRegion guest;
    EXPECT_NE(refusal([&] {
                  static_cast<void>(drain(guest.memory(), 0x200));
              }).find("no trace directory of version 2 at 0x200"),
              std::string::npos);
    EXPECT_NE(refusal([&] { static_cast<void>(drain(guest.memory(), 0xfff8)); }).find("where the guest has no RAM"),
              std::string::npos);
    EXPECT_NE(refusal([&] { static_cast<void>(drain(guest.memory(), ~0ull)); }).find("where the guest has no RAM"),
              std::string::npos);
    guest.control.head = 1015; // 65 bytes in a ring of 64
    guest.write_control();
    EXPECT_NE(refusal([&] { static_cast<void>(drain(guest.memory(), 0x100)); }).find("trace ring of pCPU 0"),
              std::string::npos);
    guest.control.head = 1014;
    guest.write_control();
    EXPECT_EQ(drain(guest.memory(), 0x100).streams[0].bytes.size(), 64u);
}

// q35 keeps 2 GiB below the hole once there are 2.75 GiB; the rest is at 4 GiB. The files are sparse.
TEST(TraceMemory, KnowsTheHoleBelowFourGibibytes)
{
    constexpr std::uint64_t gib = 1ull << 30;
    Machine machine;
    machine.node_memory_mib = {1024, 0, 2048};
    GuestRam const ram{machine, "/tmp"};
    EXPECT_EQ(ram.paths()[1], "");
    {
        std::ofstream second{ram.paths()[2], std::ios::in | std::ios::out | std::ios::binary};
        second.seekp(static_cast<std::streamoff>(gib - 2)); // the last bytes below the hole and the first above
        second << "abcd";
    }
    GuestMemory const memory{ram.files()};
    EXPECT_EQ(memory.total(), 3 * gib);
    EXPECT_EQ(memory.read(2 * gib - 2, 2), (Bytes{std::byte{'a'}, std::byte{'b'}}));
    EXPECT_EQ(memory.read(4 * gib, 2), (Bytes{std::byte{'c'}, std::byte{'d'}}));
    EXPECT_NE(refusal([&] { static_cast<void>(memory.read(2 * gib - 2, 4)); }), "");
    EXPECT_NE(refusal([&] { static_cast<void>(memory.read(5 * gib - 1, 2)); }), "");
    EXPECT_EQ(memory.read(5 * gib - 1, 1).size(), 1u);
}

TEST(TraceMemory, SmallMachinesHaveNoHole)
{
    GuestRegion guest;
    EXPECT_EQ(guest.memory().read(0xffff, 1).size(), 1u);
    EXPECT_NE(refusal([&] { static_cast<void>(guest.memory().read(4ull << 30, 1)); }), "");
}

TEST(HostChannel, FindsItsLinesAmongOthers)
{
    HostChannel const c =
        parse_host_channel("hello\ntrace directory=0x1f000\r\nscenario start=123456 end=99\ntrace-ish directory=0x5\n");
    EXPECT_EQ(c.trace_directory, 0x1f000u);
    EXPECT_EQ(c.scenario_start, 123456u);
    EXPECT_EQ(c.scenario_end, 99u);
    EXPECT_FALSE(parse_host_channel("").trace_directory);
    EXPECT_FALSE(parse_host_channel("trace directory=0x").trace_directory);
    EXPECT_FALSE(parse_host_channel("trace directory=12zz").trace_directory);
    EXPECT_FALSE(parse_host_channel("trace mydirectory=12").trace_directory);
}

} // namespace
} // namespace hv::nv
