// How long each pCPU of a traced host has executed, where the host executed all of them on one thread, by turns. Only
// records tell who had the turn. Between two of them it went from the pCPU that wrote the former to the one that wrote
// the latter, round by number, past those that had something to do (somebody runs there, or has woken up for it); or as
// many whole rounds more as bring the time nearest to what so many turns take by the mean. Each turn counts the same.
// If nobody had anything to do, all belongs to the latter.
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

    // The mean length of a turn that ends before its work, ticks; 0: not known, there are no rounds more.
    explicit TurnClock(std::uint64_t turn = 0) : turn_{turn} {}

    // In the order of stamps; before the scene hears the record.
    void record(Record const& record, Scene const& scene, Waiting const& waiting);

    // Since the trace began, up to the last record.
    [[nodiscard]] std::uint64_t executed(std::uint32_t pcpu) const;

private:
    void note_who_executed(std::uint32_t to, Scene const& scene, Waiting const& waiting);
    [[nodiscard]] std::uint64_t turns_in(std::uint64_t ticks) const;
    [[nodiscard]] std::uint64_t rounds_in(std::uint64_t ticks) const;
    void share(std::uint64_t ticks, std::uint32_t last);
    void add(std::uint32_t pcpu, std::uint64_t ticks);

    std::uint64_t turn_;

    std::vector<std::uint64_t> executed_; // by pCPU
    // Between the last two records; kept for their memory.
    std::vector<std::uint32_t> who_;     // on the way
    std::vector<std::uint32_t> working_; // all that had something to do
    std::uint64_t path_{0};              // turns that ended on the way
    std::uint32_t from_{0};
    std::optional<std::uint64_t> last_; // stamp; nothing: there was none
};

} // namespace hv::nv
