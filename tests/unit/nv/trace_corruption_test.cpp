// Real traces, damaged in twenty ways: each damage is told with its place, and what it does not touch is read.
#include "tests/unit/nv/trace_unpack.hpp"
#include "tools/nv/trace_check.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/trace_summary.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

namespace hv::nv {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint32_t window_header = 0x2001'f003;

struct Reading {
    std::map<std::uint64_t, std::uint32_t> events; // by offset
    std::vector<Damage> damages;
};

Reading read(Bytes const& file)
{
    TraceStream stream{file};
    Summariser summariser{{}, 1'000'000'000, stream.pcpus()};
    Checker checker{{}, true};
    Reading result;
    while (std::optional<Record> const record = stream.next()) {
        result.events[record->offset] = record->event;
        summariser.record(*record);
        checker.record(*record);
    }
    checker.finish();
    EXPECT_EQ(summariser.finish(0).records, result.events.size());
    result.damages = stream.damages();
    return result;
}

std::uint32_t word(Bytes const& file, std::size_t at)
{
    std::uint32_t value{0};
    std::memcpy(&value, file.data() + at, sizeof value);
    return value;
}

void put(Bytes& file, std::size_t at, std::uint32_t value) { std::memcpy(file.data() + at, &value, sizeof value); }

struct Window {
    std::size_t begin, end; // with its header
};

std::vector<Window> windows_of(Bytes const& file)
{
    std::vector<Window> windows;
    for (std::size_t at = 0; at < file.size(); at = windows.back().end)
        windows.push_back({at, at + 12 + word(file, at + 8)});
    return windows;
}

// A damaged file, and what of the original it must still give: all records outside these bytes.
struct Damaged {
    Bytes file;
    Window touched;
};

Damaged damage(Bytes const& good, std::uint32_t seed, Reading const& whole)
{
    std::mt19937 random{seed};
    std::vector<Window> const windows{windows_of(good)};
    // Not the first one: a file that does not begin with a window is none.
    Window const hit = windows[1 + random() % (windows.size() - 1)];
    std::size_t const inside = hit.begin + 12 + random() % (hit.end - hit.begin - 12) / 4 * 4;
    auto const record = whole.events.lower_bound(inside);
    Damaged result{good, hit};
    switch (seed % 7) {
    case 0: // an interrupted copy
        result.file.resize(inside + random() % 4);
        result.touched.end = good.size();
        break;
    case 1: // a block that was never written
        std::fill_n(result.file.begin() + static_cast<std::ptrdiff_t>(hit.begin),
                    std::min<std::size_t>(hit.end - hit.begin, 12), std::byte{0});
        break;
    case 2: // a record's header says more words than there are
        put(result.file, std::prev(whole.events.lower_bound(hit.end))->first, 0xf002'1002);
        break;
    case 3: // windows that swallow the next
        put(result.file, hit.begin + 8, word(good, hit.begin + 8) + 4 * (1 + seed % 8));
        break;
    case 4: // or end too early
        put(result.file, hit.begin + 8, word(good, hit.begin + 8) - 4 * (1 + seed % 3));
        break;
    case 5: // noise over a header
        put(result.file, hit.begin, static_cast<std::uint32_t>(random()) | 1u);
        break;
    default: // a window's header where a record was
        put(result.file, record == whole.events.end() ? hit.begin + 12 : record->first, window_header);
        break;
    }
    // What a wrong size swallows or leaves over belongs to the next window, too.
    auto const next = std::ranges::find(windows, hit.end, &Window::begin);
    if (next != windows.end() && seed % 7 >= 3)
        result.touched.end = std::max(result.touched.end, next->end);
    return result;
}

class Corruption : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Corruption, IsToldWithItsPlaceAndTheRestIsRead)
{
    Bytes const good{
        unpacked(GetParam() % 2 == 0 ? "tests/traces/skew-soft.xentrace.xz" : "tests/traces/over-soft.xentrace.xz")};
    Reading const whole{read(good)};
    ASSERT_TRUE(whole.damages.empty());
    Damaged const damaged{damage(good, GetParam(), whole)};
    Reading const found{read(damaged.file)};
    ASSERT_FALSE(found.damages.empty());
    EXPECT_LE(found.damages.size(), 3u) << "one damage is not many";
    for (Damage const& one : found.damages) {
        EXPECT_FALSE(one.what.empty());
        EXPECT_GE(one.offset, damaged.touched.begin) << one.what;
        EXPECT_LE(one.offset, damaged.touched.end) << one.what;
    }
    for (auto const& [offset, event] : whole.events) {
        if (offset >= damaged.touched.begin && offset < damaged.touched.end)
            continue;
        auto const same = found.events.find(offset);
        ASSERT_TRUE(same != found.events.end() && same->second == event)
            << "the record at byte " << offset << " is gone";
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Corruption, testing::Range(1u, 21u));

} // namespace
} // namespace hv::nv
