// A scenario as the host holds it, and the one parser of scenario files (credit-scenario/1 and /2;
// docs/scenario-format.md).
//
// load_scenario() checks everything: what it returns can be packed (pack.hpp) and passes the kernel's validate(). A
// file that says something unknown, of the wrong type, out of range or impossible is refused with one line that gives
// file, place and what is allowed. Host only. Floor: tools.
#pragma once

#include "boot/scenario/layout.hpp"
#include "sched/guest/memory_model.hpp"
#include "sched/placement/placement.hpp"
#include "tools/nv/json.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hv::nv {

inline constexpr std::uint64_t default_node_memory_mib = 512;
inline constexpr std::string_view default_policy = "credit";

struct Pcpu {
    std::uint16_t node, socket, core;
};

struct Machine {
    std::vector<Pcpu> pcpus;
    std::vector<std::uint64_t> node_memory_mib;
    std::vector<std::uint8_t> distances; // row-major
    bool firmware_numa{true};
    bool by_turns{false};
    std::uint64_t cpu_bringup_stagger_ns{0}, ipi_ns{0}, ctxsw_ns{0}, timer_late_ns{0}, wake_ns{0}, turn_ns{0};

    [[nodiscard]] std::size_t node_count() const { return node_memory_mib.size(); }
};

// The memory cost model. `name` is that of the set of parameters it started from, with a '+' if some were changed.
struct MemoryModel {
    std::string name;
    sched::guest::ModelParams params;
};

using PcpuList = std::vector<std::uint16_t>; // ascending, without doubles
using NodeList = std::vector<std::uint8_t>;  // ascending, without doubles

struct Workload {
    scenario::WorkloadKind kind{scenario::WorkloadKind::hog};
    std::uint16_t partner{0};
    bool has_token{false};
    std::uint64_t run_min_ns{0}, run_max_ns{0}, block_min_ns{0}, block_max_ns{0};
    std::uint64_t period_ns{0}, phase_ns{0}, grid_ns{0}, guard_ns{0};
    std::vector<scenario::StepRecord> steps{}; // recorded; targets are rows of all vCPUs in the order of the domains
};

struct Vcpu {
    std::uint16_t initial_pcpu{0};
    std::optional<PcpuList> hard_affinity, soft_affinity;
    Workload workload;
};

struct Domain {
    std::uint16_t id{0};
    std::string name, group;
    std::uint16_t weight{256};
    std::uint32_t cap{0};
    std::uint64_t start_ns{0};
    std::optional<PcpuList> hard_affinity;
    std::optional<NodeList> node_affinity, preferred_nodes;
    std::uint64_t memory_mib{0};
    std::optional<NodeList> memory_nodes;
    scenario::MemoryPolicy memory_policy{scenario::MemoryPolicy::automatic};
    std::vector<Vcpu> vcpus;
    std::optional<NodeList> placed_on{}; // by automatic placement; never with any nodes given

    // The nodes that figures take for its home.
    [[nodiscard]] std::optional<NodeList> const& home() const { return preferred_nodes ? preferred_nodes : placed_on; }
};

struct Placement {
    sched::placement::Rule rule{sched::placement::Rule::none};
    sched::placement::Smt smt{sched::placement::Smt::threads};
    bool strict{false};
    std::vector<std::string> warnings{}; // one line each: domains that found no place
};

struct Scenario {
    std::string name, label, description;
    std::string policy{default_policy};
    std::uint64_t seed{0}, warmup_ns{0}, duration_ns{0};
    std::uint32_t tslice_ms{30}, ratelimit_us{1000};
    std::uint32_t trace_mask{0x0ffff000}, trace_ring_kib{0};
    std::vector<std::pair<std::string, std::int64_t>> policy_params;
    Placement placement;
    Machine machine;
    std::optional<MemoryModel> memory_model;
    std::vector<Domain> domains;
    std::vector<scenario::ChangeRecord> changes; // by time

    // NAME of the output folder: scenario-policy-seed.
    [[nodiscard]] std::string run_name() const;
};

// What the command line changes in a scenario before it is checked.
struct Overrides {
    std::optional<std::uint64_t> seed{};
    std::string policy{}; // empty: the scenario's
    std::vector<std::string>
        settings{}; // "key=value": a setting by its path ("sched.tslice_ms"), else a policy parameter
};

// As the parser does it; the JSON may be anything.
void apply_overrides(Json& scenario, Overrides const& overrides);

// `file` is for error lines.
[[nodiscard]] Scenario parse_scenario(std::string_view text, std::string_view file, Overrides const& overrides = {});
[[nodiscard]] Scenario load_scenario(std::filesystem::path const& file, Overrides const& overrides = {});

} // namespace hv::nv
