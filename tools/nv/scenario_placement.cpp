// Automatic placement in scenario files, and its outcome: figures need to know where each domain is at home.
#include "boot/scenario/homes.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario_parts.hpp"

#include <array>
#include <memory>

namespace hv::nv {

namespace {

using sched::placement::Rule;
using sched::placement::Smt;

std::string line_of(scenario::HomeNotice const& notice)
{
    std::array<char, 512> buffer{};
    BufferSink sink{buffer};
    scenario::describe(notice, sink);
    return std::string{sink.text()};
}

Rule parse_rule(Reader const& reader)
{
    std::string const text = reader.text(32, true);
    if (auto const rule = sched::placement::rule_named(text))
        return *rule;
    reader.refuse(fmt::format("{} is not a placement, allowed are none, 4.3, numavisor, greedy, packed, spread",
                              json_string(text)));
}

Smt parse_smt(Reader const& reader)
{
    std::string const text = reader.text(32, true);
    if (text != "threads" && text != "cores")
        reader.refuse(
            fmt::format("{} is not what vCPUs are counted against, allowed are threads, cores", json_string(text)));
    return text == "cores" ? Smt::cores : Smt::threads;
}

} // namespace

void parse_placement(ObjectReader& top, unsigned schema, Placement& placement)
{
    if (std::optional<Reader> const rule = of_schema_2(top, "placement", schema))
        placement.rule = parse_rule(*rule);
    if (std::optional<Reader> const strict = of_schema_2(top, "placement_strict", schema)) {
        placement.strict = strict->truth();
        if (placement.strict && placement.rule == Rule::none)
            strict->refuse(
                "says what becomes of a domain that cannot be placed, but none are placed: add \"placement\"");
    }
    if (std::optional<Reader> const smt = of_schema_2(top, "placement_smt", schema)) {
        placement.smt = parse_smt(*smt);
        if (placement.rule != Rule::numavisor)
            smt->refuse("only \"placement\": \"numavisor\" tells cores from threads, remove it");
    }
}

void place_domains(Scenario& scenario, std::string_view file)
{
    if (scenario.placement.rule == Rule::none)
        return;
    std::vector<std::byte> const image{pack(scenario)};
    auto const view = scenario::validate(image);
    auto const planner = std::make_unique<scenario::HomePlanner>();
    std::vector<scenario::Home> homes(scenario.domains.size());
    if (auto const planned = scenario::plan_homes(*view, *planner, homes); !planned)
        refuse(fmt::format("{}: {}", file, line_of(planned.error())));
    for (std::size_t i = 0; i < homes.size(); ++i) {
        if (homes[i].origin == scenario::Home::Origin::placed) {
            NodeList& nodes = scenario.domains[i].placed_on.emplace();
            for (NodeId const node : homes[i].nodes)
                nodes.push_back(node.value());
        }
        if (auto const notice = scenario::notice_of(*view, view->domains()[i], homes[i]))
            scenario.placement.warnings.push_back(line_of(*notice));
    }
}

} // namespace hv::nv
