// The machine map against models and against damaged firmware.
#include "boot/acpi/machine_map.hpp"

#include "tests/unit/acpi/machines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace hv::boot::acpi {
namespace {

using test::distance_text;
using test::Firmware;
using test::memory_text;
using test::node_text;
using test::Srat;
using test::text_of;
using test::two_nodes;
using test::with_srat;

TEST(MachineMap, IsTheSameForAMapThatWasUsedBefore)
{
    Firmware const firmware{two_nodes()};
    Firmware other{two_nodes()};
    other.srat.clear();
    other.madt.clear();
    auto const fresh = firmware.map();
    auto const reused = other.map();
    Tables const tables{Bytes{firmware.madt}, Bytes{firmware.srat}, Bytes{firmware.slit}};
    build_machine_map(tables, firmware.cpuid, firmware.flags, firmware.regions, *reused);
    EXPECT_EQ(memory_text(*reused), memory_text(*fresh));
    EXPECT_EQ(node_text(*reused), node_text(*fresh));
    EXPECT_EQ(distance_text(*reused), distance_text(*fresh));
    EXPECT_FALSE(reused->fallback_reason.is_set() || reused->madt_reason.is_set());
}

// What every user of a map relies on, whatever the firmware was.
void expect_sound(MachineMap const& map)
{
    ASSERT_GE(map.node_count, 1u);
    ASSERT_LE(map.node_count, max_nodes);
    ASSERT_EQ(map.pxm.size(), map.node_count);
    ASSERT_GE(map.pcpus.size(), 1u);
    ASSERT_LT(map.boot_pcpu.value(), map.pcpus.size());
    for (MapPcpu const& pcpu : map.pcpus)
        ASSERT_LT(pcpu.node.value(), map.node_count);
    std::uint64_t end{0};
    for (MemoryRange const& range : map.memory) {
        ASSERT_LT(range.node.value(), map.node_count);
        ASSERT_GE(range.base.value(), end);
        ASSERT_GT(range.length, 0u);
        ASSERT_EQ((range.base.value() | range.length) % page_bytes, 0u);
        end = range.end();
    }
    for (std::size_t i = 0; i < map.distance_table().size(); ++i)
        ASSERT_EQ(map.distance_table()[i] == 10, i / map.node_count == i % map.node_count);
}

TEST(MachineMap, TruncationAtAnyByteOfAnyTableGivesASoundMap)
{
    Firmware whole{two_nodes()};
    whole.slit = test::slit(2, {10, 21, 21, 10});
    for (test::ByteVector Firmware::* const table : {&Firmware::madt, &Firmware::srat, &Firmware::slit})
        for (std::size_t length = 1; length < (whole.*table).size(); ++length) {
            Firmware cut{whole};
            (cut.*table).resize(length);
            (cut.*table).shrink_to_fit();
            auto const map = cut.map();
            expect_sound(*map);
            // Either a prefix that is whole, or the reason why not.
            bool const said = map->madt_reason.is_set() || map->fallback_reason.is_set() || map->slit_reason.is_set();
            bool const whole_prefix =
                table != &Firmware::slit && (map->pcpus.size() < 4 || map->srat_memory.size() == 3);
            EXPECT_TRUE(said || whole_prefix) << length;
        }
}

TEST(MachineMap, DamagedFirmwareGivesASoundMap)
{
    std::mt19937_64 random{20250306};
    unsigned fallbacks{0}, accepted{0};
    for (int round = 0; round < 5'000; ++round) {
        Firmware firmware{two_nodes()};
        firmware.slit = test::slit(2, {10, 21, 21, 10});
        for (test::ByteVector* const table : {&firmware.madt, &firmware.srat, &firmware.slit})
            if (random() % 2 == 0)
                (*table)[header_size + random() % (table->size() - header_size)] = static_cast<std::byte>(random());
        for (MemoryRegion& region : firmware.regions)
            if (random() % 8 == 0)
                region = {PhysAddr{random() >> (random() % 64)}, random() >> (random() % 64),
                          static_cast<MemoryKind>(1 + random() % 5)};
        firmware.cpuid = {static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random()), 0};
        auto const map = firmware.map();
        expect_sound(*map);
        ASSERT_FALSE(HasFatalFailure()) << "round " << round;
        map->fallback_reason.is_set() ? ++fallbacks : ++accepted;
    }
    EXPECT_GT(fallbacks, 300u);
    EXPECT_GT(accepted, 300u);
}

// Model: blocks cut at random, RAM at random inside them; every page must have the node of the block that covers it.
TEST(MachineMap, EveryPageHasTheNodeOfItsBlock)
{
    std::mt19937 random{20250307};
    for (int round = 0; round < 300; ++round) {
        unsigned const nodes{static_cast<unsigned>(1 + random() % 8)};
        std::vector<unsigned> owner; // by page
        Srat srat;
        srat.cpu(0, 0);
        std::vector<unsigned> order(nodes);
        for (unsigned i = 0; i < nodes; ++i)
            order[i] = i;
        std::shuffle(order.begin(), order.end(), random);
        for (unsigned const node : order) {
            std::size_t const length{1 + random() % 16};
            srat.memory(owner.size() * page_bytes, length * page_bytes, node);
            owner.insert(owner.end(), length, node);
        }
        Firmware firmware{with_srat(srat.build(), 0)};
        std::vector<bool> usable(owner.size());
        for (auto i = 1 + random() % 4; i > 0; --i) {
            std::size_t const first{random() % owner.size()};
            std::size_t const count{1 + random() % (owner.size() - first)};
            firmware.ram(first * page_bytes, count * page_bytes);
            std::fill_n(usable.begin() + static_cast<std::ptrdiff_t>(first), count, true);
        }
        auto const map = firmware.map();
        ASSERT_FALSE(map->fallback_reason.is_set()) << text_of(map->fallback_reason);
        expect_sound(*map);
        std::vector<bool> seen(owner.size());
        for (MemoryRange const& range : map->memory)
            for (std::size_t page = range.base.value() / page_bytes; page < range.end() / page_bytes; ++page) {
                ASSERT_EQ(map->pxm[range.node.value()], owner[page]) << "round " << round;
                seen[page] = true;
            }
        ASSERT_EQ(seen, usable) << "round " << round;
    }
}

} // namespace
} // namespace hv::boot::acpi
