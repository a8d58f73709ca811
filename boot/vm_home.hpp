// Where a VM that is made while the machine runs gets its memory and would rather run: automatic placement over what
// the nodes have at this moment. Interrupts off. Floor: boot.
#pragma once

#include "boot/vm_life.hpp"

namespace hv::boot {

struct VmHome {
    NodeMask nodes;        // not empty
    bool is_placed{false}; // by placement: it is also the domain's node affinity
};

// `allowed`: pCPUs of the pool where its vCPUs may run, not empty.
[[nodiscard]] VmHome find_home(VmMachine& machine, VmConfig const& config, CpuMask const& allowed);

} // namespace hv::boot
