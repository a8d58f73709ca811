// The booted side of the memory cost model (sched/guest): where the VMs' pages really are, and at the end what each
// vCPU has done by the model, for the host. Nothing happens in a scenario without a model. Interrupts off. Floor: boot.
#pragma once

#include "boot/vm_memory.hpp"
#include "sched/system.hpp"

namespace hv::boot {

// Each domain's memory counts where its account has it. After the domains are made, before they start; `accounts` in
// the order of the domains. A domain without any memory stays as the scenario has it.
void use_real_memory(sched::System& system, VmAccounts accounts);

// One line a vCPU of the model on the host channel: docs/scenario-format.md. Nothing runs any more.
void tell_work(sched::System& system, Instant now);

} // namespace hv::boot
