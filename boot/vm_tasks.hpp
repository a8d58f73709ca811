// vCPUs as tasks of the kernel: what makes the scheduler's decisions happen.
//
// A vCPU of a VM is a task with a stack on its node that runs the guest image in ring 3, in the VM's address space;
// what it asks for by hypercall is carried out through the guest layer, on that stack. A phase of computation is spent
// halted, with the pCPU's timer set for its end. Each pCPU's idle vCPU is the task that the pCPU started with.
// Everything the scheduler is told comes through the up-calls installed here.
//
// Locking: none; a task is touched by the pCPU that runs it, and the scheduler never lets two run it. Floor: boot.
#pragma once

#include "arch/generic/list.hpp"
#include "boot/hot_plug.hpp"
#include "boot/vm.hpp"
#include "sched/system.hpp"

#include <atomic>

namespace hv::scenario {
class Changes;
}

namespace hv::boot {

// Timers of ours beside the scheduler's, on pCPU 0: the end of the run, and ten times a second a sign of life for the
// host, which would take a long run for a hang, and a look for what has been plugged in.
inline constexpr TimerId end_of_run_timer{8};
inline constexpr TimerId life_timer{9};
inline constexpr TimerId console_timer{10}; // the console's, where there is one
inline constexpr Duration life_period{Duration::from_ms(100)};

class VcpuTask;

struct VmMachine {
    sched::System* system{nullptr};
    List<Vm, VmsTag> vms; // in order of creation
    // Called on pCPU 0, interrupts off, when end_of_run_timer fires. With a console it returns, else not.
    void (*at_end)(VmMachine& vms, Instant now){nullptr};
    // Called by the console, interrupts off, when somebody wants the run to end. Does not return.
    void (*at_quit)(VmMachine& vms, Instant now){nullptr};
    // Called when console_timer fires, on its pCPU, interrupts off.
    void (*at_console_timer)(void* console){nullptr};
    void* console{nullptr};
    Instant origin;                      // when the scenario began
    std::uint64_t seed{1};               // of workloads' random numbers
    DomainId last_id;                    // given to a domain last
    HotPlug hot_plug;                    // pCPU 0's
    scenario::Changes* changes{nullptr}; // what is done while the scenario runs
    std::atomic<bool> ending{false};
    std::atomic<unsigned> stopped{0};
};

// Installs the up-calls, before the first domain is made. `vms` must stay where it is.
void install_vm_up_calls(VmMachine& vms);
// Makes what runs on each pCPU now its idle vCPU, pCPU by pCPU. Interrupts on.
void bring_pcpus_under(VmMachine& vms);
// Halts every other pCPU for good, each at its next reschedule, so in no critical section; returns when all have.
void stop_other_pcpus(VmMachine& vms);
// Has the task begin at its program when it is first switched to. Interrupts off.
void prepare_guest_task(VcpuTask& task);
// Nobody refers to the vCPU any more, nor runs on its stack; or it has never run. Interrupts off.
void release_guest_task(sched::Vcpu& vcpu);

} // namespace hv::boot
