// The grid of `nv sweep`: what its file says (docs/sweeps.md), as axes whose product is the runs.
//
// Each axis has a name and values that are texts, as tables and lists show them; a run is a number, and its point the
// values it stands for, the seed varying fastest. What a run simulates follows from its point and the scenario files
// alone, wherever and in whatever order runs are made. Host only. Floor: tools.
#pragma once

#include "tools/nv/json_reader.hpp"
#include "tools/nv/scenario.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct SweepAxis {
    enum class Kind { scenario, vms, pcpus, place, setting, policy, seed };

    std::string name; // "scenario", "vms", "pcpus", "$.domains[0].cap", "sched.tslice_ms", "policy", "seed"
    Kind kind{Kind::setting};
    std::vector<std::string> values{};
    std::vector<Json> raw{}; // vms, pcpus, place: the values as the file has them
};

struct SweepScenario {
    std::string file; // for error lines
    Json tree;
    std::string key; // of the file's content
};

class SweepGrid {
public:
    static constexpr std::size_t most_runs{10'000'000};
    using Point = std::vector<std::size_t>; // the number of a value on each axis

    // `file` is for error lines; scenarios are looked for in `folder`. Throws (bad_input) with file and place.
    [[nodiscard]] static SweepGrid parse(std::string_view text, std::string_view file,
                                         std::filesystem::path const& folder);
    [[nodiscard]] static SweepGrid load(std::filesystem::path const& file);

    [[nodiscard]] std::string const& name() const { return name_; }
    [[nodiscard]] std::vector<SweepAxis> const& axes() const { return axes_; }
    [[nodiscard]] std::vector<SweepScenario> const& scenarios() const { return scenarios_; }
    [[nodiscard]] std::size_t runs() const;

    [[nodiscard]] Point point(std::size_t run) const;
    // The values of a point; of all axes, in their order.
    [[nodiscard]] std::vector<std::string> values(Point const& point) const;
    [[nodiscard]] SweepScenario const& scenario_of(Point const& point) const;
    // Throws (bad_input) if there can be no such scenario: the line names the point.
    [[nodiscard]] Scenario resolve(Point const& point) const;
    // Throws for the first point that cannot be, all seeds taken for one, and for parameters that a policy does not
    // know.
    void check() const;

private:
    void read_scenarios(Reader const& reader, std::filesystem::path const& folder);
    void read_counts(ObjectReader& top, std::string_view key, SweepAxis::Kind kind, std::uint64_t most);
    void read_parameters(Reader const& reader);
    void read_policies(Reader const& reader);
    void read_seeds(Reader const& reader);
    [[nodiscard]] std::string text_of(Point const& point) const;
    [[nodiscard]] Json tree_of(Point const& point) const; // without what overrides_of() says
    [[nodiscard]] Overrides overrides_of(Point const& point) const;

    std::string name_, file_;
    std::vector<SweepScenario> scenarios_;
    std::vector<SweepAxis> axes_;
};

// "scenario weights-4cpu, policy credit": of names and values that belong together, those in `but` left out.
[[nodiscard]] std::string point_text(std::vector<std::string> const& names, std::vector<std::string> const& values,
                                     std::string_view but = {});

} // namespace hv::nv
