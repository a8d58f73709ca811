// The ways in which a scenario fails, for the shrinker: each asks programs in processes of their own, so that whatever
// they do, the shrinker goes on. Host only. Floor: tools.
#pragma once

#include "tools/nv/json.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

// A condition of a figure that has to hold: "guests.max_wait_ms<100".
struct ShrinkBar {
    std::string figure; // a place in what nv sim --json says of a run
    std::string relation;
    double value{0};

    // Throws (bad_input).
    [[nodiscard]] static ShrinkBar parse(std::string_view text);
    [[nodiscard]] std::string text() const;
    // Nothing: the run has no such figure.
    [[nodiscard]] std::optional<double> figure_of(Json const& run) const;
    [[nodiscard]] bool holds(double figure) const;
};

struct ShrinkFailure {
    std::string way;                      // equal for failures that are the same
    std::string detail{};                 // in words, of this one
    std::optional<std::uint64_t> at_ns{}; // when, if that is known
    std::string decisions{};              // of the sound program, a line each: divergences
};

// Runs a scenario; nothing: it does not fail.
using ShrinkFault = std::function<std::optional<ShrinkFailure>(Json const&)>;

struct ShrinkPrograms {
    std::filesystem::path suspect; // an nv
    std::filesystem::path sound;   // another one, for divergences
    std::filesystem::path work;    // a folder for scenario files
    std::chrono::milliseconds timeout{10'000};
};

// The suspect crashes, or gives no figures in time.
[[nodiscard]] ShrinkFault crash_fault(ShrinkPrograms const& programs);
// A figure of the suspect's misses the bar. Crashes are no miss.
[[nodiscard]] ShrinkFault bar_fault(ShrinkPrograms const& programs, ShrinkBar const& bar);
// The suspect decides differently from the sound program, or crashes.
[[nodiscard]] ShrinkFault divergence_fault(ShrinkPrograms const& programs);
// A command of the shell, with {} for the scenario's file, ends with the same exit status other than 0, or by the same
// signal.
[[nodiscard]] ShrinkFault command_fault(ShrinkPrograms const& programs, std::string const& command);

// What happens in a scenario: VMs that start, vCPUs that wake or finish a phase of work, changes. Those of vCPUs are
// counted by the suspect. Nothing: it does not come to an end.
struct ShrinkEvents {
    std::uint64_t starts{0}, wakes{0}, phases{0}, changes{0};

    [[nodiscard]] std::uint64_t all() const { return starts + wakes + phases + changes; }
};

// Up to `until_ns`.
[[nodiscard]] std::optional<ShrinkEvents> count_events(ShrinkPrograms const& programs, Json scenario,
                                                       std::uint64_t until_ns);

} // namespace hv::nv
