// Cells of the reference table in the booted kernel: each by a `nv run` of its own, bound to a host CPU, so that
// several go on at a time. Host only. Floor: tools.
#pragma once

#include "tools/nv/bench_figures.hpp"

#include <filesystem>

namespace hv::nv {

struct KernelRunner {
    std::filesystem::path self;   // nv
    std::filesystem::path kernel; // the image to boot
    std::filesystem::path out;    // for scenario files and what runs leave

    // Throws with the exit status of the run and the last line that it complained with.
    // Thread-safe for different cells.
    [[nodiscard]] RunFigures run(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed,
                                 unsigned host_cpu) const;
};

} // namespace hv::nv
