#include "boot/vm_tasks.hpp"

#include "arch/x86_64/call.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "arch/x86_64/watchdog.hpp"
#include "boot/kernel.hpp"
#include "boot/scenario/changes.hpp"
#include "boot/vm_task.hpp"

#include <new>

namespace hv::boot {
namespace {

// The first thing a task does when it has been switched to: only now is the previous one's stack left alone.
void finish_switch(Task& task)
{
    sched::Vcpu* const previous{task.came_from};
    task.came_from = nullptr;
    task.machine.system->context_saved(arch::this_cpu(), *previous, arch::clock_now());
}

void on_reschedule(void* self, CpuId cpu, Instant now)
{
    auto& vms = *static_cast<VmMachine*>(self);
    if (vms.ending.load()) {
        vms.stopped.fetch_add(1);
        arch::halt_forever();
    }
    sched::Switch const change{vms.system->reschedule(cpu, now)};
    if (change.previous == change.next)
        return;
    Task& outgoing{task_of(*change.previous)};
    Task& incoming{task_of(*change.next)};
    incoming.came_from = change.previous;
    if (outgoing.vcpu != nullptr)
        outgoing.vcpu->leave_processor();
    if (incoming.vcpu != nullptr)
        incoming.vcpu->enter_processor();
    arch::switch_to(outgoing.context, incoming.context);
    finish_switch(outgoing); // Switched back to, perhaps on another pCPU.
}

void on_timer(void* self, CpuId cpu, TimerId timer, Instant now)
{
    auto& vms = *static_cast<VmMachine*>(self);
    if (timer == end_of_run_timer) {
        vms.at_end(vms, now);
    } else if (timer == life_timer) {
        arch::tell_host("alive at={}", now.ns());
        vms.hot_plug.poll(kernel());
        vms.system->core().pool().env().arm(cpu, life_timer, now + life_period);
    } else if (timer == console_timer) {
        vms.at_console_timer(vms.console);
    } else if (vms.changes == nullptr || !vms.changes->timer(cpu, timer, now)) {
        vms.system->timer(cpu, timer, now);
    }
}

// The VM has no more use for this vCPU, or the other way round.
void end_vm(VcpuTask& vcpu, arch::Ring3Outcome const& outcome)
{
    VmMachine& machine{vcpu.task.machine};
    bool const is_asked_for{outcome.end == arch::Ring3End::hypercall};
    bool const is_first{is_asked_for ? VmEnd::shut_down(machine, vcpu.vm(), outcome.registers.rdi)
                                     : VmEnd::crash(machine, vcpu.vm(), outcome.registers.vector)};
    if (!is_first)
        return;
    arch::Line line{arch::Output::console};
    if (is_asked_for)
        return print(line.sink(), "VM {} has shut down, exit code {}", vcpu.vm().name(), outcome.registers.rdi);
    print(line.sink(), "VM {} crashed: vCPU {}: ", vcpu.vm().name(), vcpu.guest().vcpu.index);
    describe(line.sink(), outcome);
}

// What every guest task runs. Starts with interrupts off.
[[noreturn]] void run_guest(void* argument)
{
    VcpuTask& vcpu{*static_cast<VcpuTask*>(argument)};
    finish_switch(vcpu.task);
    end_vm(vcpu, vcpu.run_in_ring3());
    for (;;) {
        arch::reschedule_if_asked(); // does not come back
        arch::enable_and_halt();
        arch::irqs_disable();
    }
}

constinit arch::UpCalls up_calls;

void bring_under(VmMachine& vms, CpuId cpu, Instant now)
{
    sched::Vcpu& idle{*vms.system->core().pool().pcpu(cpu).idle};
    void* const memory{arch::allocate_memory(arch::this_percpu().node, sizeof(Task), alignof(Task))};
    HV_ASSERT(memory != nullptr);
    idle.context = ::new (memory) Task{.machine = vms};
    vms.system->pcpu_up(cpu, now);
}

void bring_this_pcpu_under(void* argument)
{
    bring_under(*static_cast<VmMachine*>(argument), arch::this_cpu(), arch::clock_now());
}

// It looks for work at once.
void on_arrival(void* self, CpuId cpu, Instant now)
{
    arch::watchdog_join();
    bring_under(*static_cast<VmMachine*>(self), cpu, now);
    arch::ask_to_reschedule(cpu);
}

} // namespace

void install_vm_up_calls(VmMachine& vms)
{
    up_calls = {.self = &vms, .timer = on_timer, .reschedule = on_reschedule, .arrived = on_arrival};
    arch::install_up_calls(&up_calls);
    vms.system->set_farewell({.self = &vms,
                              .ends = nullptr,
                              .vcpu = [](void*, sched::Vcpu& vcpu) noexcept { release_guest_task(vcpu); },
                              .domain = nullptr});
}

void bring_pcpus_under(VmMachine& vms)
{
    for (CpuId const cpu : kernel().topology->online)
        arch::call_on(cpu, bring_this_pcpu_under, &vms);
}

void stop_other_pcpus(VmMachine& vms)
{
    CpuMask others{kernel().topology->online}; // those that have left the pool, too
    others.clear(arch::this_cpu());
    vms.ending.store(true);
    for (CpuId const cpu : others)
        vms.system->core().pool().env().tickle(cpu);
    while (vms.stopped.load() != others.count())
        arch::relax();
}

void prepare_guest_task(VcpuTask& task) { arch::prepare(task.task.context, task.stack().top(), run_guest, &task); }

void release_guest_task(sched::Vcpu& vcpu)
{
    if (vcpu.context == nullptr)
        return; // It has none.
    VcpuTask* const task{task_of(vcpu).vcpu};
    Vm& vm{task->vm()};
    vcpu.context = nullptr;
    arch::release_stack(task->stack());
    task->~VcpuTask();
    arch::release_memory(task, sizeof(VcpuTask), alignof(VcpuTask));
    vm.tasks.fetch_sub(1); // The last touch: whoever waits for it takes the VM apart.
}

} // namespace hv::boot
