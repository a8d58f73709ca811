// From a scenario that fails to one that still does, and from which nothing can be taken away without its failing no
// more: delta debugging over the lists of a scenario, then one simplification after the other, until no single one is
// left that could go.
//
// Knows nothing of how it fails: a predicate says so. The same scenario and predicate give the same result; a scenario
// that the parser refuses is never asked about, nor is one twice. Host only. Floor: tools.
#pragma once

#include "tools/nv/json.hpp"
#include "tools/nv/shrink_cuts.hpp"

#include <cstddef>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace hv::nv {

class ShrinkSearch {
public:
    using Fails = std::function<bool(Json const&)>;
    // After each question: how many were asked, and what is being tried.
    using Progress = std::function<void(std::size_t asked, std::string_view what)>;

    // `budget`: how often it may ask.
    ShrinkSearch(Fails fails, std::size_t budget, Progress progress = {});

    // `scenario` fails, and is of schema 2. What comes back fails, too.
    [[nodiscard]] Json run(Json scenario);
    // Takes away only parts of these kinds.
    [[nodiscard]] Json drop_only(Json scenario, std::span<ShrinkParts const> kinds);

    [[nodiscard]] std::size_t asked() const { return asked_; }
    // The budget was used up: something may be left that could go.
    [[nodiscard]] bool is_exhausted() const { return asked_ >= budget_; }

private:
    // Whether it is another scenario than the last one, sound, and fails; then it is the last one.
    [[nodiscard]] bool accepts(Json candidate, std::string_view what);
    void begin(Json scenario);
    [[nodiscard]] bool drop_parts(std::span<ShrinkParts const> kinds);
    [[nodiscard]] bool simplify();

    Fails fails_;
    std::size_t budget_, asked_{0};
    Progress progress_;
    Json last_;
    std::string last_text_;
    std::set<std::string> refused_; // as text
};

} // namespace hv::nv
