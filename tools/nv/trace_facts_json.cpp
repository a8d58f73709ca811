#include "tools/nv/json.hpp"
#include "tools/nv/trace_facts.hpp"

#include <fmt/format.h>

namespace hv::nv {

namespace {

template <typename Ids>
std::string list(Ids const& ids)
{
    return fmt::format("[{}]", fmt::join(ids, ", "));
}

std::string vcpus_json(Domain const& domain)
{
    std::vector<std::string> rows;
    for (std::size_t i = 0; i < domain.vcpus.size(); ++i)
        if (domain.vcpus[i].hard_affinity)
            rows.push_back(
                fmt::format("{{\"index\": {}, \"hard_affinity\": {}}}", i, list(*domain.vcpus[i].hard_affinity)));
    return rows.empty() ? "" : fmt::format(",\n   \"vcpus\": [{}]", fmt::join(rows, ", "));
}

std::string domain_json(Domain const& domain)
{
    std::string text{fmt::format("  {{\"id\": {}, \"name\": {}, \"group\": {}, \"weight\": {}, \"cap\": {}, "
                                 "\"vcpu_count\": {}",
                                 domain.id, json_string(domain.name), json_string(domain.group), domain.weight,
                                 domain.cap, domain.vcpus.size())};
    if (domain.home())
        text += fmt::format(", \"home_nodes\": {}", list(*domain.home()));
    if (domain.hard_affinity)
        text += fmt::format(", \"hard_affinity\": {}", list(*domain.hard_affinity));
    return text + vcpus_json(domain) + "}";
}

} // namespace

std::string facts_json(RecordedRun const& run)
{
    Scenario const& scenario = run.scenario;
    std::vector<std::uint16_t> nodes;
    for (Pcpu const& pcpu : scenario.machine.pcpus)
        nodes.push_back(pcpu.node);
    std::vector<std::string> domains;
    for (Domain const& domain : scenario.domains)
        domains.push_back(domain_json(domain));
    bool const is_kernel = run.source == RecordedRun::Source::kernel;
    std::string const last = run.last == ~0ull ? "" : fmt::format(", \"last\": {}", run.last);
    std::string const events = is_kernel ? "" : fmt::format(", \"events\": {}", run.events);
    return fmt::format("{{\n \"clock_hz\": 1000000000,\n \"pcpu_nodes\": {},\n \"node_count\": {},\n"
                       " \"run\": {{\"scenario\": {}, \"policy\": {}, \"seed\": {}, \"source\": \"{}\",\n"
                       "  \"start\": {}, \"warmup_ns\": {}, \"duration_ns\": {}{}, \"lost_records\": {}{}}},\n"
                       " \"domains\": [\n{}\n ]\n}}\n",
                       list(nodes), scenario.machine.node_count(), json_string(scenario.name),
                       json_string(scenario.policy), scenario.seed, is_kernel ? "kernel" : "simulator", run.start,
                       scenario.warmup_ns, scenario.duration_ns, last, run.lost_records, events,
                       fmt::join(domains, ",\n"));
}

} // namespace hv::nv
