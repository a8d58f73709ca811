// xentrace files, written: a flat run of windows, each a CPU_CHANGE record that names a pCPU and how many bytes of its
// records follow. sched/trace/events.hpp has the numbers of the events, trace_stream.hpp reads such files. Host only.
// Floor: tools.
#pragma once

#include "sched/trace/events.hpp"
#include "tools/nv/scenario.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
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

// As they lie there, each with its offset; up to the first that is not whole.
[[nodiscard]] std::vector<Record> records_of(Stream const& stream);

// A file of these streams: windows in passes, pCPUs ascending in each, cut between records and not longer than
// `most_window_bytes` (at least most_record_bytes). Every stream is in the first pass, empty ones too.
// Throws (own_failure) if a stream is not whole records: the kernel wrote something else than a trace.
[[nodiscard]] std::vector<std::byte> write_xentrace(std::vector<Stream> streams,
                                                    std::size_t most_window_bytes = 0xffff'f000);

// The format's readers take numbers of pCPUs and vCPUs up to this; xenalyze crashes beyond.
inline constexpr std::uint32_t highest_number = 255;

// Why a machine's trace cannot be a xentrace file: one line; empty if it can be.
[[nodiscard]] std::string why_no_xentrace(Scenario const& scenario);

} // namespace hv::nv
