// A trace that grows: what of it is complete, in the order of stamps, and figures of the last moment. The file is only
// read, and from where it was read before; who writes it does not notice. Host only. Floor: tools.
#pragma once

#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_stream.hpp"
#include "tools/nv/trace_summary.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hv::nv {

// The bytes of the whole passes over the pCPUs at the beginning of `bytes`: up to where a window of a pCPU follows that
// has no higher number than the one before. 0 if it does not begin with a window. `is_last`: of all whole windows.
[[nodiscard]] std::size_t whole_passes(std::span<std::byte const> bytes, bool is_last);

// The records of windows as they come, merged over pCPUs. Passes of a writer over the pCPUs do not end at one stamp on
// all of them, so what is younger than `held_back` ticks before the newest is kept for the next time.
class RecordMerger {
public:
    explicit RecordMerger(std::uint64_t held_back) : held_back_{held_back} {}

    // Whole windows. Returns what is complete now.
    [[nodiscard]] std::vector<Record> add(std::span<std::byte const> windows);
    // All that is left.
    [[nodiscard]] std::vector<Record> finish() { return std::move(waiting_); }

private:
    std::uint64_t held_back_;
    std::map<std::uint32_t, std::uint64_t> last_; // stamp, by pCPU: of records without one
    std::vector<Record> waiting_;
};

// Of the time between two looks.
struct MomentRow {
    std::uint16_t domain{0}, vcpu{0};
    double run{0}, wait{0};     // percent of the time
    std::optional<double> home; // percent of its run time, from the beginning on
    double migrations{0};       // a second
};

struct Moment {
    double at{0};                                  // s since the first stamp
    double guests{0};                              // pCPUs that guests used
    std::optional<double> home;                    // percent of run time of those that have a home
    double switches{0}, wakeups{0}, migrations{0}; // a second
    double p50{0}, p99{0};                         // us, of wake-ups from the beginning on
    std::uint64_t lost{0};
    std::vector<MomentRow> rows; // who ran most first
};

[[nodiscard]] Moment moment_between(TraceFigures const& before, TraceFigures const& now);
[[nodiscard]] std::string moment_line(Moment const& moment);
// At most `lines` lines.
[[nodiscard]] std::string moment_screen(Moment const& moment, std::string_view file, std::size_t lines);

} // namespace hv::nv
