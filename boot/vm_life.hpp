// The life of VMs while the machine runs: made, paused, ended from outside. What `xl create`, `pause`, `unpause` and
// `destroy` do.
//
// From one task, one call at a time, with interrupts on. Locking: none of its own. Floor: boot.
#pragma once

#include "boot/vm.hpp"
#include "sched/guest/workload.hpp"

#include <optional>

namespace hv::boot {

struct VmConfig {
    std::string_view name; // cut at Vm::longest_name; empty: after its number
    std::uint32_t vcpus{1};
    std::uint64_t memory_mib{16};
    // Of all its vCPUs. Without a soft one, and unless memory says otherwise, placement chooses nodes.
    std::optional<CpuMask> cpus{}, cpus_soft{};
    sched::DomainParams params{};
    // Of each vCPU; of workloads for pairs the kind and the times count, vCPUs 0 and 1, 2 and 3.. are partners.
    sched::guest::Workload workload{};
    VmProgram program{}; // instead of a workload's
};

// Starts it. Errors: no_memory, no_id, too_many_vcpus, bad_affinity, odd_vcpus, no_model; nothing is left then.
[[nodiscard]] Result<Vm*, VmError> create_vm(VmMachine& machine, VmConfig const& config);
// Stops it, wherever its vCPUs are, and gives back all that it had, to be zeroed. Returns when it is gone. Errors:
// no_such_vm.
[[nodiscard]] Status<VmError> destroy_vm(VmMachine& machine, DomainId id);
// Pauses are counted. Errors: no_such_vm; not_paused.
[[nodiscard]] Status<VmError> pause_vm(VmMachine& machine, DomainId id);
[[nodiscard]] Status<VmError> unpause_vm(VmMachine& machine, DomainId id);

} // namespace hv::boot
