// The reference table as one description: rows (workloads), loads (VMs), columns (how VMs are placed, and by which
// policy), and the scenario of each cell, made from it. Also what was published for each cell.
//
// The machine is that of the reports: two nodes of four cores with two threads, 12 GiB, dom0 with 2 GiB and four vCPUs
// that wake for 100 us every 20 ms. VMs have 2 vCPUs and 960 MiB; placement finds their homes, one after the other: 0,
// 1, 0, 1, ... A seed also draws where vCPUs are created and when VMs start. Host only. Floor: tools.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

enum class BenchRow : std::uint8_t { jbb, memory, fork, cpu };
inline constexpr std::array bench_rows{BenchRow::jbb, BenchRow::memory, BenchRow::fork, BenchRow::cpu};
inline constexpr std::array<unsigned, 3> bench_loads{2, 6, 10};

// none: memory striped over the nodes, vCPUs free. pinning: memory at home and vCPUs bound to it. numa: memory at home
// and vCPUs that prefer it.
enum class BenchConfig : std::uint8_t { none, pinning, numa };

struct BenchColumn {
    BenchConfig config;
    std::string policy;
    std::string label;
};

// How one cell is run; the same for all cells of a table.
struct BenchSetup {
    std::uint64_t seconds{30};
    std::string model{};                         // empty: the default set
    std::vector<std::string> model_members{};    // more of the model, as JSON members: "\"remote_permille\": 1200"
    std::vector<std::string> policy_members{};   // parameters of the policy, as JSON members...
    bool sets_further{false};                    // ...of the further policies, not of the default one
    std::vector<std::string> workload_members{}; // of the VMs' workloads
    std::string placement{"4.3"};                // the rule that finds homes
    bool free_machine{false};                    // context switches and requests to reschedule take no time
    bool uneven_homes{false};                    // one VM more on node 0, one less on node 1: 4 and 2, 6 and 4
    bool traced{false};
};

struct BenchCell {
    BenchRow row;
    unsigned vms;
    BenchColumn column;
};

[[nodiscard]] std::string_view name_of(BenchRow row);  // "jbb": the workload's kind
[[nodiscard]] std::string_view title_of(BenchRow row); // "SpecJBB2005, throughput"
[[nodiscard]] constexpr bool lower_is_better(BenchRow row) { return row == BenchRow::fork; }
// Without overload there are no more vCPUs than pCPUs.
[[nodiscard]] constexpr bool is_overload(unsigned vms) { return vms > 8; }

// "jbb-10-numa"; with another policy than the default the policy is part of the run's name anyway.
[[nodiscard]] std::string cell_name(BenchCell const& cell);
// A scenario file (docs/scenario-format.md).
[[nodiscard]] std::string cell_scenario(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed);

// The published figure of a cell of the first three columns: throughput, or latency in us; nothing where there is none.
// The CPU control was published as a time; it is given as 1000 / time.
[[nodiscard]] std::optional<double> published(BenchRow row, unsigned vms, BenchConfig config);

} // namespace hv::nv
