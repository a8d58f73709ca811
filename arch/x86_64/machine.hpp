// What the composition root tells the machine for Env (<arch/env.hpp>). Floor: arch/x86_64.
#pragma once

#include "arch/generic/topology.hpp"

namespace hv::arch {

// What Env::topology() gives; must stay where it is. Before the first use of an Env.
void install_topology(Topology const& topology) noexcept;

} // namespace hv::arch
