// A scenario text that uses every key of schema 2, and small ones to derive bad ones from.
#pragma once

#include <string>
#include <string_view>

namespace hv::nv::test {

inline constexpr std::string_view full_scenario = R"({
 "schema": "credit-scenario/2", "name": "full", "label": "a label", "description": "uses every key",
 "seed": 18446744073709551615, "warmup_ns": 1000, "duration_ns": 2000000,
 "sched": {"tslice_ms": 10, "ratelimit_us": 0},
 "policy": "numacredit", "policy_params": {"steal": true, "depth": -3},
 "trace": {"mask": "0x0002f000", "ring_kib": 64},
 "machine": {"cpu_bringup_stagger_ns": 1, "ipi_ns": 2, "ctxsw_ns": 3, "timer_late_ns": 4, "firmware": {"numa": true},
  "nodes": [{"memory_mib": 64}, {"memory_mib": 0}, {}],
  "distances": [[10, 20, 30], [21, 10, 15], [31, 16, 10]],
  "cpus": [{"cpu": 0, "node": 0, "socket": 0, "core": 0}, {"cpu": 1, "node": 0, "socket": 0, "core": 0},
           {"cpu": 2, "node": 1, "socket": 1, "core": 1}, {"cpu": 3, "node": 1, "socket": 1, "core": 1}]},
 "domains": [
  {"id": 7, "name": "db", "group": "guest", "weight": 512, "cap": 150, "start_ns": 5, "hard_affinity": [3, 0, 1],
   "node_affinity": [2, 0], "preferred_nodes": [0], "memory": {"mib": 32, "nodes": [0, 2], "policy": "interleave"},
   "vcpus": [
    {"initial_cpu": 3, "workload": {"kind": "pingpong", "run_ns": 50, "partner": 1, "token": true}},
    {"initial_cpu": 2, "hard_affinity": [2], "soft_affinity": [2, 3],
     "workload": {"kind": "pingpong", "run_ns": 60, "partner": 0, "token": false}},
    {"initial_cpu": 0, "workload": {"kind": "burst", "run_ns": [1, 2], "block_ns": [3, 4]}}]},
  {"id": 3, "vcpus": [
    {"initial_cpu": 0, "workload": {"kind": "hog"}},
    {"initial_cpu": 1, "workload": {"kind": "periodic", "period_ns": 100, "run_ns": 10, "phase_ns": 0}},
    {"initial_cpu": 1, "workload": {"kind": "gridsleep", "grid_ns": 1000, "guard_ns": 10}}]}]
})";

// Two pCPUs on two nodes and one hog, in schema 1.
inline constexpr std::string_view small_scenario = R"({
 "schema": "credit-scenario/1", "name": "small", "description": "", "seed": 1, "warmup_ns": 0, "duration_ns": 1000,
 "sched": {"tslice_ms": 30, "ratelimit_us": 1000},
 "machine": {"cpu_bringup_stagger_ns": 0, "ipi_ns": 0, "ctxsw_ns": 0, "cpus": [
  {"cpu": 0, "node": 0, "socket": 0, "core": 0}, {"cpu": 1, "node": 1, "socket": 1, "core": 1}]},
 "domains": [{"id": 1, "group": "guest", "weight": 256, "cap": 0, "start_ns": 0, "hard_affinity": null,
  "node_affinity": null, "preferred_nodes": null, "vcpus": [{"initial_cpu": 0, "workload": {"kind": "hog"}}]}]
})";

// `text` with the first `from` replaced by `to`; no JSON at all if `from` is not there.
[[nodiscard]] inline std::string with(std::string_view text, std::string_view from, std::string_view to)
{
    std::string result{text};
    std::size_t const at = result.find(from);
    if (at == std::string::npos)
        return "the sample has no " + std::string{from};
    return result.replace(at, from.size(), to);
}

} // namespace hv::nv::test
