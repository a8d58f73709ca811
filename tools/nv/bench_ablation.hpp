// Which mechanism drives a result of the reference table: the table once as it is, then with one mechanism after the
// other switched off, and the gains of pinning and NUMA over no affinity each time. Host only. Floor: tools.
#pragma once

#include "tools/nv/bench_cells.hpp"

#include <string_view>
#include <vector>

namespace hv::nv {

struct Ablation {
    std::string_view name;
    BenchSetup setup;
};

// The first is the table as it is.
[[nodiscard]] std::vector<Ablation> ablations(BenchSetup const& setup);

} // namespace hv::nv
