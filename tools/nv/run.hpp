// `nv run`: boots scenarios under QEMU one after the other, shows their consoles, keeps what they left behind, and
// compares.
//
// Each run leaves OUT/NAME/{trace.xentrace, metrics.json, console.txt, command.txt}, NAME = scenario-policy-seed.
// A session at the console leaves them in OUT/NAME-console, and runs live: somebody's typing does not repeat.
// stdout gets the consoles and the table, or with `json` one JSON list of metrics; stderr gets what went wrong. Host
// only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/qemu.hpp"
#include "tools/nv/scenario.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

namespace hv::nv {

struct RunOptions {
    std::vector<std::filesystem::path> scenarios;
    std::filesystem::path kernel;
    std::filesystem::path out;
    std::filesystem::path turns; // what qemu.take_turns preloads
    Overrides overrides;
    QemuOptions qemu;
    bool compare{false};
    bool json{false};
    bool console{false};         // the last scenario live, with its console on our stdin and stdout
    bool console_after{false};   // the same once more behind all runs, if those two are a terminal
    std::optional<unsigned> cpu; // host CPU to bind QEMU to; nothing: the first allowed one, and none with qemu.live
    std::chrono::milliseconds silence_limit{8'000};
    std::chrono::milliseconds total_limit{300'000};
};

// Runs all of them, whatever becomes of each; the first result that is not good is the answer.
[[nodiscard]] ExitCode run_scenarios(RunOptions const& options);

} // namespace hv::nv
