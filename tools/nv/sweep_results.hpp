// What `nv sweep` keeps in its folder: a file a run, named by the content of everything the run depends on, and
// sweep.json, which says what the folder is for.
//
// Files are made whole or not at all (written beside, then renamed), and carry a sum, so that one that a full disk or a
// copy cut short is seen. Reading never throws for a bad one: a reason comes back. Any number of processes may write
// into one folder; two that make the same run write the same bytes. Host only. Floor: tools.
#pragma once

#include "tools/nv/sweep_grid.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hv::nv {

// What makes one run another: program, scenario file, point.
struct SweepIdentity {
    std::string program;                    // code_key() of nv
    std::string scenario;                   // SweepScenario::key
    std::vector<std::string> names, values; // of the axes

    [[nodiscard]] std::string key() const;
};

struct SweepResult {
    SweepIdentity identity;
    std::string failed{};                                  // why there are no figures; empty: there are
    std::vector<std::pair<std::string, double>> figures{}; // those of nv ab that the run has, by key
    std::string run{};                                     // what nv sim --json says of it, on one line
};

[[nodiscard]] std::string result_text(SweepResult const& result);
// `damage`: why the text is no whole result.
[[nodiscard]] std::optional<SweepResult> result_from(std::string_view text, std::string& damage);

[[nodiscard]] std::filesystem::path result_file(std::filesystem::path const& folder, std::string const& key);
// Throws (own_failure) if it cannot be written.
void keep_result(std::filesystem::path const& folder, SweepResult const& result);
// Nothing with an empty `damage` if there is no such file.
[[nodiscard]] std::optional<SweepResult> kept_result(std::filesystem::path const& folder, std::string const& key,
                                                     std::string& damage);

// What a folder is for.
struct SweepFolder {
    static constexpr std::string_view file_name{"sweep.json"};

    std::string name, program;
    std::vector<std::pair<std::string, std::vector<std::string>>> axes; // names and values
    std::vector<std::string> scenarios;                                 // keys, by value of the first axis

    [[nodiscard]] static SweepFolder of(SweepGrid const& grid, std::string const& program);
    // Throws (bad_input) if there is none, or if it is damaged.
    [[nodiscard]] static SweepFolder load(std::filesystem::path const& folder);
    [[nodiscard]] std::string text() const;
};

// A list of texts as JSON.
[[nodiscard]] std::string json_texts(std::vector<std::string> const& texts);

// The file is the old or the new one, whatever happens meanwhile. Throws (own_failure).
void replace_file(std::filesystem::path const& file, std::string_view text);

} // namespace hv::nv
