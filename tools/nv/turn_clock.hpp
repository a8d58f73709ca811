// How long each pCPU of a traced host has executed, where the host executed all of them on one thread, by turns. Only
// records tell who had the turn: the time between two of them belongs, in equal parts, to the pCPUs that had something
// to do (somebody runs there, or has woken up for it), from the one that wrote the former to the one that wrote the
// latter, round by number. If none had, to the latter.
//
// Times are ticks of the stamps. Memory: that of the pCPUs seen. One thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/trace_scene.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace hv::nv {

class TurnClock {
public:
    using Waiting = std::map<std::uint32_t, std::vector<std::uint32_t>>; // by pCPU: who has woken up for it

    // In the order of stamps; before the scene hears the record.
    void record(Record const& record, Scene const& scene, Waiting const& waiting);

    // Since the trace began, up to the last record.
    [[nodiscard]] std::uint64_t executed(std::uint32_t pcpu) const;

private:
    void note_who_executed(std::uint32_t to, Scene const& scene, Waiting const& waiting);

    std::map<std::uint32_t, std::uint64_t> executed_;
    std::vector<std::uint32_t> who_; // between the last two records; kept for its memory
    std::uint32_t from_{0};
    std::optional<std::uint64_t> last_; // stamp; nothing: there was none
};

} // namespace hv::nv
