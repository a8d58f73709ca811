// The domains of a scenario: their vCPUs, workloads, affinities and memory.
#include "tools/nv/scenario_parts.hpp"

#include <numeric>

namespace hv::nv {

namespace {

using namespace hv::scenario;

struct Range {
    std::uint64_t low, high;
};

Range parse_range(Reader const& reader)
{
    std::vector<Reader> const ends = reader.list();
    if (ends.size() != 2)
        reader.refuse(fmt::format("{} numbers, a range is [lowest, highest]", ends.size()));
    Range const range{ends[0].number(1, max_time_ns), ends[1].number(1, max_time_ns)};
    if (range.low > range.high)
        reader.refuse(fmt::format("the range [{}, {}] is empty, give the lower number first", range.low, range.high));
    return range;
}

Workload parse_workload(Reader const& reader, unsigned schema, bool has_model)
{
    ObjectReader object{reader};
    Reader const kind_reader = object["kind"];
    std::string const kind = kind_reader.text(32, true);
    Workload workload;
    if (kind == "burst") {
        Range const run = parse_range(object["run_ns"]), block = parse_range(object["block_ns"]);
        workload = {.kind = WorkloadKind::burst,
                    .run_min_ns = run.low,
                    .run_max_ns = run.high,
                    .block_min_ns = block.low,
                    .block_max_ns = block.high};
    } else if (kind == "periodic") {
        std::uint64_t const run = object["run_ns"].number(1, max_time_ns);
        workload = {.kind = WorkloadKind::periodic,
                    .run_min_ns = run,
                    .run_max_ns = run,
                    .period_ns = object["period_ns"].number(1, max_time_ns),
                    .phase_ns = object["phase_ns"].number(0, max_time_ns)};
    } else if (kind == "pingpong") {
        std::uint64_t const run = object["run_ns"].number(1, max_time_ns);
        workload = {.kind = WorkloadKind::pingpong,
                    .partner = static_cast<std::uint16_t>(object["partner"].number(0, max_domain_vcpus - 1)),
                    .has_token = object["token"].boolean(),
                    .run_min_ns = run,
                    .run_max_ns = run};
    } else if (kind == "gridsleep") {
        std::uint64_t const grid = object["grid_ns"].number(2, max_time_ns);
        workload = {
            .kind = WorkloadKind::gridsleep, .grid_ns = grid, .guard_ns = object["guard_ns"].number(1, grid - 1)};
    } else if (kind == "recorded") {
        if (schema < 2)
            kind_reader.refuse("\"recorded\" needs \"schema\": \"credit-scenario/2\"");
        workload.kind = WorkloadKind::recorded;
        workload.steps = parse_steps(object["steps"]);
    } else if (std::optional<Workload> const known = parse_model_workload(kind, object)) {
        if (!has_model)
            kind_reader.refuse(
                fmt::format("{} is work of the memory cost model, and there is none; add \"memory_model\": "
                            "\"{}\" to the scenario",
                            json_string(kind), sched::guest::named_models().front().name));
        workload = *known;
    } else if (kind != "hog") {
        kind_reader.refuse(fmt::format("{} is not a workload, allowed are hog, burst, periodic, pingpong, gridsleep, "
                                       "recorded, jbb, memory, fork, cpu",
                                       json_string(kind)));
    }
    object.finish();
    return workload;
}

// Partners must name each other; of two that play ping-pong one has the token, of two that fork one is the parent.
void check_pairs(std::vector<Reader> const& readers, std::vector<Vcpu> const& vcpus)
{
    for (std::size_t i = 0; i < vcpus.size(); ++i) {
        Workload const& workload = vcpus[i].workload;
        if (workload.kind != WorkloadKind::pingpong && workload.kind != WorkloadKind::fork)
            continue;
        bool const forks = workload.kind == WorkloadKind::fork;
        ObjectReader object{readers[i]};
        ObjectReader workload_object{object["workload"]};
        Reader const partner_reader = workload_object["partner"];
        if (workload.partner >= vcpus.size() || workload.partner == i)
            partner_reader.refuse(
                fmt::format("{} is not another vCPU of this domain, which has {}", workload.partner, vcpus.size()));
        Workload const& partner = vcpus[workload.partner].workload;
        if (partner.kind != workload.kind || partner.partner != i)
            partner_reader.refuse(fmt::format("vCPU {} does not {} with vCPU {}, partners name each other",
                                              workload.partner, forks ? "fork" : "play ping-pong", i));
        if (partner.has_token == workload.has_token && !forks)
            workload_object["token"].refuse("exactly one of two ping-pong partners has the token");
        if (partner.has_token == workload.has_token)
            workload_object["parent"].refuse("exactly one of two that fork is the parent");
    }
}

std::vector<Vcpu> parse_vcpus(Reader const& reader, unsigned schema, Machine const& machine, bool has_model)
{
    std::vector<Reader> const items = reader.list();
    if (items.empty() || items.size() > max_domain_vcpus)
        reader.refuse(fmt::format("{} vCPUs, allowed is 1 to {}", items.size(), max_domain_vcpus));
    std::size_t const pcpus = machine.pcpus.size();
    std::vector<Vcpu> vcpus;
    for (Reader const& item : items) {
        ObjectReader object{item};
        Vcpu vcpu;
        vcpu.initial_pcpu = static_cast<std::uint16_t>(object["initial_cpu"].number(0, pcpus - 1));
        vcpu.workload = parse_workload(object["workload"], schema, has_model);
        if (std::optional<Reader> const hard = of_schema_2(object, "hard_affinity", schema))
            vcpu.hard_affinity = id_list<std::uint16_t>(*hard, pcpus, "pCPUs");
        if (std::optional<Reader> const soft = of_schema_2(object, "soft_affinity", schema))
            vcpu.soft_affinity = id_list<std::uint16_t>(*soft, pcpus, "pCPUs");
        object.finish();
        vcpus.push_back(std::move(vcpu));
    }
    check_pairs(items, vcpus);
    return vcpus;
}

MemoryPolicy parse_memory_policy(Reader const& reader)
{
    std::string const text = reader.text(32, true);
    if (text == "preferred")
        return MemoryPolicy::preferred;
    if (text == "strict")
        return MemoryPolicy::strict;
    if (text == "interleave")
        return MemoryPolicy::interleave;
    reader.refuse(
        fmt::format("{} is not a memory policy, allowed are preferred, strict, interleave", json_string(text)));
}

void parse_memory(Reader const& reader, Machine const& machine, Domain& domain)
{
    ObjectReader memory{reader};
    Reader const size = memory["mib"];
    domain.memory_mib = size.number(1, max_node_memory_mib);
    if (std::optional<Reader> const nodes = memory.maybe("nodes")) {
        domain.memory_nodes = id_list<std::uint8_t>(*nodes, machine.node_count(), "nodes");
        domain.memory_policy = MemoryPolicy::preferred;
    }
    if (std::optional<Reader> const policy = memory.maybe("policy")) {
        domain.memory_policy = parse_memory_policy(*policy);
        if (!domain.memory_nodes)
            policy->refuse("says how to use the nodes, but none are given: add \"nodes\"");
    }
    memory.finish();
    std::uint64_t room{0};
    for (std::size_t node = 0; node < machine.node_count(); ++node)
        if (domain.memory_policy != MemoryPolicy::strict ||
            std::ranges::find(*domain.memory_nodes, node) != domain.memory_nodes->end())
            room += machine.node_memory_mib[node];
    if (domain.memory_mib > room)
        size.refuse(fmt::format("{} MiB do not fit, the nodes have {} MiB", domain.memory_mib, room));
}

Domain parse_domain(Reader const& reader, unsigned schema, Machine const& machine, bool has_model)
{
    ObjectReader object{reader};
    Domain domain;
    domain.id = static_cast<std::uint16_t>(object["id"].number(0, max_domain_id));
    std::optional<Reader> const name = of_schema_2(object, "name", schema);
    domain.name = name ? name->text(sizeof(ShortText) - 1) : fmt::format("dom{}", domain.id);
    std::optional<Reader> const group = schema < 2 ? std::optional{object["group"]} : object.maybe("group");
    domain.group = group ? group->text(sizeof(ShortText) - 1) : "guest";
    domain.weight = static_cast<std::uint16_t>(number_or(object, "weight", schema, 1, max_weight, 256));
    domain.vcpus = parse_vcpus(object["vcpus"], schema, machine, has_model);
    domain.cap =
        static_cast<std::uint32_t>(number_or(object, "cap", schema, 0, max_cap_per_vcpu * domain.vcpus.size(), 0));
    domain.start_ns = number_or(object, "start_ns", schema, 0, max_time_ns, 0);
    if (std::optional<Reader> const hard = object.maybe("hard_affinity"))
        domain.hard_affinity = id_list<std::uint16_t>(*hard, machine.pcpus.size(), "pCPUs");
    if (std::optional<Reader> const nodes = object.maybe("node_affinity"))
        domain.node_affinity = id_list<std::uint8_t>(*nodes, machine.node_count(), "nodes");
    if (std::optional<Reader> const nodes = object.maybe("preferred_nodes"))
        domain.preferred_nodes = id_list<std::uint8_t>(*nodes, machine.node_count(), "nodes");
    if (std::optional<Reader> const memory = of_schema_2(object, "memory", schema))
        parse_memory(*memory, machine, domain);
    object.finish();
    return domain;
}

} // namespace

std::vector<Domain> parse_domains(Reader const& reader, unsigned schema, Machine const& machine, bool has_model)
{
    std::vector<Reader> const items = reader.list();
    if (items.size() > max_domains)
        reader.refuse(fmt::format("{} domains, at most {} are allowed", items.size(), max_domains));
    std::vector<Domain> domains;
    std::size_t vcpus{0};
    for (Reader const& item : items) {
        Domain domain = parse_domain(item, schema, machine, has_model);
        if (std::ranges::find(domains, domain.id, &Domain::id) != domains.end())
            ObjectReader{item}["id"].refuse(fmt::format("{} is another domain's, ids must differ", domain.id));
        vcpus += domain.vcpus.size();
        domains.push_back(std::move(domain));
    }
    if (vcpus > max_vcpus)
        reader.refuse(fmt::format("{} vCPUs in all, at most {} are allowed", vcpus, max_vcpus));
    resolve_steps(reader, domains);
    return domains;
}

} // namespace hv::nv
