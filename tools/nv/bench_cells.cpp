#include "tools/nv/bench_cells.hpp"

#include "sched/guest/memory_model.hpp"
#include "sched/guest/workload.hpp"
#include "tools/nv/json.hpp"
#include "tools/nv/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

constexpr unsigned pcpu_count = 16, pcpus_a_node = 8;
constexpr std::string_view dom0_memory = R"("memory": {"mib": 2048, "nodes": [0, 1], "policy": "interleave"})";

std::string machine_text(bool is_free)
{
    std::string cpus;
    for (unsigned cpu = 0; cpu < pcpu_count; ++cpu)
        cpus += fmt::format("{}\n   {{\"cpu\": {}, \"node\": {}, \"socket\": {}, \"core\": {}}}", cpu == 0 ? "" : ",",
                            cpu, cpu / pcpus_a_node, cpu / pcpus_a_node, cpu / 2);
    return fmt::format(
        R"({{"nodes": [{{"memory_mib": 6144}}, {{"memory_mib": 6144}}], "distances": [[10, 20], [20, 10]],
  "ipi_ns": {}, "ctxsw_ns": {}, "timer_late_ns": 50000, "cpus": [{}]}})",
        is_free ? 0 : 3000, is_free ? 0 : 2000, cpus);
}

// What the seed draws besides the workloads' own numbers, one draw after the other.
class Draws {
public:
    explicit Draws(std::uint64_t seed) : random_{seed, DomainId{9999}, VcpuIndex{0}} {}

    [[nodiscard]] std::int64_t below(std::int64_t limit)
    {
        return random_.between(Duration{}, Duration::from_ns(limit - 1)).ns();
    }

private:
    sched::guest::Random random_;
};

std::string dom0_text(Draws& draws)
{
    std::string vcpus;
    for (unsigned i = 0; i < 4; ++i)
        vcpus += fmt::format(
            "{}\n   {{\"initial_cpu\": {}, \"workload\": {{\"kind\": \"periodic\", \"period_ns\": 20000000, "
            "\"run_ns\": 100000, \"phase_ns\": {}}}}}",
            i == 0 ? "" : ",", draws.below(pcpu_count), draws.below(20'000'000));
    return fmt::format("  {{\"id\": 0, \"name\": \"dom0\", \"group\": \"dom0\", {}, \"vcpus\": [{}]}}", dom0_memory,
                       vcpus);
}

std::string workload_text(BenchRow row, BenchSetup const& setup, unsigned index)
{
    std::string more;
    for (std::string const& member : setup.workload_members)
        more += ", " + member;
    if (row == BenchRow::fork)
        return fmt::format("{{\"kind\": \"fork\", \"partner\": {}, \"parent\": {}{}}}", 1 - index, index == 0, more);
    return fmt::format("{{\"kind\": \"{}\"{}}}", name_of(row), more);
}

// What stands before and after the domains of every scenario of the table.
std::string frame(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed, std::string const& extra,
                  std::string const& domains)
{
    std::string model{json_string(setup.model.empty() ? sched::guest::named_models().front().name : setup.model)};
    if (!setup.model_members.empty())
        model = fmt::format("{{\"set\": {}, {}}}", model, fmt::join(setup.model_members, ", "));
    return fmt::format("{{\n \"schema\": \"credit-scenario/2\",\n \"name\": {},\n \"label\": {},\n \"seed\": {},\n"
                       " \"duration_ns\": {},\n \"policy\": {},\n{} \"memory_model\": {},\n \"machine\": {},\n"
                       " \"domains\": [\n{}]\n}}\n",
                       json_string(cell_name(cell)), json_string(cell.column.label), seed,
                       setup.seconds * 1'000'000'000, json_string(cell.column.policy), extra, model,
                       machine_text(setup.free_machine), domains);
}

// Where placement puts each VM, one after the other; a VM without a place has all nodes.
std::vector<NodeList> homes_of(BenchCell const& cell, BenchSetup const& setup)
{
    Draws draws{0};
    std::string domains{dom0_text(draws)};
    for (unsigned vm = 0; vm < cell.vms; ++vm)
        domains += fmt::format(
            ",\n  {{\"id\": {}, \"memory\": {{\"mib\": 960}}, \"vcpus\": [{{\"initial_cpu\": 0, "
            "\"workload\": {{\"kind\": \"hog\"}}}}, {{\"initial_cpu\": 0, \"workload\": {{\"kind\": \"hog\"}}}}]}}",
            vm + 1);
    std::string const rule{fmt::format(" \"placement\": {},\n", json_string(setup.placement))};
    Scenario const scenario{parse_scenario(frame(cell, setup, 0, rule, domains), cell_name(cell))};
    std::vector<NodeList> homes;
    for (unsigned vm = 0; vm < cell.vms; ++vm)
        homes.push_back(scenario.domains[vm + 1].placed_on.value_or(NodeList{0, 1}));
    if (setup.uneven_homes && cell.vms > 2)
        for (unsigned vm = 0; vm < cell.vms; ++vm)
            homes[vm] = {static_cast<std::uint8_t>(vm <= cell.vms / 2 ? 0 : 1)};
    return homes;
}

