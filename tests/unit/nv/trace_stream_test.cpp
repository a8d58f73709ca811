#include "tools/nv/trace_stream.hpp"

#include "tests/unit/nv/trace_sample.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace hv::nv {
namespace {

using sample::Bytes;
using sample::make;
using sample::Sample;

struct Read {
    std::vector<Record> records;
    std::vector<Damage> damages;
    std::uint64_t windows;
};

Read read(Bytes const& file)
{
    TraceStream stream{file};
    Read result{};
    while (std::optional<Record> const record = stream.next())
        result.records.push_back(*record);
    result.damages = stream.damages();
    result.windows = stream.windows();
    return result;
}

// Two pCPUs, ten records of 16 bytes each, two records a window.
Bytes twenty_records()
{
    Sample sample;
    for (std::uint64_t i = 0; i < 10; ++i)
        sample.resume(0, 10 * i, 1, 0).resume(1, 10 * i + 5, 2, 0);
    return sample.file(40);
}

void put(Bytes& file, std::size_t at, std::uint32_t word) { std::memcpy(file.data() + at, &word, sizeof word); }

TEST(TraceStream, MergesByStampAndThenByPlaceInTheFile)
{
    Sample sample;
    sample.resume(3, 5, 1, 0).resume(1, 5, 2, 0).resume(1, 4, 3, 0);
    Read const result = read(sample.file());
    ASSERT_EQ(result.records.size(), 3u);
    EXPECT_EQ(result.records[0].words()[0], 2u << 16) << "a pCPU's own order stands";
    EXPECT_EQ(result.records[1].words()[0], 3u << 16);
    EXPECT_EQ(result.records[2].pcpu, 3u);
}

TEST(TraceStream, ReadsEveryRecordOverTheEndsOfWindows)
{
    Read const result = read(twenty_records());
    ASSERT_EQ(result.records.size(), 20u);
    for (std::size_t i = 0; i < 20; ++i)
        EXPECT_EQ(result.records[i].stamp, 5 * i);
    EXPECT_EQ(result.windows, 10u);
    EXPECT_TRUE(result.damages.empty());
}

TEST(TraceStream, ReadsWhatATruncatedFileStillHas)
{
    Bytes file = twenty_records();
    file.resize(file.size() - 20);
    Read const result = read(file);
    EXPECT_EQ(result.records.size(), 18u);
    ASSERT_EQ(result.damages.size(), 1u);
    EXPECT_EQ(result.damages[0].offset, file.size());
    EXPECT_NE(result.damages[0].what.find("12 of 32 bytes are there"), std::string::npos) << result.damages[0].what;
}

TEST(TraceStream, GoesOnAtTheNextWindowAfterABadRecord)
{
    Bytes file = twenty_records();
    put(file, 44 + 12 + 16, 0xf002'1002); // seven words, where its window has one left
    Read const result = read(file);
    EXPECT_EQ(result.records.size(), 19u);
    ASSERT_EQ(result.damages.size(), 1u);
    EXPECT_EQ(result.damages[0].offset, 44u + 12u + 16u);
}

TEST(TraceStream, LooksForTheNextWindowWhereOneIsOverwritten)
{
    Bytes file = twenty_records();
    put(file, 88, 0xdead'beef);
    Read const result = read(file);
    EXPECT_EQ(result.records.size(), 18u);
    ASSERT_EQ(result.damages.size(), 1u);
    EXPECT_EQ(result.damages[0].offset, 88u);
    EXPECT_NE(result.damages[0].what.find("going on at byte 132"), std::string::npos) << result.damages[0].what;
}

TEST(TraceStream, FindsAWindowThatIsSaidToBeTooLarge)
{
    Bytes file = twenty_records();
    put(file, 8, 76); // swallows the window of pCPU 1
    Read const result = read(file);
    EXPECT_EQ(result.records.size(), 18u);
    ASSERT_EQ(result.damages.size(), 1u);
    EXPECT_EQ(result.damages[0].offset, 44u);
}

TEST(TraceStream, RefusesForeignFilesAtOnce)
{
    for (std::string_view const text : {"",
                                        "\x7f"
                                        "ELF and more of it",
                                        "{}"}) {
        Bytes file;
        for (char const c : text)
            file.push_back(static_cast<std::byte>(c));
        Read const result = read(file);
        EXPECT_TRUE(result.records.empty());
        ASSERT_EQ(result.damages.size(), 1u);
        EXPECT_EQ(result.damages[0].offset, 0u);
    }
}

TEST(TraceStream, EndsOnAnyBytes)
{
    Bytes const good = twenty_records();
    std::mt19937 random{7};
    for (int round = 0; round < 3000; ++round) {
        Bytes file = good;
        for (int i = 0; i < 3; ++i)
            put(file, random() % (file.size() / 4) * 4,
                static_cast<std::uint32_t>(random() % 2 == 0 ? random() : random() % 64));
        file.resize(file.size() - random() % 16);
        Read const result = read(file);
        EXPECT_LE(result.records.size(), file.size() / 4);
    }
}

} // namespace
} // namespace hv::nv
