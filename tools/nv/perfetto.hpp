// A trace as a Perfetto file: the native scheduler view of every pCPU and vCPU, and tracks of our own beside it.
//
// A domain is a process, a vCPU a thread, the idle vCPUs are thread 0. A switch is one event, stamped when the next
// vCPU arrives; a wake-up names its waker. Tracks: under each node (or "pCPUs", if nodes are not known) a pCPU's runs,
// coloured by vCPU and in the category home or away, its queue's length, tickles and losses; under each vCPU what
// happens to it, its credit and priority; arrows lead from a wake-up to the run that it made possible. docs/traces.md
// has the details.
//
// One pass, memory by the number of vCPUs and pCPUs. One exporter, one thread. Host only. Floor: tools.
#pragma once

#include "arch/generic/mask.hpp"
#include "tools/nv/perfetto_writer.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/trace_timeline.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hv::nv {

class PerfettoExporter {
public:
    // `pcpus`: those of the trace. Throws (bad_input) if the facts know of nodes, but not of these pCPUs'.
    PerfettoExporter(ByteSink& sink, TraceFacts const& facts, std::uint64_t hz, std::span<std::uint32_t const> pcpus);

    // In the order of stamps.
    void record(Record const& record);
    // Closes what is open. Once, last.
    void finish();

private:
    struct Vcpu {
        std::string name, wakes, resumed;
        std::int32_t tid{0};
        std::uint64_t uuid{0}; // of its thread's track; the next ones are credit and priority; 0: an idle vCPU
        std::optional<NodeMask> home;
        std::uint32_t last_pcpu{0};
        std::uint64_t flow{0}; // of the wake-up that it has not run since; 0: none
        bool has_credit{false}, has_priority{false}, waits{false};
    };
    struct Pcpu {
        std::size_t running{Timeline::nobody}; // as told by the last switch; nobody: the idle thread
        std::string idle_name, tickles;
        bool is_known{false}, has_slice{false}, has_queue{false}, has_losses{false};
        std::uint64_t last{0}; // of its last switch or wake-up
    };

    Vcpu& meet(std::size_t index);
    void describe_domain(std::uint16_t domain, std::int32_t pid);
    Pcpu& pcpu_of(std::uint32_t number);
    [[nodiscard]] PerfettoWriter::Task task_of(std::uint32_t pcpu, std::size_t vcpu);
    void arrival(Timeline::Step const& step);
    void leave(std::uint64_t when, std::uint32_t pcpu, std::size_t next);
    void wake(Timeline::Step const& step);
    void loss(Timeline::Step const& step, std::uint32_t count);
    void set_waiting(std::uint64_t when, Vcpu& vcpu, bool waits);
    void other(Timeline::Step const& step, Record const& record);
    [[nodiscard]] Vcpu* guest(std::uint32_t packed);
    void count(std::uint64_t when, std::uint64_t uuid, std::uint64_t parent, char const* name, bool& has_track,
               std::uint32_t value);

    PerfettoWriter out_;
    TraceFacts const& facts_;
    Timeline timeline_;
    std::vector<Vcpu> vcpus_; // as the timeline's, as far as they were met
    std::vector<Pcpu> pcpus_;
    std::vector<std::uint16_t> domains_; // described, ascending
    std::uint64_t flows_{0};
    std::int64_t waiting_{0};
};

} // namespace hv::nv
