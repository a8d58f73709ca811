// What becomes of vCPUs and pCPUs, event by event: the one state machine under all figures. The Collector (metrics.hpp)
// asks it about a scenario, which it hears from the start on; the Summariser (trace_summary.hpp) about a stranger's
// trace, which says what it says. Definitions: docs/scenario-format.md and docs/traces.md, "Figures".
//
// Times are integers, in ns or in ticks of a trace's clock, and do not go backwards. vCPUs are added as they become
// known. Memory: of a stranger's trace waits are kept one by one up to most_exact, of all vCPUs together, and packed
// from then on (trace_waits.hpp). One Ledger, one thread. Host only. Floor: tools.
#pragma once

#include "arch/generic/mask.hpp"
#include "sched/trace/events.hpp"
#include "tools/nv/trace_waits.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace hv::nv {

using RunState = sched::trace::RunStateCode;
inline constexpr std::size_t run_state_count = 4;

// Sums over the window, of one vCPU or of several.
struct Sums {
    std::int64_t in_state[run_state_count]{}; // by RunState
    std::int64_t placeable{0};                // run time of vCPUs that have a preferred node
    std::int64_t home{0};                     // of it, on a preferred node
    std::int64_t misplaced{0};                // of it, elsewhere while a permitted pCPU at home idled
    std::int64_t max_wait{0};
    std::uint64_t wakes{0}, jobs{0}, missed{0}, migrations{0}, cross_node{0};

    [[nodiscard]] std::int64_t run() const { return in_state[static_cast<std::size_t>(RunState::running)]; }
    void add(Sums const& other);
};

// A vCPU waited while a pCPU that it may run on was idle.
struct Gap {
    std::int64_t length{0}, begin{0};
    std::size_t vcpu{0};
    std::uint16_t pcpu{0}; // the first that was idle and allowed when it began
};

struct Gaps {
    std::uint64_t count{0}, long_count{0}, long_total{0};
    std::int64_t longest{0};
    std::vector<std::pair<std::size_t, std::uint64_t>> long_of; // long ones by vCPU, in the order of the first
    std::vector<Gap> worst;                                     // at most ten, the longest first
};

struct PcpuUse {
    std::uint64_t busy{0}, idle{0}; // the rest is not known
};

class Ledger {
public:
    static constexpr std::size_t most_worst_gaps = 10;
    static constexpr std::size_t most_exact = std::size_t{2} << 20;

    enum class Source {
        // Every event from the start on: before its first change a vCPU was in the state that it leaves, and a pCPU
        // idles when no vCPU runs there. Work conservation is judged by matching.
        whole,
        // Whatever was recorded: nothing is known of a vCPU before its first change, and a pCPU idles from its idle
        // vCPU's arrival to another's. Work conservation is judged by gaps.
        stranger,
    };

    struct Rules {
        Source source{Source::whole};
        std::int64_t start{0}, end{INT64_MAX / 2}; // the window, closed at both ends
        std::int64_t grain{0};                     // shorter spells of broken work conservation do not count
        std::int64_t long_gap{INT64_MAX};          // longer ones are long
    };

    // Where a vCPU may run, and where it is at home: `home` are the permitted pCPUs of the preferred nodes.
    struct Place {
        CpuMask hard, home;
        NodeMask preferred;
        bool is_idle{false}; // a pCPU's idle vCPU
    };

    struct Vcpu {
        Place place;
        Sums sums;
        WaitSamples after_wake, after_other; // from runnable to running, by what made it runnable
        WaitSamples wakes;                   // from the wake-up to running, over a time offline; of a whole source
        RunState state{RunState::offline};
        bool seen{false};
        bool from_blocked{false}; // its last change was from blocked
        std::int64_t since{0};
        std::optional<std::int64_t> woken_at, gap_since;
        std::uint16_t gap_pcpu{0};
        std::optional<std::uint16_t> last_pcpu; // of its last start
    };

    // `node_of`: by pCPU; empty: unknown, then nobody has a home.
    Ledger(Rules const& rules, std::vector<std::uint8_t> node_of);

    std::size_t add(Place const& place);

    [[nodiscard]] std::int64_t now() const { return now_; }
    [[nodiscard]] bool counts(std::int64_t when) const { return when >= rules_.start && when <= rules_.end; }

    // `when` is not before now(). `pcpu`: where it runs or ran, one that node_of has if that is not empty; ignored
    // unless one of the states is running.
    void change(std::int64_t when, std::size_t vcpu, RunState from, RunState to, std::uint16_t pcpu);
    // It runs there. Says something of a vCPU not seen before only.
    void continued(std::int64_t when, std::size_t vcpu, std::uint16_t pcpu);
    // Closes what is open at the end of the window or, of a stranger's trace, now. Once, last.
    void finish();

    [[nodiscard]] std::vector<Vcpu>& vcpus() { return vcpus_; }
    [[nodiscard]] std::vector<Vcpu> const& vcpus() const { return vcpus_; }
    [[nodiscard]] std::vector<PcpuUse> const& pcpus() const { return use_; } // as far as somebody was seen to run
    [[nodiscard]] Gaps const& gaps() const { return gaps_; }
    [[nodiscard]] std::int64_t idle() const { return idle_time_; }      // of a whole source, sum over pCPUs
    [[nodiscard]] std::int64_t violation() const { return violation_; } // time in which work conservation was broken
    [[nodiscard]] std::int64_t lost_capacity() const { return lost_time_; } // pCPU time that could have been used so
    [[nodiscard]] std::uint64_t contradictions() const { return contradictions_; }

private:
    [[nodiscard]] bool is_whole() const { return rules_.source == Source::whole; }
    [[nodiscard]] bool is_home(Vcpu const& vcpu, std::uint16_t pcpu) const
    {
        return vcpu.place.preferred.test(NodeId{node_of_[pcpu]});
    }
    [[nodiscard]] std::int64_t in_window(std::int64_t when) const;
    void advance(std::int64_t to);
    void account_conservation(std::int64_t span);
    void settle_conservation();
    [[nodiscard]] std::size_t lost_now();
    void close_state(Vcpu& vcpu, std::int64_t when);
    void begin(Vcpu& vcpu, RunState state, std::uint16_t pcpu);
    void depart(std::size_t index);
    void arrive(std::size_t index, std::uint16_t pcpu);
    void start(std::size_t index, std::uint16_t pcpu);
    void add_wait(Vcpu& vcpu);
    void note_idle(bool is_idle, std::uint16_t pcpu);
    void update_gap(std::size_t index);
    void end_gap(std::size_t index);

    Rules rules_;
    std::vector<std::uint8_t> node_of_;
    std::int64_t now_{INT64_MIN};
    std::vector<Vcpu> vcpus_;
    std::vector<PcpuUse> use_;
    std::vector<std::size_t> waiting_, strays_; // runnable; running away from home
    std::vector<std::size_t> misplaced_;        // the strays whose home has an idle pCPU, unless changed_
    CpuMask idle_;
    bool changed_{true};
    std::size_t waits_{0}; // that are over
    std::size_t lost_{0};
    std::int64_t spell_{0}, spell_lost_{0};
    std::int64_t idle_time_{0}, violation_{0}, lost_time_{0};
    std::uint64_t contradictions_{0};
    Gaps gaps_;
};

} // namespace hv::nv
