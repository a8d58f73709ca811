#include "boot/scenario/homes.hpp"

#include "sched/placement/residents.hpp"

#include <algorithm>

namespace hv::scenario {

namespace {

namespace placement = sched::placement;

NodeId node_number(std::size_t number) { return NodeId{static_cast<NodeId::Rep>(number)}; }

NodeMask nodes_of(ScenarioView scenario, CpuMask const& pcpus)
{
    return placement::nodes_of(pcpus, [&](CpuId cpu) { return node_number(scenario.pcpus()[cpu.value()].node); });
}

bool has_own_affinity(VcpuRecord const& vcpu) { return vcpu.hard_mask != no_mask || vcpu.soft_mask != no_mask; }

// Who says anything of nodes, or something else for each vCPU, has been placed by hand. A hard affinity for all vCPUs
// only narrows the choice. (Xen: a list of cpus= and cpus_soft= switch placement off, one cpus= for all does not.)
bool wants_placement(ScenarioView scenario, DomainRecord const& record)
{
    return scenario.placement() != placement::Rule::none && record.node_affinity == 0 && record.preferred_nodes == 0 &&
           record.memory_nodes == 0 && std::ranges::none_of(scenario.vcpus(record), has_own_affinity);
}

NodeMask named_home(ScenarioView scenario, DomainRecord const& record)
{
    for (std::uint64_t const bits : {record.memory_nodes, record.node_affinity, record.preferred_nodes})
        if (bits != 0)
            return NodeMask::from_bits(bits);
    CpuId const first{scenario.vcpus(record).front().initial_pcpu};
    return NodeMask::of(node_number(scenario.pcpus()[first.value()].node));
}

class Plan {
public:
    Plan(ScenarioView scenario, HomePlanner& planner) : scenario_{scenario}, planner_{planner}
    {
        planner_.nodes = {};
        for (std::size_t n = 0; n < scenario.nodes().size(); ++n)
            planner_.nodes[n].free_kib = scenario.nodes()[n].memory_mib * 1024;
        CpuMask cores;
        for (PcpuRecord const& pcpu : scenario.pcpus()) {
            ++planner_.nodes[pcpu.node].pcpus;
            if (!cores.test(CpuId{pcpu.core}))
                ++planner_.nodes[pcpu.node].cores;
            cores.set(CpuId{pcpu.core});
            with_pcpus_.set(node_number(pcpu.node));
        }
    }

    [[nodiscard]] Home next(DomainRecord const& record)
    {
        Home const home{choose(record)};
        take_memory(record, home);
        add_vcpus(record, home);
        return home;
    }

private:
    [[nodiscard]] std::span<placement::NodeState> nodes()
    {
        return std::span{planner_.nodes}.first(scenario_.nodes().size());
    }

    [[nodiscard]] Home choose(DomainRecord const& record)
    {
        if (!wants_placement(scenario_, record))
            return {.nodes = named_home(scenario_, record)};
        placement::Request request{.vcpus = record.vcpu_count,
                                   .need_kib = placement::need_of_vm_kib(record.memory_mib),
                                   .smt = scenario_.placement_smt()};
        if (record.hard_mask != no_mask)
            request.allowed = nodes_of(scenario_, scenario_.hard_affinity(record, scenario_.vcpus(record).front()));
        auto const chosen = placement::place(
            scenario_.placement(), {.nodes = nodes(), .distances = scenario_.distances()}, request, planner_.workspace);
        if (chosen)
            return {.nodes = *chosen, .origin = Home::Origin::placed};
        NodeMask with_memory;
        for (std::size_t n = 0; n < scenario_.nodes().size(); ++n)
            if (scenario_.nodes()[n].memory_mib != 0)
                with_memory.set(node_number(n));
        return {.nodes = with_memory, .origin = Home::Origin::nowhere, .why = chosen.error()};
    }

