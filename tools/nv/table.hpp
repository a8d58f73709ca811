// The comparison of several runs: one table, a row a run. Deterministic: nothing of the host is in it. Host only.
// Floor: tools.
#pragma once

#include "tools/nv/metrics.hpp"

#include <span>
#include <string>

namespace hv::nv {

struct TableRow {
    std::string label;
    Metrics metrics;
    std::uint64_t lost_records{0};
};

// Figures are of the guests: every group but dom0. Work is compared with the first row's.
[[nodiscard]] std::string comparison_table(std::span<TableRow const> rows);

} // namespace hv::nv
