// The machine of a scenario: pCPUs, nodes, distances, costs.
#include "tools/nv/scenario_parts.hpp"

#include <map>
#include <set>

namespace hv::nv {

namespace {

using namespace hv::scenario;

void check_cores(std::vector<Reader> const& readers, std::vector<Pcpu> const& pcpus)
{
    std::map<std::uint16_t, std::size_t> first_of_core;
    for (std::size_t i = 0; i < pcpus.size(); ++i) {
        auto const [first, is_new] = first_of_core.try_emplace(pcpus[i].core, i);
        Pcpu const& other = pcpus[first->second];
        if (!is_new && (other.socket != pcpus[i].socket || other.node != pcpus[i].node))
            readers[i].refuse(fmt::format(
                "core {} would be in two places: pCPU {} has it on node {} socket {}, this one on node {} socket {}",
                pcpus[i].core, first->second, other.node, other.socket, pcpus[i].node, pcpus[i].socket));
    }
}

// Numbers from 0 without gaps, in any order.
void check_dense(Reader const& list, std::vector<Pcpu> const& pcpus, std::uint16_t Pcpu::* field,
                 std::string_view things)
{
    std::set<std::uint16_t> numbers;
    for (Pcpu const& pcpu : pcpus)
        numbers.insert(pcpu.*field);
    std::uint16_t expected{0};
    for (std::uint16_t const number : numbers) {
        if (number != expected)
            list.refuse(fmt::format("{} {} is missing, {}s are numbered from 0 without gaps over the whole machine",
                                    things, expected, things));
        ++expected;
    }
}

std::vector<Pcpu> parse_pcpus(Reader const& reader)
{
    std::vector<Reader> const items = reader.list();
    if (items.empty() || items.size() > max_pcpus)
        reader.refuse(fmt::format("{} pCPUs, allowed is 1 to {}", items.size(), max_pcpus));
    std::vector<Pcpu> pcpus;
    for (std::size_t i = 0; i < items.size(); ++i) {
        ObjectReader object{items[i]};
        if (Reader const number = object["cpu"]; number.number(0, max_pcpus - 1) != i)
            number.refuse(fmt::format("{} is out of order, pCPUs are listed by number from 0, here {} is due",
                                      shown(number.value()), i));
        std::uint64_t const last = items.size() - 1;
        pcpus.push_back({.node = static_cast<std::uint16_t>(object["node"].number(0, max_nodes - 1)),
                         .socket = static_cast<std::uint16_t>(object["socket"].number(0, last)),
                         .core = static_cast<std::uint16_t>(object["core"].number(0, last))});
        object.finish();
    }
    check_cores(items, pcpus);
    check_dense(reader, pcpus, &Pcpu::socket, "socket");
    check_dense(reader, pcpus, &Pcpu::core, "core");
    return pcpus;
}

std::vector<std::uint64_t> parse_nodes(Reader const& reader)
{
    std::vector<Reader> const items = reader.list();
    if (items.empty() || items.size() > max_nodes)
        reader.refuse(fmt::format("{} nodes, allowed is 1 to {}", items.size(), max_nodes));
    std::vector<std::uint64_t> memory;
    for (Reader const& item : items) {
        ObjectReader node{item};
        memory.push_back(number_or(node, "memory_mib", 2, 0, max_node_memory_mib, default_node_memory_mib));
        node.finish();
    }
    if (std::ranges::all_of(memory, [](std::uint64_t mib) { return mib == 0; }))
        reader.refuse("no node has memory, give memory_mib to at least one");
    return memory;
}

// Without a list of nodes, every node that has a pCPU exists and has the default memory.
std::vector<std::uint64_t> default_nodes(Reader const& list, std::vector<Pcpu> const& pcpus)
{
    check_dense(list, pcpus, &Pcpu::node, "node");
    auto const last = std::ranges::max_element(pcpus, {}, &Pcpu::node);
    return std::vector<std::uint64_t>(last->node + std::size_t{1}, default_node_memory_mib);
}

std::vector<std::uint8_t> default_distances(std::size_t nodes)
{
    std::vector<std::uint8_t> distances(nodes * nodes, 20);
    for (std::size_t node = 0; node < nodes; ++node)
        distances[node * nodes + node] = 10;
    return distances;
}

std::vector<std::uint8_t> parse_distances(Reader const& reader, std::size_t nodes)
{
    std::vector<Reader> const rows = reader.list();
    if (rows.size() != nodes)
        reader.refuse(fmt::format("{} rows for {} nodes, give one row a node", rows.size(), nodes));
    std::vector<std::uint8_t> distances;
    for (std::size_t from = 0; from < nodes; ++from) {
        std::vector<Reader> const row = rows[from].list();
        if (row.size() != nodes)
            rows[from].refuse(fmt::format("{} distances for {} nodes, give one a node", row.size(), nodes));
        for (std::size_t to = 0; to < nodes; ++to)
            distances.push_back(static_cast<std::uint8_t>(row[to].number(10, from == to ? 10 : 255)));
    }
    return distances;
}

bool parse_firmware(Reader const& reader, std::size_t nodes)
{
    ObjectReader firmware{reader};
    std::optional<Reader> const numa = firmware.maybe("numa");
    bool const present = !numa || numa->boolean();
    if (!present && nodes != 1)
        numa->refuse(fmt::format(
            "false means that nothing tells the kernel of nodes, but the machine has {}; give it one", nodes));
    firmware.finish();
    return present;
}

} // namespace

Machine parse_machine(Reader const& reader, unsigned schema)
{
    ObjectReader object{reader};
    Machine machine;
    Reader const list = object["cpus"];
    machine.pcpus = parse_pcpus(list);
    std::optional<Reader> const nodes = of_schema_2(object, "nodes", schema);
    machine.node_memory_mib = nodes ? parse_nodes(*nodes) : default_nodes(list, machine.pcpus);
    std::vector<Reader> const items = list.list();
    for (std::size_t i = 0; i < items.size(); ++i)
        if (machine.pcpus[i].node >= machine.node_count())
            items[i].refuse(fmt::format("node {} is not there, the machine has nodes 0 to {}", machine.pcpus[i].node,
                                        machine.node_count() - 1));
    std::optional<Reader> const distances = of_schema_2(object, "distances", schema);
    machine.distances =
        distances ? parse_distances(*distances, machine.node_count()) : default_distances(machine.node_count());
    if (std::optional<Reader> const firmware = of_schema_2(object, "firmware", schema))
        machine.firmware_numa = parse_firmware(*firmware, machine.node_count());
    machine.cpu_bringup_stagger_ns = number_or(object, "cpu_bringup_stagger_ns", schema, 0, max_time_ns, 0);
    machine.ipi_ns = number_or(object, "ipi_ns", schema, 0, max_time_ns, 0);
    machine.ctxsw_ns = number_or(object, "ctxsw_ns", schema, 0, max_time_ns, 0);
    machine.timer_late_ns = number_or(object, "timer_late_ns", 2, 0, max_time_ns, 0);
    if (std::optional<Reader> const wake = of_schema_2(object, "wake_ns", schema))
        machine.wake_ns = wake->number(0, max_time_ns);
    if (std::optional<Reader> const turns = of_schema_2(object, "by_turns", schema))
        machine.by_turns = turns->truth();
    if (std::optional<Reader> const turn = of_schema_2(object, "turn_ns", schema))
        machine.turn_ns = turn->number(0, max_time_ns);
    object.finish();
    return machine;
}

} // namespace hv::nv
