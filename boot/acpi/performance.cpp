// What HMAT adds to the map of the machine.
#include "boot/acpi/hmat.hpp"
#include "boot/acpi/machine_map.hpp"

#include <algorithm>

namespace hv::boot::acpi {

namespace {

// The node of `pxm`, or node_count.
std::size_t find_node(MachineMap const& map, std::uint32_t pxm)
{
    auto const* const at = std::lower_bound(map.pxm.begin(), map.pxm.end(), pxm);
    return at != map.pxm.end() && *at == pxm ? static_cast<std::size_t>(at - map.pxm.begin()) : map.node_count;
}

bool is_access(HmatData data) { return data == HmatData::access_latency || data == HmatData::access_bandwidth; }

// Of what is said of reads and of writes, the worse counts.
void note_figure(HmatFigure const& figure, Performance& pair, bool replace)
{
    if (is_latency(figure.data))
        pair.latency_ps = replace ? figure.value : std::max(pair.latency_ps, figure.value);
    else if (replace || pair.bandwidth_mbps == 0)
        pair.bandwidth_mbps = figure.value;
    else
        pair.bandwidth_mbps = std::min(pair.bandwidth_mbps, figure.value);
}

} // namespace

void map_performance(Tables const& tables, MachineMap& map)
{
    map.performance.fill({});
    map.hmat_reason = {};
    if (map.fallback_reason.is_set() || (tables.hmat && tables.hmat->empty()))
        return;
    if (!tables.hmat) {
        map.hmat_reason = tables.hmat.error();
        return;
    }
    // What is said of accesses as such goes before what is said of reads and writes: it comes last and replaces.
    for (bool const access : {false, true}) {
        Status<ParseError> const walked{walk_hmat(*tables.hmat, [&](HmatFigure const& figure) {
            std::size_t const from{find_node(map, figure.initiator)}, to{find_node(map, figure.target)};
            if (is_access(figure.data) == access && from < map.node_count && to < map.node_count)
                note_figure(figure, map.performance[from * map.node_count + to], access);
        })};
        if (!walked) {
            map.performance.fill({});
            map.hmat_reason = walked.error();
            return;
        }
    }
}

} // namespace hv::boot::acpi
