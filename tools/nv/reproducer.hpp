// A fault as a file: a scenario and what has to hold of it, tests/reproducers/NAME.json. nv shrink writes such, the
// test suite takes every one there is, without another line; it passes on sound code and fails on the code it was made
// of.
//
//     {"schema": "numavisor-reproducer/1", "found": TEXT, "expect": EXPECT, "scenario": {...}}
//
// EXPECT is one of {"completes": true}, {"bar": "guests.max_wait_ms<100"} and {"decisions": ["TIME PCPU FROM TO",
// ...]}, all switches; whatever it is, the simulation has to come to its end. Host only. Floor: tools.
#pragma once

#include "tools/nv/json.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct Reproducer {
    std::string found;                                   // by what, and how it failed
    std::string bar{};                                   // or
    std::optional<std::vector<std::string>> decisions{}; // or neither
    Json scenario{};

    [[nodiscard]] std::string text() const;
    // Throws (bad_input) with file and place.
    [[nodiscard]] static Reproducer parse(std::string_view text, std::string_view file);
};

// Simulates it here, in this process, which a fault may end. Empty: it holds; else what does not.
[[nodiscard]] std::string complaint_about(Reproducer const& reproducer, std::string_view file);

// JSON for people: a line for what fits into one, else a line a member or item.
[[nodiscard]] std::string json_text(Json const& value);

} // namespace hv::nv
