// What can be taken away from a scenario, for the shrinker: parts of lists (VMs, vCPUs, nodes, pCPUs, changes, steps,
// parameters, members of masks), and single simplifications.
//
// Pure functions of the scenario's JSON (schema 2). Every simplification makes it smaller by a measure that no other
// one makes larger, so that a search that repeats them ends: fewer members, then simpler workloads, then smaller or
// rounder numbers. Results may be nonsense: the parser decides. Host only. Floor: tools.
#pragma once

#include "tools/nv/json.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

// A kind of parts, numbered from 0 over the whole scenario.
struct ShrinkParts {
    std::string_view name;
    std::size_t (*count)(Json const& scenario);
    // With what cannot be without it; so others may go, too.
    void (*drop)(Json& scenario, std::size_t part);
};

[[nodiscard]] std::span<ShrinkParts const> shrink_parts();

struct Simplification {
    std::string what;
    std::function<void(Json&)> apply;
};

// For `scenario` as it is, those that help most first.
[[nodiscard]] std::vector<Simplification> simplifications(Json const& scenario);

// From a vCPU's workload to simpler ones, and to the steps that it does in this scenario if they are few: `recorded`.
void add_workload_simplifications(std::vector<Simplification>& to, Json const& scenario, std::size_t domain,
                                  std::size_t vcpu);

} // namespace hv::nv
