// `nv bench`: the reference table. Runs every cell with several seeds, in the simulator or booted under QEMU, several
// at a time, and reports figures, differences, what was published, the decomposition, and whether the bars are met.
//
// stdout gets the report (text or JSON), stderr progress on a terminal; --html writes one self-contained page, --svg
// its plots alone. Host only. Floor: tools.
#pragma once

#include "tools/nv/bench_report.hpp"
#include "tools/nv/errors.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hv::nv {

// One parameter of the model from `low` to `high`, in `steps` equal steps.
struct BenchSweep {
    std::string parameter; // remote, node_mbps, link_mbps, queueing
    double low{0}, high{0};
    unsigned steps{8};
};

struct BenchOptions {
    std::vector<std::string> policies; // further ones, each a column
    std::vector<std::string> rows;     // empty: all
    std::vector<std::string> settings; // of the model: "remote=1.3"
    std::vector<std::string> params;   // of the policy: "migration_delay_us=1000"
    std::string placement{"4.3"};      // the rule that finds homes
    std::string model;                 // empty: the default set
    std::optional<unsigned> seeds;     // default: 5, booted 1
    std::optional<unsigned> seconds;   // default: 30, booted 10
    unsigned jobs{0};                  // at a time; 0: one a host CPU
    bool json{false};
    std::optional<std::filesystem::path> html;
    std::optional<std::filesystem::path> svg;
    std::optional<std::filesystem::path> kernel; // boot this, and compare with the simulator
    std::optional<std::filesystem::path> write;  // only write the scenario files there
    std::filesystem::path out;                   // where booted runs leave what they left
    std::filesystem::path self;                  // this program
    std::optional<BenchSweep> sweep;
    bool ablate{false}; // bench_ablation.hpp
};

// "remote=1.2..2.5" or "remote=1.2..2.5/4"; throws (bad_input) with what is allowed.
[[nodiscard]] BenchSweep parse_sweep(std::string_view text);
// "remote=1.3" as a member of the scenario's model.
[[nodiscard]] std::string model_member(std::string_view parameter, double value);

// failed: a bar that the report calls hard is not met, or kernel and simulator differ by more than 3 %.
[[nodiscard]] ExitCode run_bench(BenchOptions const& options);

} // namespace hv::nv
