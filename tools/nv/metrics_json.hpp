// Metrics as JSON: the keys and the rounding of scenarios/upstream.json, and a few of our own (docs/scenario-format.md,
// "Figures"). The same figures give the same bytes. Host only. Floor: tools.
#pragma once

#include "tools/nv/metrics.hpp"

#include <string>

namespace hv::nv {

struct RunIdentity {
    std::string scenario, policy;
    std::uint64_t seed{0};
    std::string source;            // "kernel" or "simulator"
    std::uint64_t lost_records{0}; // of the trace that the figures come from
    std::uint64_t events{0};       // that a simulator handled
};

[[nodiscard]] std::string metrics_json(Metrics const& metrics, RunIdentity const& identity);

} // namespace hv::nv
