// The topology of a host machine, with its storage: given where each pCPU is, the masks are worked out. Floor:
// arch/host.
#pragma once

#include "arch/generic/topology.hpp"

#include <vector>

namespace hv::arch {

class MachineShape {
public:
    // `pcpus` by CpuId, sockets and cores numbered from 0 without gaps. `distances` row-major; empty: 10 at home, 20
    // elsewhere. Every pCPU is online.
    MachineShape(std::vector<PcpuTopology> pcpus, unsigned nodes, std::vector<Distance> distances = {});
    MachineShape(MachineShape const&) = delete;
    MachineShape& operator=(MachineShape const&) = delete;

    // nodes x sockets-per-node=1 x cores x threads.
    [[nodiscard]] static std::vector<PcpuTopology> regular(unsigned nodes, unsigned cores, unsigned threads);

    [[nodiscard]] Topology const& topology() const { return topology_; }

private:
    std::vector<PcpuTopology> pcpus_;
    std::vector<CpuMask> by_node_, by_socket_, by_core_;
    std::vector<Distance> distances_;
    Topology topology_;
};

} // namespace hv::arch
