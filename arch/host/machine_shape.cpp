#include "arch/host/machine_shape.hpp"

#include <algorithm>

namespace hv::arch {

MachineShape::MachineShape(std::vector<PcpuTopology> pcpus, unsigned nodes, std::vector<Distance> distances)
    : pcpus_{std::move(pcpus)}, distances_{std::move(distances)}
{
    HV_ASSERT(!pcpus_.empty() && nodes > 0 && nodes <= NodeMask::capacity);
    by_node_.resize(nodes);
    for (std::size_t i = 0; i < pcpus_.size(); ++i) {
        PcpuTopology const& at{pcpus_[i]};
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        HV_ASSERT(at.node.value() < nodes);
        by_socket_.resize(std::max<std::size_t>(by_socket_.size(), at.socket + 1u));
        by_core_.resize(std::max<std::size_t>(by_core_.size(), at.core + 1u));
        by_node_[at.node.value()].set(cpu);
        by_socket_[at.socket].set(cpu);
        by_core_[at.core].set(cpu);
    }
    if (distances_.empty()) {
        distances_.assign(std::size_t{nodes} * nodes, default_remote_distance);
        for (std::size_t n = 0; n < nodes; ++n)
            distances_[n * nodes + n] = local_distance;
    }
    HV_ASSERT(distances_.size() == std::size_t{nodes} * nodes);
    topology_ = {.pcpus = pcpus_,
                 .by_node = by_node_,
                 .by_socket = by_socket_,
                 .by_core = by_core_,
                 .distances = distances_,
                 .online = CpuMask::first_n(static_cast<unsigned>(pcpus_.size()))};
}

std::vector<PcpuTopology> MachineShape::regular(unsigned nodes, unsigned cores, unsigned threads)
{
    std::vector<PcpuTopology> pcpus;
    for (unsigned node = 0; node < nodes; ++node)
        for (unsigned core = 0; core < cores; ++core)
            for (unsigned thread = 0; thread < threads; ++thread)
                pcpus.push_back({.node = NodeId{static_cast<NodeId::Rep>(node)},
                                 .socket = static_cast<std::uint16_t>(node),
                                 .core = static_cast<std::uint16_t>(node * cores + core)});
    return pcpus;
}

} // namespace hv::arch
