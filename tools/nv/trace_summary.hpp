// The figures of a trace without a scenario: who ran, waited and blocked, where and how long. The Ledger
// (metrics_ledger.hpp) keeps the sums, by the rules for strangers: vCPUs turn up as they are seen, states follow from
// what was seen, records may be lost. docs/traces.md, "Figures", has the definitions and says what differs from a
// run's.
//
// Times are ticks of the trace's clock. Memory: that of the vCPUs seen, and the Ledger's for waits.
// One Summariser, one thread. Host only. Floor: tools.
#pragma once

#include "tools/nv/metrics_ledger.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/xentrace.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hv::nv {

// Of a vCPU, or of several together.
struct VcpuFigures {
    std::uint16_t domain{0}, vcpu{0};
    std::uint64_t count{1};                       // vCPUs
    std::array<std::uint64_t, 4> in_state{};      // by RunStateCode; their sum is the time since it was first seen
    std::optional<std::uint64_t> home, misplaced; // run time at home, and away while home was idle; nothing: no home
    std::uint64_t placed{0};                      // run time of those that have a home
    std::uint64_t migrations{0}, cross_node{0};
    WaitSamples wakes, preempts; // the waits after either

    [[nodiscard]] std::uint64_t run() const { return in_state[0]; }
    void add(VcpuFigures const& other);
};

struct PcpuFigures {
    std::uint32_t pcpu{0};
    std::uint64_t busy{0}, idle{0}; // the rest is not known
};

// A vCPU waited while a pCPU that it may run on was idle.
struct WorstGap {
    std::uint64_t length{0}, begin{0}; // begin: since the first stamp
    std::uint16_t domain{0}, vcpu{0}, pcpu{0};
};

// All vCPUs but domain 0's.
struct GuestTotals {
    std::uint64_t run{0};
    std::uint64_t placed{0}, home{0}; // run time of those that have a home, and there
    std::uint64_t migrations{0}, cross_node{0};
};

struct TraceFigures {
    std::uint64_t hz{0};
    bool nodes_known{false};
    std::uint64_t first{0}, last{0}; // stamps
    std::uint64_t records{0}, lost_events{0}, lost_records{0};
    std::uint64_t switches{0}, wakeups{0};
    std::uint64_t backward{0};      // records stamped before one that came earlier: taken as of that one
    std::uint64_t undated{0};       // run states before any stamp: passed over
    std::vector<VcpuFigures> vcpus; // ascending, without the idle ones
    std::vector<PcpuFigures> pcpus; // ascending
    std::map<std::uint16_t, std::string> names;
    std::uint64_t gaps{0}, long_gaps{0}, long_gap_ticks{0}, longest_gap{0}; // long: over 1 ms
    std::vector<std::pair<std::string, std::uint64_t>> long_gaps_of;        // by vCPU, in the order of the first
    std::vector<WorstGap> worst_gaps;                                       // at most ten, the longest first
    std::map<std::uint32_t, std::uint64_t> events;                          // records by event number

    static constexpr std::uint64_t most_wait_limit = std::uint64_t{1} << 20; // us

    [[nodiscard]] std::uint64_t duration() const { return last - first; }
    // Of histograms of waits: 1, 2, 4... us up to most_wait_limit, in ticks.
    [[nodiscard]] std::vector<std::uint64_t> wait_limits() const;
    // Of all vCPUs of a domain, ascending.
    [[nodiscard]] std::vector<VcpuFigures> domains() const;
    [[nodiscard]] GuestTotals guests() const;
};

class Summariser {
public:
    // `pcpus`: those of the trace. Throws (bad_input) if the facts know of nodes, but not of these pCPUs'.
    Summariser(TraceFacts facts, std::uint64_t hz, std::span<std::uint32_t const> pcpus);

    // In the order of stamps.
    void record(Record const& record);
    // `windows` are records too.
    [[nodiscard]] TraceFigures finish(std::uint64_t windows);

private:
    [[nodiscard]] std::size_t find(std::uint32_t packed);
    [[nodiscard]] Ledger::Place place_of(std::uint16_t domain, std::uint16_t vcpu) const;
    [[nodiscard]] bool take_time(Record const& record);
    [[nodiscard]] VcpuFigures figures_of(std::uint32_t packed, Ledger::Vcpu const& vcpu) const;
    void finish_gaps();

    TraceFacts facts_;
    Ledger ledger_;
    std::map<std::uint32_t, std::size_t> index_of_; // in the ledger, by packed number
    std::vector<std::uint32_t> packed_of_;          // the other way
    std::vector<std::uint32_t> pcpus_;
    std::uint64_t now_{0};
    bool started_{false};
    TraceFigures figures_;
};

} // namespace hv::nv
