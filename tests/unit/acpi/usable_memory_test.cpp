#include "boot/acpi/usable_memory.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace hv::boot::acpi {
namespace {

MemoryRegion usable(std::uint64_t base, std::uint64_t length) { return {PhysAddr{base}, length, MemoryKind::usable}; }
MemoryRegion reserved(std::uint64_t base, std::uint64_t length)
{
    return {PhysAddr{base}, length, MemoryKind::reserved};
}

// Ranges in pages: "0+3 8+1".
std::string pages(std::vector<MemoryRegion> const& regions)
{
    MemoryRanges ranges;
    EXPECT_EQ(collect_usable_memory(regions, ranges), 0u);
    std::string text;
    for (MemoryRange const& range : ranges) {
        EXPECT_EQ(range.base.value() % page_bytes, 0u);
        EXPECT_EQ(range.length % page_bytes, 0u);
        text += (text.empty() ? "" : " ") + std::to_string(range.base.value() / page_bytes) + "+" +
                std::to_string(range.length / page_bytes);
    }
    return text;
}

TEST(UsableMemory, IsSortedAndUnited)
{
    EXPECT_EQ(pages({usable(0x8000, 0x1000), usable(0, 0x1000), usable(0x1000, 0x2000)}), "0+3 8+1");
    EXPECT_EQ(pages({usable(0, 0x3000), usable(0x1000, 0x1000), usable(0x2000, 0x4000)}), "0+6");
    EXPECT_EQ(pages({}), "");
}

TEST(UsableMemory, OnlyWholePagesRemain)
{
    EXPECT_EQ(pages({usable(0x400, 0x2400)}), "1+1");
    EXPECT_EQ(pages({usable(0x1001, 0x1ffe)}), "");
    EXPECT_EQ(pages({usable(0, 0x1800), usable(0x1800, 0x800)}), "0+2"); // The halves of a page make one.
    EXPECT_EQ(pages({usable(0xffff'ffff'ffff'f001, 0xffe)}), "");
    EXPECT_EQ(pages({usable(0, 0), reserved(0, 0)}), "");
}

TEST(UsableMemory, WhatAnotherRegionClaimsIsNotUsed)
{
    EXPECT_EQ(pages({reserved(0x2000, 0x1000), usable(0, 0x5000)}), "0+2 3+2");
    EXPECT_EQ(pages({usable(0, 0x5000), reserved(0x2800, 1)}), "0+2 3+2"); // One byte costs its page.
    EXPECT_EQ(pages({usable(0, 0x5000), reserved(0, 0x5000)}), "");
    EXPECT_EQ(pages({usable(0, 0x5000), reserved(0, 0x1000), reserved(0x4000, 0x9000)}), "1+3");
    EXPECT_EQ(pages({usable(0, 0x2000), usable(0x4000, 0x2000), reserved(0x1000, 0x4000)}), "0+1 5+1");
}

TEST(UsableMemory, WhatDoesNotFitIsCounted)
{
    std::vector<MemoryRegion> regions;
    for (std::uint64_t i = 0; i < MemoryRanges::capacity + 3; ++i)
        regions.push_back(usable(i * 0x10000, 0x2000));
    MemoryRanges ranges;
    EXPECT_EQ(collect_usable_memory(regions, ranges), 3u * 0x2000);
    EXPECT_TRUE(ranges.full());
    regions.resize(MemoryRanges::capacity);
    regions.push_back(usable(0x10000, 0x4000)); // Grows one that is there.
    regions.push_back(reserved(0x10800, 0x1000));
    EXPECT_EQ(collect_usable_memory(regions, ranges), 0x14000u - 0x11800u);
}

// Model: a bitmap of bytes.
TEST(UsableMemory, AgreesWithAMapOfSingleBytes)
{
    std::mt19937 random{20250305};
    constexpr std::size_t bytes = 24 * page_bytes;
    for (int round = 0; round < 300; ++round) {
        std::vector<MemoryRegion> regions;
        std::vector<bool> usable_bytes(bytes), claimed(bytes);
        for (auto i = 1 + random() % 10; i > 0; --i) {
            // Multiples of half a page meet each other often.
            std::uint64_t const base{random() % 48 * 2048};
            std::uint64_t const length{std::min<std::uint64_t>(random() % 24 * 2048 + random() % 2, bytes - base)};
            bool const free = random() % 3 != 0;
            regions.push_back(free ? usable(base, length) : reserved(base, length));
            for (std::uint64_t at = base; at < base + length; ++at)
                (free ? usable_bytes : claimed)[at] = true;
        }
        MemoryRanges ranges;
        ASSERT_EQ(collect_usable_memory(regions, ranges), 0u);
        std::array<bool, 24> ours{};
        std::uint64_t previous_end{0};
        for (MemoryRange const& range : ranges) {
            ASSERT_GT(range.length, 0u);
            ASSERT_GE(range.base.value(), previous_end);
            previous_end = range.end();
            for (std::uint64_t at = range.base.value(); at < range.end(); at += page_bytes)
                ours[at / page_bytes] = true;
        }
        for (std::size_t page = 0; page < ours.size(); ++page) {
            bool whole{true};
            for (std::size_t at = page * page_bytes; at < (page + 1) * page_bytes; ++at)
                whole = whole && usable_bytes[at] && !claimed[at];
            ASSERT_EQ(ours[page], whole) << "round " << round << " page " << page;
        }
    }
}

} // namespace
} // namespace hv::boot::acpi
