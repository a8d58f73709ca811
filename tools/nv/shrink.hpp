// `nv shrink`: from a scenario that fails to the smallest one that fails in the same way, and a file that makes it a
// test (docs/shrinking.md).
//
// stdout gets what was found: deterministic; stderr gets progress on a terminal. Host only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/scenario.hpp"

#include <cstddef>
#include <filesystem>
#include <string>

namespace CLI {
class App;
}

namespace hv::nv {

struct ShrinkOptions {
    std::string scenario;
    Overrides overrides;
    std::string program;               // the nv that fails; empty: this one
    std::string against, bar, command; // the way to fail; none of them: it crashes or hangs
    std::string output, test;          // files to write
    std::string name;                  // of the small scenario; empty: the scenario's
    std::size_t budget{20'000};
    double timeout_s{10};
    bool check{false}; // SCENARIO is a test file: only say whether it holds
};

void add_shrink(CLI::App& app, ShrinkOptions& options);

// good: it was made smaller, or the test holds. failed: the test does not hold. Throws bad_input if the scenario does
// not fail.
[[nodiscard]] ExitCode run_shrink(ShrinkOptions const& options);

} // namespace hv::nv
