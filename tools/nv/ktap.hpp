// The kernel's self-test report: KTAP lines among other console output. Only top-level lines count. Host only. Floor:
// tools.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct KtapReport {
    bool begun{false};                  // "KTAP version 1" was seen
    std::optional<std::size_t> planned; // "1..N"
    std::size_t passed{0}, failed{0};
    std::vector<std::string> failures; // names of tests that failed

    // The report is whole: begun, planned, and as many results as planned.
    [[nodiscard]] bool complete() const { return begun && planned && *planned == passed + failed; }
};

[[nodiscard]] KtapReport parse_ktap(std::string_view console);

} // namespace hv::nv
