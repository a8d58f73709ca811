// xentrace files, written and read: a flat run of windows, each a CPU_CHANGE record that names a pCPU and how many
// bytes of its records follow. Both our own files and those of a real Xen; sched/trace/events.hpp has the numbers of
// the events.
//
// A Trace refers to the bytes it was opened on. Corrupt input is an Error (bad_input) that gives the byte offset.
// Host only. Floor: tools.
#pragma once

#include "sched/trace/events.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

inline constexpr std::size_t most_record_bytes = 40;

struct Record {
    std::uint32_t pcpu{0};
    std::uint32_t event{0}; // 28 bits
    std::uint64_t stamp{0}; // its own, or the last one of its pCPU
    bool has_stamp{false};
    std::uint8_t word_count{0};
    std::array<std::uint32_t, sched::trace::max_words> word_store{};
    std::uint64_t offset{0}; // in the file

    [[nodiscard]] std::span<std::uint32_t const> words() const { return {word_store.data(), word_count}; }
};

// The bytes of one record, as in a file or ring.
[[nodiscard]] std::vector<std::byte> encode(Record const& record);

// The records of one pCPU, back to back.
struct Stream {
    std::uint32_t pcpu;
    std::vector<std::byte> bytes;
};

// A file of these streams: windows in passes, pCPUs ascending in each, cut between records and not longer than
// `most_window_bytes` (at least most_record_bytes). Every stream is in the first pass, empty ones too.
// Throws (own_failure) if a stream is not whole records: the kernel wrote something else than a trace.
[[nodiscard]] std::vector<std::byte> write_xentrace(std::vector<Stream> streams,
                                                    std::size_t most_window_bytes = 0xffff'f000);

class Trace {
public:
    // Checks every window and record. `file` is for error lines.
    Trace(std::span<std::byte const> bytes, std::string_view file);

    // The next record of all pCPUs in the order of stamps; equal ones by pCPU. Nothing at the end.
    [[nodiscard]] std::optional<Record> next();
    [[nodiscard]] std::vector<std::uint32_t> pcpus() const; // ascending

private:
    struct Window {
        std::size_t begin, end;
    };
    struct Cursor {
        std::vector<Window> windows;
        std::size_t window{0};
        std::size_t at{0};
        std::uint64_t stamp{0};
        std::optional<Record> head;
    };

    [[noreturn]] void corrupt(std::size_t offset, std::string_view what) const;
    // The record at `offset`, which must end at or before `end`.
    [[nodiscard]] Record decode(std::size_t offset, std::size_t end) const;
    void read_head(Cursor& cursor, std::uint32_t pcpu);

    std::span<std::byte const> bytes_;
    std::string file_;
    std::map<std::uint32_t, Cursor> cursors_;
};

} // namespace hv::nv
