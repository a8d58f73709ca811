// What is plugged into the machine while it runs. pCPUs that SRAT has a place for are started and join the scheduler;
// memory in a range that SRAT leaves room in becomes its node's. Nothing else has to be done.
//
// The machine has no interrupt for it that could be had without interpreting its firmware's byte code, so one asks, ten
// times a second, and on machines without room for more not at all. A pCPU is started over several such looks, because
// a real one wants 10 ms between the two interrupts that start it, and nobody waits.
//
// Locking: none, one pCPU calls it, with interrupts off. Floor: boot.
#pragma once

#include "arch/generic/mask.hpp"
#include "arch/x86_64/plug_ports.hpp"

#include <array>

namespace hv::boot {

struct Kernel;

class HotPlug {
public:
    void poll(Kernel& k);

private:
    void poll_pcpus(Kernel& k);
    void begin_start(Kernel const& k, std::uint32_t apic_id);
    void poll_memory(Kernel& k);

    CpuMask reset_, started_; // on their way
    std::array<bool, arch::pcpu_places> has_pcpu_{};
    std::array<bool, arch::memory_places> has_memory_{};
};

} // namespace hv::boot
