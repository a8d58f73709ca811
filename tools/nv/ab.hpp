// `nv ab`: two versions of the scheduler on the same suite with the same random numbers, and a verdict for each figure.
// docs/ab.md says what it means and how it decides.
//
// stdout gets the report (text or JSON) and nothing that depends on the host or on what was kept from before, so that
// two calls print the same; stderr gets progress on a terminal. Host only. Floor: tools.
#pragma once

#include "tools/nv/ab_side.hpp"
#include "tools/nv/errors.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace hv::nv {

struct AbOptions {
    AbWords words;
    std::vector<std::string> scenarios; // instead of the suite
    std::string pattern;                // only scenarios with that in their name
    std::uint64_t seconds{10};          // of virtual time
    unsigned seeds{3}, more_seeds{8};   // of every scenario; of those that look different
    unsigned jobs{0};
    double timeout_s{6};
    bool kernel{false}, json{false}, all{false};
    std::string html;             // a page to write; may be empty
    std::string save;             // a folder for the figures of commits; may be empty
    std::filesystem::path self;   // this program
    std::filesystem::path folder; // where it was built
};

void add_ab(CLI::App& app, AbOptions& options);

// failed: something is worse. Throws timed_out and own_failure as the header of ab_runs.hpp says.
[[nodiscard]] ExitCode run_ab(AbOptions const& options);

} // namespace hv::nv
