// `nv sim`: runs scenarios on the simulated machine, several at a time, and prints their figures.
//
// Each scenario is simulated by one thread with a machine of its own; results come out in the order of the command
// line, whatever order they were ready in. stdout gets figures or decisions, stderr progress on a terminal. Host only.
// Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/metrics.hpp"
#include "tools/nv/scenario.hpp"

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

struct SimOptions {
    std::vector<std::filesystem::path> scenarios;
    Overrides overrides;
    std::vector<std::uint64_t> seeds; // each scenario with each of them; empty: with its own
    bool json{false};
    bool decisions{false};                      // print every switch instead of figures
    std::optional<std::filesystem::path> trace; // write an xentrace file; one scenario only
    std::optional<std::filesystem::path> out;   // DIR/NAME/{metrics.json, trace.xentrace}
    unsigned jobs{0};                           // threads; 0: one a host CPU
};

// One scenario's figures; if `decisions` is given, a line "time pcpu outgoing incoming" a switch is appended to it.
[[nodiscard]] Metrics simulate(Scenario const& scenario, std::string* decisions = nullptr,
                               std::uint64_t* events = nullptr);

[[nodiscard]] ExitCode simulate_scenarios(SimOptions const& options);

} // namespace hv::nv
