// The figures of a run: one implementation for the simulator and the kernel's traces.
//
// A Collector hears scheduling events in the order of time, from the start of the scenario (not of the window), and
// has a Ledger keep sums; finish() turns them into Metrics. Definitions: docs/scenario-format.md, "Figures". Times are
// integers in ns, so that equal events give equal figures everywhere. One Collector, one thread. Host only.
// Floor: tools.
#pragma once

#include "arch/generic/time.hpp"
#include "tools/nv/metrics_ledger.hpp"
#include "tools/nv/scenario.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

// Below this, in a booted kernel, an idle pCPU beside a waiting vCPU is a reschedule under way, not a failure.
inline constexpr Duration kernel_conservation_grain = Duration::from_us(50);

// Percentiles are nearest-rank: element ceil(p * n) of the sorted samples. All zero without samples. ns.
struct Latency {
    std::uint64_t count{0};
    std::int64_t sum{0}, p50{0}, p95{0}, p99{0}, max{0};

    [[nodiscard]] static Latency of(std::vector<std::int64_t> samples);
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
    struct Row {
        std::size_t domain, group;
    };

    [[nodiscard]] GroupMetrics summarise(std::string name, std::vector<std::size_t> const& groups) const;

    Scenario const& scenario_;
    Ledger ledger_;
    std::size_t pcpus_;
    std::int64_t end_;
    std::vector<std::string> group_names_;
    std::vector<std::vector<std::int64_t>> response_samples_; // by group
    std::vector<Row> rows_;                                   // by vCPU
    std::vector<std::size_t> first_of_domain_;
    std::vector<std::uint32_t> row_of_domain_; // by domain number: its row + 1, 0 if there is none
    std::uint64_t misfits_{0};                 // events that cannot be
    Metrics metrics_;
};

} // namespace hv::nv
