// Machines and VMs out of any bytes: what a rule chooses suffices, is allowed and is chosen again; two rules that both
// want the fewest nodes agree on how few.
#include "sched/placement/workspace.hpp"
#include "tests/fuzz/target.hpp"

#include <memory>

namespace hv::sched::placement {
namespace {

class Bytes {
public:
    explicit Bytes(fuzz::Input input) : input_{input} {}
    std::uint32_t next(std::uint32_t bound)
    {
        std::uint32_t value{0};
        for (std::uint32_t range = 1; range < bound; range *= 256)
            value = value * 256 + (at_ < input_.size() ? input_[at_++] : 0);
        return value % bound;
    }

private:
    fuzz::Input input_;
    std::size_t at_{0};
};

struct Machine {
    std::vector<NodeState> nodes;
    std::vector<Distance> distances;
};

Machine machine_from(Bytes& bytes)
{
    Machine machine;
    machine.nodes.resize(1 + bytes.next(64));
    for (NodeState& node : machine.nodes) {
        node.pcpus = bytes.next(40);
        node.cores = node.pcpus - bytes.next(node.pcpus / 2 + 1);
        node.free_kib = std::uint64_t{bytes.next(1u << 16)} << bytes.next(30);
        node.vcpus = bytes.next(256);
        node.cpu_demand = bytes.next(256) * 100;
        node.memory_demand = bytes.next(256) * 100;
    }
    machine.distances.assign(machine.nodes.size() * machine.nodes.size(), default_remote_distance);
    for (std::size_t i = 0; i < machine.distances.size(); ++i)
        machine.distances[i] =
            i % (machine.nodes.size() + 1) == 0 ? local_distance : static_cast<Distance>(10 + bytes.next(246));
    return machine;
}

void check(Snapshot const& snapshot, Request const& request, NodeMask chosen)
{
    std::uint64_t free{0}, pcpus{0};
    HV_ASSERT(!chosen.empty() && chosen.is_subset_of(request.allowed));
    for (NodeId const node : chosen) {
        HV_ASSERT(node.value() < snapshot.nodes.size() && snapshot.of(node).pcpus > 0);
        free += snapshot.of(node).free_kib;
        pcpus += snapshot.of(node).pcpus;
    }
    HV_ASSERT(free >= request.need_kib && pcpus >= request.vcpus);
}

} // namespace

HV_FUZZ_TARGET(placement)
{
    Bytes bytes{input};
    Request request{.vcpus = 1 + bytes.next(200), .need_kib = std::uint64_t{bytes.next(1u << 16)} << bytes.next(30)};
    if (bytes.next(4) == 0)
        request.allowed = NodeMask::from_bits((std::uint64_t{bytes.next(1u << 24)} << 40) | bytes.next(1u << 24));
    request.smt = bytes.next(4) == 0 ? Smt::cores : Smt::threads;
    Machine const machine{machine_from(bytes)};
    Snapshot const snapshot{.nodes = machine.nodes, .distances = machine.distances};
    auto const workspace = std::make_unique<Workspace>();
    auto const ours = place(Rule::numavisor, snapshot, request, *workspace);
    if (ours) {
        check(snapshot, request, *ours);
        HV_ASSERT(*place(Rule::numavisor, snapshot, request, *workspace) == *ours);
    }
    if (machine.nodes.size() > max_nodes_to_try)
        return;
    auto const theirs = place(Rule::xen_4_3, snapshot, request, *workspace);
    HV_ASSERT(theirs.ok() == ours.ok());
    if (!theirs)
        return;
    check(snapshot, request, *theirs);
    HV_ASSERT(request.smt == Smt::cores || ours->count() == theirs->count());
}

} // namespace hv::sched::placement
