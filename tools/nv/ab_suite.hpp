// What `nv ab` runs: the 27 cells of the reference table, and the scenarios of weights, caps, latency, theft,
// starvation and homes that tests/golden has; or what the user names instead.
//
// A cell's scenario is a pure function of the seed, so that both sides run the same. The seed draws the workloads'
// numbers and when the VMs start (up to 20 ms later), else a scenario of hogs would be the same with every seed. Host
// only. Floor: tools.
#pragma once

#include "tools/nv/bench_cells.hpp"
#include "tools/nv/json.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

struct AbCell {
    std::string name, family;
    std::optional<BenchCell> bench{}; // nothing: `file`
    Json file{};
    bool as_it_is{false}; // the user's own scenario: only its seed is changed

    // Domains differ in what they are entitled to; held to it by the figure "error of a share".
    [[nodiscard]] bool has_shares() const;
};

struct AbSuite {
    std::vector<AbCell> cells;
    std::uint64_t seconds{10};

    // A scenario file; cells of the reference table leave a trace only if it is `traced`.
    [[nodiscard]] std::string text_of(AbCell const& cell, std::uint64_t seed, bool traced = false) const;
};

struct SuiteOptions {
    std::vector<std::filesystem::path> scenarios{}; // empty: the suite
    std::string pattern{};                          // only cells with that in their name
    std::uint64_t seconds{10};
    bool bench_only{false};
};

// `root`: of the repository, for tests/golden. Throws (bad_input) if nothing is left to run.
[[nodiscard]] AbSuite make_suite(SuiteOptions const& options, std::filesystem::path const& root);

} // namespace hv::nv