    // As the page allocator will: in equal parts from the home's nodes as long as they have some, then from the others
    // by their distance from the first.
    void take_memory(DomainRecord const& record, Home const& home)
    {
        planner_.taken_mib = {};
        std::uint64_t left{record.memory_mib == 0 ? 0 : record.memory_mib + 1};
        NodeMask from{home.nodes};
        while (left > 0 && !from.empty()) {
            std::uint64_t const part{std::max<std::uint64_t>(1, left / from.count())};
            for (NodeId const node : from) {
                left -= take(node, std::min(part, left));
                if (free_mib(node) == 0)
                    from.clear(node);
            }
        }
        NodeId const first{*home.nodes.first()};
        for (unsigned distance = local_distance; left > 0 && distance <= unreachable_distance; ++distance)
            for (std::size_t n = 0; n < scenario_.nodes().size(); ++n)
                if (scenario_.distances()[first.value() * scenario_.nodes().size() + n] == distance)
                    left -= take(node_number(n), left);
        placement::add_accesses(nodes(), record.vcpu_count, std::span{planner_.taken_mib}.first(nodes().size()));
    }
    [[nodiscard]] std::uint64_t free_mib(NodeId node) const { return planner_.nodes[node.value()].free_kib / 1024; }
    [[nodiscard]] std::uint64_t take(NodeId node, std::uint64_t mib)
    {
        std::uint64_t const got{std::min(mib, free_mib(node))};
        planner_.nodes[node.value()].free_kib -= got * 1024;
        planner_.taken_mib[node.value()] += got;
        return got;
    }

    void add_vcpus(DomainRecord const& record, Home const& home)
    {
        NodeMask affinity{NodeMask::all()};
        if (home.origin == Home::Origin::placed)
            affinity = home.nodes;
        else if (auto const explicit_nodes = ScenarioView::node_affinity(record))
            affinity = *explicit_nodes;
        for (VcpuRecord const& vcpu : scenario_.vcpus(record)) {
            NodeMask const hard{hard_nodes(record, vcpu)};
            NodeMask likely{hard & affinity};
            if (auto const soft = scenario_.soft_affinity(vcpu))
                likely = nodes_of(scenario_, *soft & scenario_.hard_affinity(record, vcpu));
            placement::add_vcpus(nodes(), 1, hard & affinity, likely.empty() ? hard : likely);
        }
    }
    [[nodiscard]] NodeMask hard_nodes(DomainRecord const& record, VcpuRecord const& vcpu) const
    {
        if (record.hard_mask == no_mask && vcpu.hard_mask == no_mask)
            return with_pcpus_;
        return nodes_of(scenario_, scenario_.hard_affinity(record, vcpu));
    }

    ScenarioView scenario_;
    HomePlanner& planner_;
    NodeMask with_pcpus_;
};

} // namespace

void describe(HomeNotice const& notice, Sink& sink)
{
    print(sink, "VM \"{}\": placement {} {}: ", notice.domain, placement::name_of(notice.rule),
          notice.refused ? "is strict and found no nodes for it"
                         : "found no nodes for it, so it has no preference and memory from all");
    placement::describe(notice.why, sink);
}

Status<HomeNotice> plan_homes(ScenarioView scenario, HomePlanner& planner, std::span<Home> homes)
{
    HV_ASSERT(homes.size() >= scenario.domains().size());
    Plan plan{scenario, planner};
    for (std::size_t i = 0; i < scenario.domains().size(); ++i) {
        homes[i] = plan.next(scenario.domains()[i]);
        auto const notice = notice_of(scenario, scenario.domains()[i], homes[i]);
        if (notice && notice->refused)
            return fail(*notice);
    }
    return done;
}

std::optional<HomeNotice> notice_of(ScenarioView scenario, DomainRecord const& record, Home const& home)
{
    if (home.origin != Home::Origin::nowhere || placement::warning_of(home.why.reason) == placement::Warning::none)
        return std::nullopt;
    return HomeNotice{ScenarioView::text(record.name), scenario.placement(), scenario.placement_is_strict(), home.why};
}

} // namespace hv::scenario
