// Between the files of the scenario parser: what scenario.cpp hands to the readers of the parts. Host only. Floor:
// tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/json_reader.hpp"
#include "tools/nv/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

// Reads the key of schema 2 only; refuses it in a file that says schema 1.
[[nodiscard]] inline std::optional<Reader> of_schema_2(ObjectReader& object, std::string_view key, unsigned schema)
{
    if (schema < 2)
        object.forbid(key, "needs \"schema\": \"credit-scenario/2\"");
    return schema < 2 ? std::nullopt : object.maybe(key);
}

// A member that schema 1 demands and schema 2 has a default for.
[[nodiscard]] inline std::uint64_t number_or(ObjectReader& object, std::string_view key, unsigned schema,
                                             std::uint64_t low, std::uint64_t high, std::uint64_t standard)
{
    if (schema < 2)
        return object[key].number(low, high);
    std::optional<Reader> const member = object.maybe(key);
    return member ? member->number(low, high) : standard;
}

// A list of ids below `count`: not empty, no doubles; returned in ascending order. `things` names them in error lines.
template <typename Id>
[[nodiscard]] std::vector<Id> id_list(Reader const& reader, std::size_t count, std::string_view things)
{
    std::vector<Id> ids;
    for (Reader const& item : reader.list()) {
        auto const id = static_cast<Id>(item.number(0, count - 1));
        if (std::ranges::find(ids, id) != ids.end())
            item.refuse(fmt::format("{} is in the list twice", id));
        ids.push_back(id);
    }
    if (ids.empty())
        reader.refuse(fmt::format("an empty list of {}, give at least one, or null for no restriction", things));
    std::ranges::sort(ids);
    return ids;
}

// What is done while the scenario runs; after machine and domains.
void parse_changes(Reader const& reader, Scenario& scenario);
[[nodiscard]] Machine parse_machine(Reader const& reader, unsigned schema);
void parse_placement(ObjectReader& top, unsigned schema, Placement& placement);
// Where placement puts the domains of a scenario that is complete otherwise; refuses what a strict one has no place
// for.
void place_domains(Scenario& scenario, std::string_view file);
[[nodiscard]] MemoryModel parse_memory_model(Reader const& reader);
// A workload that the memory cost model knows; nothing: `kind` is none of them. `object` is the workload's.
[[nodiscard]] std::optional<Workload> parse_model_workload(std::string_view kind, ObjectReader& object);
// The steps of a recorded workload. Targets are domain << 16 | vCPU until resolve_steps() makes them rows of all vCPUs;
// `reader`: that of the list of domains.
[[nodiscard]] std::vector<scenario::StepRecord> parse_steps(Reader const& reader);
void resolve_steps(Reader const& reader, std::vector<Domain>& domains);
[[nodiscard]] std::vector<Domain> parse_domains(Reader const& reader, unsigned schema, Machine const& machine,
                                                bool has_model);

} // namespace hv::nv
