// A simulation's trace, for tests: its bytes and its facts. Host only. Floor: tests.
#pragma once

#include "tools/nv/files.hpp"
#include "tools/nv/sim.hpp"
#include "tools/nv/trace_facts.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

namespace hv::nv {

inline std::string repository_root()
{
    char const* const root = std::getenv("NV_ROOT");
    return root == nullptr ? "." : root;
}

struct SimulatedTrace {
    std::vector<std::byte> bytes;
    TraceFacts facts;
};

// Of a scenario file; `settings` as after --set.
inline SimulatedTrace simulated_trace(std::filesystem::path const& scenario, Overrides overrides)
{
    std::filesystem::path const trace{std::filesystem::temp_directory_path() /
                                      fmt::format("nv-test-{}.xentrace", ::getpid())};
    SimOptions options;
    options.scenarios = {scenario};
    options.overrides = std::move(overrides);
    options.trace = trace;
    options.jobs = 1;
    testing::internal::CaptureStdout();
    EXPECT_EQ(simulate_scenarios(options), ExitCode::good);
    static_cast<void>(testing::internal::GetCapturedStdout());
    SimulatedTrace result{read_bytes(trace), load_trace_facts(facts_file_of(trace))};
    std::filesystem::remove(trace);
    std::filesystem::remove(facts_file_of(trace));
    return result;
}

} // namespace hv::nv
