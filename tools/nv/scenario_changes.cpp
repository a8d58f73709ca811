// What a scenario file does to its machine while it runs.
#include "boot/scenario/changes.hpp"
#include "tools/nv/scenario_parts.hpp"

#include <array>

namespace hv::nv {

namespace {

using namespace hv::scenario;

// In the order of ChangeKind.
constexpr std::array<std::string_view, last_change_kind + 1> change_names{
    "pause", "unpause", "destroy", "create", "pcpu_offline", "pcpu_suspend", "pcpu_online"};

ChangeKind parse_kind(Reader const& reader)
{
    std::string const text = reader.text(32, true);
    auto const found = std::ranges::find(change_names, text);
    if (found == change_names.end())
        reader.refuse(
            fmt::format("{} cannot be done, allowed are {}", json_string(text), fmt::join(change_names, ", ")));
    return static_cast<ChangeKind>(found - change_names.begin());
}

std::uint32_t row_of(Reader const& reader, std::vector<Domain> const& domains)
{
    std::uint64_t const id{reader.number(0, max_domain_id)};
    auto const found = std::ranges::find(domains, id, &Domain::id);
    if (found == domains.end())
        reader.refuse(fmt::format("there is no domain {}", id));
    return static_cast<std::uint32_t>(found - domains.begin());
}

struct Change {
    ChangeRecord record;
    Reader place;
};

Change parse_change(Reader const& reader, Scenario const& scenario)
{
    ObjectReader object{reader};
    ChangeRecord record{
        .at_ns = object["at_ns"].number(0, max_time_ns), .kind = parse_kind(object["do"]), .reserved = 0, .subject = 0};
    record.subject = is_of_pcpu(record.kind)
                         ? static_cast<std::uint32_t>(object["cpu"].number(0, scenario.machine.pcpus.size() - 1))
                         : row_of(object["domain"], scenario.domains);
    object.finish();
    return {record, reader};
}

} // namespace

void parse_changes(Reader const& reader, Scenario& scenario)
{
    std::vector<Change> changes;
    for (Reader const& item : reader.list())
        changes.push_back(parse_change(item, scenario));
    if (changes.size() > max_changes)
        reader.refuse(fmt::format("{} changes, at most {} are allowed", changes.size(), max_changes));
    std::ranges::stable_sort(changes, {}, [](Change const& change) { return change.record.at_ns; });
    for (Change const& change : changes)
        scenario.changes.push_back(change.record);
    for (std::uint32_t row = 0; row < changes.size(); ++row) {
        auto const pcpus = static_cast<std::uint32_t>(scenario.machine.pcpus.size());
        if (char const* const rule = rule_broken_by(scenario.changes, row, pcpus); rule != nullptr) {
            ChangeRecord const& record{scenario.changes[row]};
            std::string_view const name{change_names[static_cast<std::size_t>(record.kind)]};
            changes[row].place.refuse(fmt::format("{} at {} ns is only for {}", name, record.at_ns, rule));
        }
    }
}

} // namespace hv::nv
