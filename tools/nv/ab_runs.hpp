// Runs of the suite on both sides: each scenario in a process of its own, so that whatever a change does, nv lives to
// tell; several at a time; and never twice, because figures are kept by the content of program, scenario and settings.
// Host only. Floor: tools.
#pragma once

#include "tools/nv/ab_build.hpp"
#include "tools/nv/ab_figures.hpp"
#include "tools/nv/ab_suite.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hv::nv {

struct RunLimits {
    unsigned jobs{0};                         // at a time; 0: one a host CPU
    std::chrono::milliseconds timeout{6'000}; // of a run, without the time that it waits for a host CPU
    bool kernel{false};                       // boot instead of simulating
};

// A side, its program, and what it gave.
class AbArm {
public:
    using Run = std::pair<std::size_t, std::uint64_t>; // cell of the suite, seed

    AbArm(AbSide const& side, AbProgram program, AbSuite const& suite, AbPlaces const& places, RunLimits const& limits)
        : side_{side}, program_{std::move(program)}, suite_{suite}, places_{places}, limits_{limits}
    {
    }

    [[nodiscard]] AbSide const& side() const { return side_; }
    // Takes what is kept; the seeds that have to be run, by cell.
    [[nodiscard]] std::map<std::size_t, std::vector<std::uint64_t>> missing(std::span<Run const> wanted);
    // Before the first run that is not kept: builds, and shows in short runs of `cells` whether the program works.
    void make_ready(std::vector<std::size_t> const& cells, unsigned threads);
    // Runs what is missing; one thread a cell. Throws with what is to blame: timed_out for a hang, own_failure for a
    // crash, a panic or figures that are none, bad_input for a policy's refusal.
    [[nodiscard]] std::vector<AbValues> run(std::size_t cell, std::vector<std::uint64_t> const& seeds,
                                            unsigned thread) const;
    void keep(std::size_t cell, std::uint64_t seed, AbValues const& values);
    [[nodiscard]] AbValues const& at(Run run) const { return values_.at(run); }
    // The same code with the same settings: nothing can differ.
    [[nodiscard]] bool is_same_as(AbArm& other);
    // Before sim_command() is run by somebody else.
    void build() { program_.build(); }
    // Words of a command that runs nv sim on `file` as this side does.
    [[nodiscard]] std::vector<std::string> sim_command(std::vector<std::string> const& options,
                                                       std::vector<std::filesystem::path> const& files) const;

private:
    [[nodiscard]] std::string simulate(std::size_t cell, std::vector<std::uint64_t> const& seeds,
                                       std::vector<std::string> const& options, std::chrono::milliseconds limit) const;
    [[nodiscard]] AbValues boot(std::size_t cell, std::uint64_t seed, unsigned thread) const;
    [[nodiscard]] std::string blame(std::size_t cell, std::string_view what) const;

    AbSide const& side_;
    AbProgram program_;
    AbSuite const& suite_;
    AbPlaces const& places_;
    RunLimits const& limits_;
    std::map<Run, AbValues> values_;
    bool ready_{false};
};

// Sees to it that both arms, which may be one and the same, have figures of these cells with the seeds 1 to `seeds`.
void run_both(std::array<AbArm*, 2> arms, AbSuite const& suite, std::vector<std::size_t> const& cells, unsigned seeds,
              RunLimits const& limits);

} // namespace hv::nv
