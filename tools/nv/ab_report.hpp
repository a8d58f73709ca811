// What `nv ab` found: a row for each figure of each scenario, and of each family of scenarios (the mean of its
// scenarios, which scatters less), with a verdict.
//
// A figure is worse or better if the difference matters by ab_figures' thresholds, has the same sign with every seed,
// and a paired t test with Holm's correction for all rows of its kind (scenarios, families) gives less than `alpha`.
// Else it is the same. Host only. Floor: tools.
#pragma once

#include "tools/nv/ab_figures.hpp"
#include "tools/nv/ab_statistics.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hv::nv {

enum class AbVerdict { worse, better, same };

struct AbRow {
    std::string name; // of a scenario or a family
    bool is_family{false};
    std::vector<std::size_t> cells{};     // that it is of
    std::size_t figure{0};                // of ab_figures
    std::vector<double> base{}, change{}; // by seed, from seed 1
    PairedTest test{};
    double severity{0}; // the difference in thresholds: 1 just matters
    AbVerdict verdict{AbVerdict::same};

    [[nodiscard]] AbFigure const& what() const { return ab_figures[figure]; }
    // Percent of the base's figure; 0 where that is 0.
    [[nodiscard]] double percent() const;
};

struct AbReport {
    static constexpr double alpha = 0.01;

    std::string base, change; // who is compared
    std::string policy;       // with what settings
    std::string suite;        // what was run, how often
    std::vector<AbRow> rows;  // the worst first, then the best, then the rest
    std::string look_title;   // where to look; empty: nowhere
    std::string look_command;
    std::string look;

    [[nodiscard]] std::size_t count(AbVerdict verdict) const;
    [[nodiscard]] std::size_t by_chance() const; // matter by size, but not beyond chance
};

// Fills in test and severity.
void measure(AbRow& row);
// Whether more seeds are worth it: half of what matters is enough.
[[nodiscard]] inline bool looks_different(AbRow const& row) { return row.severity >= 0.5; }
// Verdicts of measured rows, and their order.
void judge_rows(std::vector<AbRow>& rows);

[[nodiscard]] std::string_view name_of(AbVerdict verdict);
// "all": also rows that are the same.
[[nodiscard]] std::string ab_text(AbReport const& report, bool all);
[[nodiscard]] std::string ab_json(AbReport const& report);
[[nodiscard]] std::string ab_html(AbReport const& report);

} // namespace hv::nv
