// A trace ring with memory of its own, a clock that the test sets, and a host that reads it. Floor: tests.
#pragma once

#include "sched/trace/ring.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hv::sched::trace {

struct Record {
    std::uint32_t number;
    std::uint64_t stamp;
    std::vector<std::uint32_t> words;
};

[[nodiscard]] inline bool is_lost(Record const& record)
{
    return record.number == static_cast<std::uint32_t>(Event::lost_records);
}

[[nodiscard]] inline std::vector<Record> decode(std::span<std::byte const> bytes)
{
    std::vector<Record> records;
    auto const word = [&](std::size_t at) {
        std::uint32_t value{0};
        std::memcpy(&value, bytes.data() + at, sizeof value);
        return value;
    };
    for (std::size_t at = 0; at < bytes.size();) {
        std::uint32_t const header{word(at)};
        std::size_t const words{(header >> 28) & 7};
        Record record{
            .number = header & 0xfffffff, .stamp = word(at + 4) | std::uint64_t{word(at + 8)} << 32, .words = {}};
        EXPECT_NE(header >> 31, 0u) << "every record of ours has a stamp";
        for (std::size_t i = 0; i < words; ++i)
            record.words.push_back(word(at + 12 + 4 * i));
        at += record_bytes(words);
        EXPECT_LE(at, bytes.size()) << "the last record is whole";
        records.push_back(std::move(record));
    }
    return records;
}

class TestRing {
public:
    explicit TestRing(std::size_t bytes, Mode mode = Mode::drop) : memory_(bytes) { ring.attach(memory_, mode); }

    // As the tracer does. false: the record was lost.
    bool write(std::uint32_t number, std::uint64_t stamp, std::vector<std::uint32_t> const& words)
    {
        return write_with(number, [&] { return stamp; }, words);
    }
    bool write(Event event, std::uint64_t stamp, std::vector<std::uint32_t> const& words)
    {
        return write(static_cast<std::uint32_t>(event), stamp, words);
    }
    // `interruption` runs where an interrupt would do most harm: when the bytes are reserved, but not yet written.
    template <typename Clock>
    bool write_with(
        std::uint32_t number, Clock const& clock, std::vector<std::uint32_t> const& words,
        std::function<void()> const& interruption = [] {})
    {
        bool const quick =
            words.size() == 1   ? quickly(number, clock, words, interruption, std::make_index_sequence<1>{})
            : words.size() == 4 ? quickly(number, clock, words, interruption, std::make_index_sequence<4>{})
            : words.size() == 7 ? quickly(number, clock, words, interruption, std::make_index_sequence<7>{})
                                : false;
        quick_records += quick ? 1u : 0u;
        return quick || ring.write_slowly(clock, number, words);
    }

    // Takes everything out, as the host does.
    std::vector<std::byte> consume()
    {
        std::vector<std::byte> bytes{content()};
        control().tail = control().head;
        return bytes;
    }
    [[nodiscard]] std::vector<std::byte> content() const
    {
        RingControl const& c{*ring.control()};
        EXPECT_LE(c.head - c.tail, memory_.size());
        std::vector<std::byte> bytes;
        for (std::uint64_t at = c.tail; at < c.head; ++at)
            bytes.push_back(memory_[at % memory_.size()]);
        return bytes;
    }
    [[nodiscard]] RingControl& control() { return *ring.control(); }

    Ring ring;
    unsigned quick_records{0};

private:
    template <typename Clock, std::size_t... I>
    bool quickly(std::uint32_t number, Clock const& clock, std::vector<std::uint32_t> const& words,
                 std::function<void()> const& interruption, std::index_sequence<I...>)
    {
        return ring.try_write(clock, interruption, number, words[I]...);
    }

    std::vector<std::byte> memory_;
};

} // namespace hv::sched::trace