std::string affinity_text(BenchConfig config, NodeList const& home)
{
    std::string const preferred{fmt::format("\"preferred_nodes\": [{}], ", fmt::join(home, ", "))};
    if (config == BenchConfig::numa)
        return preferred + fmt::format("\"node_affinity\": [{}], ", fmt::join(home, ", "));
    std::vector<unsigned> pcpus;
    for (unsigned cpu = 0; cpu < pcpu_count; ++cpu)
        if (std::ranges::find(home, cpu / pcpus_a_node) != home.end())
            pcpus.push_back(cpu);
    return preferred + fmt::format("\"hard_affinity\": [{}], ", fmt::join(pcpus, ", "));
}

std::string vm_text(BenchCell const& cell, BenchSetup const& setup, unsigned vm, NodeList const& home, Draws& draws)
{
    bool const none{cell.column.config == BenchConfig::none};
    std::string const memory{none ? R"({"mib": 960, "nodes": [0, 1], "policy": "interleave"})"
                                  : fmt::format("{{\"mib\": 960, \"nodes\": [{}]}}", fmt::join(home, ", "))};
    std::int64_t const start{draws.below(20'000'000)}, first{draws.below(pcpu_count)}, second{draws.below(pcpu_count)};
    return fmt::format(
        "  {{\"id\": {0}, \"name\": \"vm{0}\", \"start_ns\": {1}, {2}\"memory\": {3}, \"vcpus\": [\n"
        "   {{\"initial_cpu\": {4}, \"workload\": {5}}},\n   {{\"initial_cpu\": {6}, \"workload\": {7}}}]}}",
        vm + 1, start, none ? std::string{} : affinity_text(cell.column.config, home), memory, first,
        workload_text(cell.row, setup, 0), second, workload_text(cell.row, setup, 1));
}

struct PublishedRow {
    BenchRow row;
    unsigned vms;
    double none, pinning, numa; // 0: not published
};

constexpr std::array published_rows{
    PublishedRow{BenchRow::jbb, 2, 43318.613, 49715.158, 49822.545},
    PublishedRow{BenchRow::jbb, 6, 29587.838, 33560.944, 33739.412},
    PublishedRow{BenchRow::jbb, 10, 19223.962, 21860.794, 20089.602},
    PublishedRow{BenchRow::memory, 2, 469.37667, 534.03167, 555.09500},
    PublishedRow{BenchRow::memory, 6, 411.45056, 437.02333, 463.53389},
    PublishedRow{BenchRow::memory, 10, 292.79400, 309.63800, 305.55167},
    PublishedRow{BenchRow::fork, 2, 788.06613, 753.78508, 750.07010},
    PublishedRow{BenchRow::fork, 6, 986.44955, 1076.7447, 900.21504},
    PublishedRow{BenchRow::fork, 10, 1211.2434, 1371.6014, 1285.5947},
    PublishedRow{BenchRow::cpu, 2, 1000 / 49.67, 1000 / 47.83, 0},
    PublishedRow{BenchRow::cpu, 6, 1000 / 61.68, 1000 / 62.76, 0},
    PublishedRow{BenchRow::cpu, 10, 1000 / 90.40, 1000 / 89.97, 0},
};

} // namespace

std::string_view name_of(BenchRow row)
{
    switch (row) {
    case BenchRow::jbb:
        return "jbb";
    case BenchRow::memory:
        return "memory";
    case BenchRow::fork:
        return "fork";
    case BenchRow::cpu:
        return "cpu";
    }
    return "";
}

std::string_view title_of(BenchRow row)
{
    switch (row) {
    case BenchRow::jbb:
        return "SpecJBB2005, throughput";
    case BenchRow::memory:
        return "sysbench memory, throughput";
    case BenchRow::fork:
        return "LMBench proc (fork), latency";
    case BenchRow::cpu:
        return "sysbench cpu, throughput (control)";
    }
    return "";
}

std::string cell_name(BenchCell const& cell)
{
    constexpr std::array<std::string_view, 3> configs{"none", "pinning", "numa"};
    return fmt::format("{}-{}-{}", name_of(cell.row), cell.vms, configs[static_cast<std::size_t>(cell.column.config)]);
}

std::string cell_scenario(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed)
{
    std::vector<NodeList> homes(cell.vms);
    if (cell.column.config != BenchConfig::none)
        homes = homes_of(cell, setup);
    Draws draws{seed};
    std::string domains{dom0_text(draws)};
    for (unsigned vm = 0; vm < cell.vms; ++vm)
        domains += ",\n" + vm_text(cell, setup, vm, homes[vm], draws);
    std::string extra{setup.traced ? "" : " \"trace\": {\"mask\": 0},\n"};
    if (!setup.policy_members.empty() && setup.sets_further == (cell.column.policy != default_policy))
        extra += fmt::format(" \"policy_params\": {{{}}},\n", fmt::join(setup.policy_members, ", "));
    return frame(cell, setup, seed, extra, domains);
}

std::optional<double> published(BenchRow row, unsigned vms, BenchConfig config)
{
    for (PublishedRow const& cell : published_rows) {
        if (cell.row != row || cell.vms != vms)
            continue;
        double const value{std::array{cell.none, cell.pinning, cell.numa}[static_cast<std::size_t>(config)]};
        return value == 0 ? std::nullopt : std::optional{value};
    }
    return std::nullopt;
}

} // namespace hv::nv
