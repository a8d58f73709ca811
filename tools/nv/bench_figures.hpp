// What one run of a cell of the reference table gave: figures of its guests by the memory cost model, from the
// simulator directly and from a booted kernel by what it told the host. Host only. Floor: tools.
#pragma once

#include "sched/system.hpp"
#include "tools/nv/bench_cells.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace hv::nv {

// One vCPU of a VM, over the whole run. ns unless the name says otherwise.
struct VcpuWork {
    std::uint32_t domain{0}, vcpu{0};
    std::uint64_t work{0};             // of a vCPU that runs alone and at home
    std::uint64_t run{0}, wait{0};     // on a pCPU; able to run, but not running
    std::uint64_t stall{0}, refill{0}; // of the run time
    std::uint64_t home{0};             // of the run time, weighted with the share of its memory that is local
    std::uint64_t local{0}, remote{0}; // accesses of 64 bytes
    std::uint64_t core_moves{0}, node_moves{0};
    std::uint64_t phases{0};
};

struct RunFigures {
    std::vector<VcpuWork> vcpus;
    std::uint64_t duration{0};

    [[nodiscard]] VcpuWork total() const;
    // Throughput: work of a VM in a second (s/s). fork: time of a cycle of parent and child, us.
    [[nodiscard]] double value(BenchRow row) const;
};

// `now`: where the run ended.
[[nodiscard]] RunFigures figures_of(sched::System& system, Instant start, Instant now);
// The `work` lines of a host channel (docs/scenario-format.md). Lines that are none of them are passed over; throws
// (failed) if there are none at all, naming `file`.
[[nodiscard]] RunFigures figures_of_channel(std::string_view text, std::uint64_t duration, std::string_view file);

// Runs in the simulator.
[[nodiscard]] RunFigures simulate_cell(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed);

} // namespace hv::nv
