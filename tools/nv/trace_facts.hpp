// What a xentrace file does not say and figures need: the clock's rate, which node each pCPU is on, where vCPUs are at
// home and where they may run at all; of a run of ours, also what was run. From a JSON file (docs/traces.md), which
// `nv run` and `nv sim` leave beside their traces, or from options. Host only. Floor: tools.
#pragma once

#include "tools/nv/scenario.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hv::nv {

// A run of `nv run` or `nv sim`: what its metrics.json was made of, beside the trace.
struct RecordedRun {
    enum class Source { kernel, simulator };

    Scenario scenario; // what figures need: name, policy, seed, times, nodes of pCPUs, domains without workloads
    Source source{Source::kernel};
    std::uint64_t start{0};        // the stamp at which the scenario's time is zero
    std::uint64_t last{~0ull};     // the last stamp that belongs to the run; later ones only close the trace
    std::uint64_t lost_records{0}; // as the writer counted them
    std::uint64_t events{0};       // that the simulator handled
};

struct TraceFacts {
    struct Place {
        std::optional<std::vector<std::uint16_t>> home; // nodes
        std::optional<std::vector<std::uint16_t>> hard; // pCPUs; nothing: all
    };

    std::optional<std::uint64_t> clock_hz;
    std::vector<std::uint16_t> node_of; // by pCPU; empty: unknown
    std::size_t node_count{0};          // 0: as many as node_of has
    std::map<std::uint16_t, std::string> names;
    std::map<std::uint16_t, Place> domains;
    std::map<std::pair<std::uint16_t, std::uint16_t>, Place> vcpus; // what differs from the domain's
    std::optional<RecordedRun> run;

    // Ascending; a vCPU's own goes before its domain's. Nothing: no home, all pCPUs.
    [[nodiscard]] std::optional<std::vector<std::uint16_t>> home_of(std::uint16_t domain, std::uint16_t vcpu) const;
    [[nodiscard]] std::optional<std::vector<std::uint16_t>> hard_of(std::uint16_t domain, std::uint16_t vcpu) const;
};

// Beside the trace: trace.facts.json for trace.xentrace.
[[nodiscard]] std::filesystem::path facts_file_of(std::filesystem::path const& trace);
// The file's text for a run, with stamps in ns.
[[nodiscard]] std::string facts_json(RecordedRun const& run);

// All throw (bad_input) with a line that names the place; `file` is for that line.
[[nodiscard]] TraceFacts parse_trace_facts(std::string_view text, std::string_view file);
[[nodiscard]] TraceFacts load_trace_facts(std::filesystem::path const& file);
// "4,4": the first four pCPUs on node 0, the next four on node 1.
void apply_nodes(TraceFacts& facts, std::string_view text);
// Throws unless they know the nodes of all these pCPUs, or of none.
void require_nodes(TraceFacts const& facts, std::span<std::uint32_t const> pcpus);
// "d1=0,d2v1=1,d3=0+1": home nodes of a domain or of one vCPU. Needs the nodes.
void apply_homes(TraceFacts& facts, std::string_view text);
// "1G", "2400M", "2.5G", "1000000000": ticks of the stamps in a second, 1 kHz to 100 GHz.
[[nodiscard]] std::uint64_t parse_hertz(std::string_view text);

// "d1v0" or, without vCPU, "d1"; nothing if it is neither. `text` must be no more than that.
struct VcpuName {
    std::uint16_t domain;
    std::optional<std::uint16_t> vcpu;
};
[[nodiscard]] std::optional<VcpuName> parse_vcpu_name(std::string_view text);

} // namespace hv::nv
