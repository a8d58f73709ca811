// Cells of the reference table in the booted kernel: each by a `nv run` of its own, bound to a host CPU, so that
// several go on at a time. Host only. Floor: tools.
#pragma once

#include "tools/nv/bench_figures.hpp"

#include <chrono>
#include <filesystem>
#include <string>

namespace hv::nv {

struct KernelRunner {
    std::filesystem::path self;   // nv
    std::filesystem::path kernel; // the image to boot
    std::filesystem::path out;    // for scenario files and what runs leave
    std::chrono::seconds limit{900};
    std::chrono::milliseconds silence{8'000}; // without a sign of life

    // Throws with the exit status of the run and the last line that it complained with.
    // Thread-safe for different cells.
    [[nodiscard]] RunFigures run(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed,
                                 unsigned host_cpu) const;
};

// The last line of what nv said on stderr, without its own name.
[[nodiscard]] std::string last_complaint(std::string text);

} // namespace hv::nv
