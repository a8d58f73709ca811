#include "tests/conformance/random_scenario.hpp"

#include "boot/scenario/changes.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>

namespace hv::test {

namespace {

using namespace hv::nv;

// splitmix64
class Dice {
public:
    explicit Dice(std::uint64_t seed) : state_{seed} {}

    std::uint64_t below(std::uint64_t limit)
    {
        std::uint64_t z{state_ += 0x9E3779B97F4A7C15ull};
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return (z ^ (z >> 31)) % limit;
    }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
    bool one_in(std::uint64_t n) { return below(n) == 0; }

    // A non-empty set of numbers below `limit`, ascending.
    template <typename T>
    std::vector<T> subset(std::size_t limit)
    {
        std::vector<T> members;
        while (members.empty())
            for (std::size_t i = 0; i < limit; ++i)
                if (one_in(2))
                    members.push_back(static_cast<T>(i));
        return members;
    }

private:
    std::uint64_t state_;
};

Machine random_machine(Dice& dice)
{
    Machine machine;
    std::size_t const nodes{dice.between(1, 4)};
    std::size_t const pcpus{dice.between(1, 8)};
    std::uint64_t const threads{dice.between(1, 2)};
    std::vector<std::size_t> on_node(nodes, 0); // A node may stay without a pCPU.
    for (std::size_t i = 0; i < pcpus; ++i)
        ++on_node[dice.below(nodes)];
    std::uint16_t socket{0}, core{0};
    for (std::size_t node = 0; node < nodes; ++node) {
        for (std::size_t i = 0; i < on_node[node]; ++i) {
            if (i != 0 && i % threads == 0)
                ++core;
            machine.pcpus.push_back({.node = static_cast<std::uint16_t>(node), .socket = socket, .core = core});
        }
        if (on_node[node] != 0) {
            ++socket;
            ++core;
        }
        machine.node_memory_mib.push_back(default_node_memory_mib);
        for (std::size_t to = 0; to < nodes; ++to)
            machine.distances.push_back(static_cast<std::uint8_t>(node == to ? 10 : dice.between(11, 40)));
    }
    machine.cpu_bringup_stagger_ns = dice.one_in(3) ? 1'000'000 : 0;
    machine.ipi_ns = dice.one_in(3) ? dice.between(1, 50'000) : 0;
    machine.ctxsw_ns = dice.one_in(3) ? 2'000 : 0;
    machine.timer_late_ns = dice.one_in(3) ? 50'000 : 0;
    return machine;
}

Workload random_workload(Dice& dice)
{
    using scenario::WorkloadKind;
    switch (dice.below(4)) {
    case 0:
        return {};
    case 1: {
        std::uint64_t const run{dice.between(50'000, 3'000'000)};
        std::uint64_t const block{dice.between(50'000, 5'000'000)};
        return {.kind = WorkloadKind::burst,
                .run_min_ns = run,
                .run_max_ns = run * 2,
                .block_min_ns = block,
                .block_max_ns = block * 3};
    }
    case 2: {
        std::uint64_t const run{dice.between(10'000, 2'000'000)};
        return {.kind = WorkloadKind::periodic,
                .run_min_ns = run,
                .run_max_ns = run,
                .period_ns = dice.between(500'000, 20'000'000),
                .phase_ns = dice.below(1'000'000)};
    }
    default:
        return {.kind = WorkloadKind::gridsleep, .grid_ns = 10'000'000, .guard_ns = dice.between(100'000, 2'000'000)};
    }
}

void add_vcpus(Dice& dice, Machine const& machine, Domain& domain)
{
    auto const add = [&](Workload const& workload) {
        Vcpu vcpu;
        vcpu.initial_pcpu = static_cast<std::uint16_t>(dice.below(machine.pcpus.size()));
        if (dice.one_in(5))
            vcpu.hard_affinity = dice.subset<std::uint16_t>(machine.pcpus.size());
        if (dice.one_in(5))
            vcpu.soft_affinity = dice.subset<std::uint16_t>(machine.pcpus.size());
        vcpu.workload = workload;
        domain.vcpus.push_back(vcpu);
    };
    std::uint64_t const steps{dice.between(1, 4)};
    for (std::uint64_t i = 0; i < steps; ++i) {
        if (!dice.one_in(5)) {
            add(random_workload(dice));
            continue;
        }
        auto const first = static_cast<std::uint16_t>(domain.vcpus.size());
        std::uint64_t const run{dice.between(20'000, 500'000)};
        for (std::uint16_t side = 0; side < 2; ++side)
            add({.kind = scenario::WorkloadKind::pingpong,
                 .partner = static_cast<std::uint16_t>(first + 1 - side),
                 .has_token = side == 0,
                 .run_min_ns = run,
                 .run_max_ns = run});
    }
}

Domain random_domain(Dice& dice, Machine const& machine, std::uint16_t id)
{
    constexpr std::uint16_t weights[]{1, 64, 256, 256, 512, 65535};
    Domain domain;
    domain.id = id;
    domain.name = "dom" + std::to_string(id);
    domain.group = "guest";
    domain.weight = weights[dice.below(std::size(weights))];
    add_vcpus(dice, machine, domain);
    if (dice.one_in(4))
        domain.cap = static_cast<std::uint32_t>(dice.between(1, 100 * domain.vcpus.size()));
    if (dice.one_in(3))
        domain.start_ns = dice.below(60'000'000);
    if (dice.one_in(5))
        domain.hard_affinity = dice.subset<std::uint16_t>(machine.pcpus.size());
    if (dice.one_in(2))
        domain.node_affinity = dice.subset<std::uint8_t>(machine.node_count());
    return domain;
}

// Whether the last change can be done after those before it. A VM is not made once pCPUs have gone: its own may be
// among them.
bool can_be(Scenario const& scenario)
{
    auto const& changes = scenario.changes;
    auto const row = static_cast<std::uint32_t>(changes.size() - 1);
    bool const begins{changes.back().kind == scenario::ChangeKind::create};
    return !scenario::rule_broken_by(changes, row, static_cast<std::uint32_t>(scenario.machine.pcpus.size())) &&
           !(begins && std::ranges::any_of(changes, [](auto const& c) { return is_of_pcpu(c.kind); }));
}

// VMs pause, end and begin, pCPUs leave and come back; whatever cannot be then is left out.
void add_changes(Dice& dice, Scenario& scenario)
{
    std::uint64_t const count{dice.between(1, 12)};
    std::uint64_t when{0};
    for (std::uint64_t i = 0; i < count; ++i) {
        when += dice.below(scenario.duration_ns / count);
        auto const kind = static_cast<scenario::ChangeKind>(dice.below(scenario::last_change_kind + 1u));
        std::size_t const subjects{is_of_pcpu(kind) ? scenario.machine.pcpus.size() : scenario.domains.size()};
        scenario.changes.push_back(
            {.at_ns = when, .kind = kind, .reserved = 0, .subject = static_cast<std::uint32_t>(dice.below(subjects))});
        if (!can_be(scenario))
            scenario.changes.pop_back();
    }
}

template <typename T>
void write_list(std::ostream& out, char const* key, std::optional<std::vector<T>> const& list)
{
    if (!list)
        return;
    out << ", \"" << key << "\": [";
    for (std::size_t i = 0; i < list->size(); ++i)
        out << (i == 0 ? "" : ", ") << unsigned{(*list)[i]};
    out << ']';
}

void write_workload(std::ostream& out, Workload const& work)
{
    using scenario::WorkloadKind;
    switch (work.kind) {
    case WorkloadKind::hog:
        out << "{\"kind\": \"hog\"}";
        break;
    case WorkloadKind::burst:
        out << "{\"kind\": \"burst\", \"run_ns\": [" << work.run_min_ns << ", " << work.run_max_ns
            << "], \"block_ns\": [" << work.block_min_ns << ", " << work.block_max_ns << "]}";
        break;
    case WorkloadKind::periodic:
        out << "{\"kind\": \"periodic\", \"period_ns\": " << work.period_ns << ", \"run_ns\": " << work.run_min_ns
            << ", \"phase_ns\": " << work.phase_ns << '}';
        break;
    case WorkloadKind::pingpong:
        out << "{\"kind\": \"pingpong\", \"run_ns\": " << work.run_min_ns << ", \"partner\": " << work.partner
            << ", \"token\": " << (work.has_token ? "true" : "false") << '}';
        break;
    case WorkloadKind::gridsleep:
        out << "{\"kind\": \"gridsleep\", \"grid_ns\": " << work.grid_ns << ", \"guard_ns\": " << work.guard_ns << '}';
        break;
    case WorkloadKind::jbb:
    case WorkloadKind::memory:
    case WorkloadKind::fork:
    case WorkloadKind::cpu:
        throw std::logic_error{"a random scenario has no memory cost model, and so none of its workloads"};
    case WorkloadKind::recorded:
        throw std::logic_error{"a random scenario has no recorded steps"};
    }
}

void write_machine(std::ostream& out, Machine const& machine)
{
    out << " \"machine\": {\"cpu_bringup_stagger_ns\": " << machine.cpu_bringup_stagger_ns
        << ", \"ipi_ns\": " << machine.ipi_ns << ", \"ctxsw_ns\": " << machine.ctxsw_ns
        << ", \"timer_late_ns\": " << machine.timer_late_ns << ",\n  \"nodes\": [";
    for (std::size_t node = 0; node < machine.node_count(); ++node)
        out << (node == 0 ? "" : ", ") << "{\"memory_mib\": " << machine.node_memory_mib[node] << '}';
    out << "],\n  \"distances\": [";
    for (std::size_t i = 0; i < machine.distances.size(); ++i)
        out << (i % machine.node_count() != 0 ? ", " : i == 0 ? "[" : "], [") << unsigned{machine.distances[i]};
    out << "]],\n  \"cpus\": [";
    for (std::size_t i = 0; i < machine.pcpus.size(); ++i)
        out << (i == 0 ? "" : ", ") << "{\"cpu\": " << i << ", \"node\": " << machine.pcpus[i].node
            << ", \"socket\": " << machine.pcpus[i].socket << ", \"core\": " << machine.pcpus[i].core << '}';
    out << "]},\n";
}

void write_change(std::ostream& out, Scenario const& scenario, scenario::ChangeRecord const& change)
{
    constexpr std::array names{"pause", "unpause", "destroy", "create", "pcpu_offline", "pcpu_suspend", "pcpu_online"};
    bool const of_pcpu{is_of_pcpu(change.kind)};
    out << "{\"at_ns\": " << change.at_ns << ", \"do\": \"" << names[static_cast<std::size_t>(change.kind)] << "\", \""
        << (of_pcpu ? "cpu" : "domain") << "\": " << (of_pcpu ? change.subject : scenario.domains[change.subject].id)
        << '}';
}

} // namespace

Scenario random_scenario(std::uint64_t seed)
{
    Dice dice{seed};
    constexpr std::uint32_t slices[]{30, 30, 10, 2};
    constexpr std::uint32_t limits[]{1000, 1000, 0, 2000};
    Scenario scenario;
    scenario.name = "random-" + std::to_string(seed);
    scenario.seed = seed;
    scenario.duration_ns = 300'000'000;
    scenario.tslice_ms = slices[dice.below(std::size(slices))];
    scenario.ratelimit_us = limits[dice.below(std::size(limits))];
    scenario.machine = random_machine(dice);
    auto const domains = static_cast<std::uint16_t>(dice.between(1, 5));
    for (std::uint16_t id = 1; id <= domains; ++id)
        scenario.domains.push_back(random_domain(dice, scenario.machine, id));
    if (dice.one_in(2))
        add_changes(dice, scenario);
    return scenario;
}

std::string to_json(Scenario const& scenario)
{
    std::ostringstream out;
    out << "{\"schema\": \"credit-scenario/2\", \"name\": \"" << scenario.name << "\", \"policy\": \""
        << scenario.policy << "\", \"seed\": " << scenario.seed << ", \"warmup_ns\": " << scenario.warmup_ns
        << ", \"duration_ns\": " << scenario.duration_ns << ",\n \"sched\": {\"tslice_ms\": " << scenario.tslice_ms
        << ", \"ratelimit_us\": " << scenario.ratelimit_us << "},\n";
    write_machine(out, scenario.machine);
    out << " \"domains\": [";
    for (std::size_t d = 0; d < scenario.domains.size(); ++d) {
        Domain const& domain{scenario.domains[d]};
        out << (d == 0 ? "" : ",") << "\n  {\"id\": " << domain.id << ", \"name\": \"" << domain.name
            << "\", \"weight\": " << domain.weight << ", \"cap\": " << domain.cap
            << ", \"start_ns\": " << domain.start_ns;
        write_list(out, "hard_affinity", domain.hard_affinity);
        write_list(out, "node_affinity", domain.node_affinity);
        out << ", \"vcpus\": [";
        for (std::size_t v = 0; v < domain.vcpus.size(); ++v) {
            out << (v == 0 ? "" : ",") << "\n   {\"initial_cpu\": " << domain.vcpus[v].initial_pcpu;
            write_list(out, "hard_affinity", domain.vcpus[v].hard_affinity);
            write_list(out, "soft_affinity", domain.vcpus[v].soft_affinity);
            out << ", \"workload\": ";
            write_workload(out, domain.vcpus[v].workload);
            out << '}';
        }
        out << "]}";
    }
    out << "],\n \"changes\": [";
    for (std::size_t i = 0; i < scenario.changes.size(); ++i)
        write_change(out << (i == 0 ? "\n  " : ",\n  "), scenario, scenario.changes[i]);
    out << "]}\n";
    return out.str();
}

} // namespace hv::test
