// The figures of a trace without a scenario: who ran, waited and blocked, where and how long. A second state machine
// beside the Collector's (metrics.hpp) because it must take a trace as it comes: vCPUs turn up as they are seen,
// states follow from what was seen, records may be lost. docs/traces.md, "Figures", has the definitions and says what
// differs.
//
// Times are ticks of the trace's clock. Memory: that of the vCPUs seen; waits are kept one by one up to most_exact, of
// all vCPUs together, and packed from then on (trace_waits.hpp).
// One Summariser, one thread. Host only. Floor: tools.
#pragma once

#include "arch/generic/mask.hpp"
#include "sched/trace/events.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_waits.hpp"
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

struct VcpuFigures {
    std::uint16_t domain{0}, vcpu{0};
    std::array<std::uint64_t, 4> in_state{}; // by RunStateCode; their sum is the time since it was first seen
    std::optional<std::uint64_t> home;       // run time at home; nothing if no home is known
    std::uint64_t migrations{0}, cross_node{0};
    WaitSamples wakes, preempts; // the waits after either

    [[nodiscard]] std::uint64_t run() const { return in_state[0]; }
};

struct PcpuFigures {
    std::uint32_t pcpu{0};
    std::uint64_t busy{0}, idle{0}; // the rest is not known
};

// A vCPU waited while a pCPU that it may run on was idle.
struct Gap {
    std::uint64_t length{0}, begin{0};
    std::uint16_t domain{0}, vcpu{0};
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
    std::vector<Gap> worst_gaps;                                            // at most ten, the longest first
    std::map<std::uint32_t, std::uint64_t> events;                          // records by event number

    [[nodiscard]] std::uint64_t duration() const { return last - first; }
};

class Summariser {
public:
    static constexpr std::size_t most_worst_gaps = 10;
    static constexpr std::size_t most_exact = std::size_t{2} << 20;

    // `pcpus`: those of the trace. Throws (bad_input) if the facts know of nodes, but not of these pCPUs'.
    Summariser(TraceFacts facts, std::uint64_t hz, std::span<std::uint32_t const> pcpus);

    // In the order of stamps.
    void record(Record const& record);
    // `windows` are records too.
    [[nodiscard]] TraceFigures finish(std::uint64_t windows);

private:
    using State = sched::trace::RunStateCode;
    struct Vcpu {
        VcpuFigures figures;
        CpuMask hard;
        bool anywhere{true}; // no hard affinity is known
        std::vector<std::uint16_t> home;
        bool seen{false};
        State state{State::offline};
        bool woken{false}; // runnable because it was woken
        std::uint64_t since{0};
        std::uint32_t pcpu{0};
        std::optional<std::uint32_t> last_start;
        std::optional<std::uint64_t> gap_since;
    };

    Vcpu& find(std::uint32_t packed);
    [[nodiscard]] bool take_time(Record const& record);
    void change(std::uint32_t packed, State from, State to, std::uint32_t pcpu);
    void continued(std::uint32_t packed, std::uint32_t pcpu);
    void close(Vcpu& vcpu);
    void add_wait(Vcpu& vcpu);
    void start(Vcpu& vcpu, std::uint32_t pcpu);
    void update_idle(bool is_idle_vcpu, std::uint32_t pcpu);
    void update_gap(Vcpu& vcpu);
    void end_gap(Vcpu const& vcpu, std::uint64_t begin);

    TraceFacts facts_;
    std::map<std::uint32_t, Vcpu> vcpus_; // by packed number
    std::map<std::uint32_t, PcpuFigures> pcpus_;
    std::vector<Vcpu*> waiting_;
    CpuMask idle_;
    std::uint64_t now_{0};
    std::size_t waits_{0}; // that are over
    bool started_{false};
    TraceFigures figures_;
};

} // namespace hv::nv
