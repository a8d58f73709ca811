// The figures of a run: one implementation for the simulator, the kernel's traces and real xentrace files.
//
// A Collector hears scheduling events in the order of time, from the start of the scenario (not of the window), and
// keeps sums; finish() turns them into Metrics. Definitions: docs/scenario-format.md, "Figures". Times are integers in
// ns, so that equal events give equal figures everywhere. One Collector, one thread. Host only. Floor: tools.
#pragma once

#include "arch/generic/mask.hpp"
#include "arch/generic/time.hpp"
#include "sched/trace/events.hpp"
#include "tools/nv/scenario.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

using RunState = sched::trace::RunStateCode;
inline constexpr std::size_t run_state_count = 4;

// Below this, in a booted kernel, an idle pCPU beside a waiting vCPU is a reschedule under way, not a failure.
inline constexpr Duration kernel_conservation_grain = Duration::from_us(50);

// Percentiles are nearest-rank: element ceil(p * n) of the sorted samples. All zero without samples. ns.
struct Latency {
    std::uint64_t count{0};
    std::int64_t sum{0}, p50{0}, p95{0}, p99{0}, max{0};

    [[nodiscard]] static Latency of(std::vector<std::int64_t> samples);
};

// Sums over the window, of one vCPU or of several.
struct Sums {
    std::int64_t in_state[run_state_count]{}; // by RunState, ns
    std::int64_t placeable{0};                // run time of vCPUs that have a preferred node
    std::int64_t home{0};                     // of it, on a preferred node
    std::int64_t misplaced{0};                // of it, elsewhere while a permitted pCPU at home idled
    std::int64_t max_wait{0};
    std::uint64_t wakes{0}, jobs{0}, missed{0}, migrations{0}, cross_node{0};

    [[nodiscard]] std::int64_t run() const { return in_state[static_cast<std::size_t>(RunState::running)]; }
    void add(Sums const& other);
};

struct GroupMetrics {
    std::string name; // empty: all groups but dom0
    std::size_t vcpus{0};
    bool has_preferred{false};
    Sums sums;
    std::int64_t min_run{0}, max_run{0}; // of its vCPUs
    Latency wake, wait, response;
};

struct DomainMetrics {
    std::uint16_t id;
    std::string name, group;
    std::uint32_t weight, cap;
    Sums sums;
    std::vector<Sums> vcpus;
};

struct Metrics {
    std::int64_t window{0}; // ns
    std::size_t pcpus{0};
    std::uint64_t switches{0};
    std::uint64_t switches_to_vcpu{0};
    std::int64_t idle{0};            // sum over pCPUs
    std::int64_t violation{0};       // time in which a pCPU idled beside a vCPU that could have run there
    std::int64_t lost_capacity{0};   // pCPU time that could have been used so
    std::uint64_t contradictions{0}; // events that do not follow from those before
    Sums total;
    GroupMetrics guests;              // everything but group dom0
    std::vector<GroupMetrics> groups; // in the order of first appearance
    std::vector<DomainMetrics> domains;
};

class Collector {
public:
    // `grain`: spells of broken work conservation shorter than this do not count.
    explicit Collector(Scenario const& scenario, Duration grain = {});

    // Which vCPU of all, in the order of the file; nothing if the scenario has no such vCPU.
    [[nodiscard]] std::optional<std::size_t> find(std::uint16_t domain, std::uint16_t vcpu) const;

    // Times must not go backwards and may be negative (before the scenario's start); what comes after the window's end
    // is ignored. `pcpu`: where it runs or ran; ignored unless one of the states is running.
    void change(Instant when, std::size_t vcpu, RunState from, RunState to, std::uint16_t pcpu);
    // A decision changed what the pCPU runs; `to_vcpu` is false if it went idle.
    void switched(Instant when, bool to_vcpu);
    // A phase of the workload ended; `response` is the time since its activation, for kinds that have one.
    void job_done(Instant when, std::size_t vcpu, std::optional<Duration> response);
    // An activation found the pending one still there.
    void job_missed(Instant when, std::size_t vcpu);

    [[nodiscard]] Metrics finish();

private:
    struct VcpuState {
        std::size_t domain{0}, group{0};
        CpuMask hard, home; // home: permitted pCPUs of the preferred nodes
        NodeMask preferred;
        RunState state{RunState::offline};
        bool seen{false};
        std::int64_t since{0};
        std::optional<std::int64_t> woken_at;
        std::optional<std::uint16_t> last_pcpu;
        std::uint16_t pcpu{0};
        Sums sums;
    };

    [[nodiscard]] bool counts(std::int64_t when) const { return when >= start_ && when <= end_; }
    [[nodiscard]] bool is_home(VcpuState const& vcpu) const { return vcpu.preferred.test(NodeId{node_of_[vcpu.pcpu]}); }
    void advance(std::int64_t to);
    void account(std::int64_t span);
    void account_conservation(std::int64_t span);
    void settle_conservation();
    void close_state(VcpuState& vcpu, std::int64_t when);
    void begin(VcpuState& vcpu, RunState state, std::uint16_t pcpu);
    void depart(std::size_t index, std::int64_t when);
    void arrive(std::size_t index, std::int64_t when, std::uint16_t pcpu);
    [[nodiscard]] std::size_t lost_now();
    [[nodiscard]] GroupMetrics summarise(std::string name, std::vector<std::size_t> const& groups) const;

    Scenario const& scenario_;
    std::int64_t start_, end_, grain_;
    std::int64_t now_{INT64_MIN};
    std::vector<std::uint8_t> node_of_;
    std::vector<std::string> group_names_;
    std::vector<std::vector<std::int64_t>> wake_samples_, wait_samples_, response_samples_; // by group
    std::vector<VcpuState> vcpus_;
    std::vector<std::size_t> first_of_domain_;
    std::vector<std::uint32_t> row_of_domain_;  // by domain number: its row + 1, 0 if there is none
    std::vector<std::size_t> waiting_, strays_; // runnable; running away from home
    CpuMask idle_;
    bool changed_{true};
    std::size_t lost_{0};
    std::int64_t spell_{0}, spell_lost_{0};
    Metrics metrics_;
};

} // namespace hv::nv
