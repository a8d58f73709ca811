#include "boot/vm_tasks.hpp"

#include "arch/x86_64/call.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/context.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/upcalls.hpp"

#include <new>

namespace hv::boot {
namespace {

using sched::guest::Guest;
using sched::guest::Outcome;

struct Task {
    VmMachine& vms;
    arch::Context context{};
    // Who ran before, until its context is known to be saved: set by whoever switches to this task.
    sched::Vcpu* came_from{nullptr};
};

Task& task_of(sched::Vcpu& vcpu) { return *static_cast<Task*>(vcpu.context); }

Task* make_task(VmMachine& vms, NodeId node)
{
    void* const memory{arch::allocate_memory(node, sizeof(Task), alignof(Task))};
    return memory == nullptr ? nullptr : ::new (memory) Task{vms};
}

// The first thing a task does when it has been switched to: only now is the previous one's stack left alone.
void finish_switch(Task& task)
{
    sched::Vcpu* const previous{task.came_from};
    task.came_from = nullptr;
    task.vms.system->context_saved(arch::this_cpu(), *previous, arch::clock_now());
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
        vms.system->core().pool().env().arm(cpu, life_timer, now + life_period);
    } else {
        vms.system->timer(cpu, timer, now);
    }
}

// The program of every guest task. Starts with interrupts off.
[[noreturn]] void run_guest(void* argument)
{
    Guest& guest{*static_cast<Guest*>(argument)};
    Task& task{task_of(guest.vcpu)};
    finish_switch(task);
    while (true) {
        Instant const now{arch::clock_now()};
        sched::guest::Action const action{next(guest.work, now)};
        Outcome const outcome{task.vms.system->guests().perform(arch::this_cpu(), guest, action, now)};
        // A wait asked for this; so may a notification have done. Comes back when this vCPU is to run again.
        arch::reschedule_if_asked();
        while (outcome == Outcome::computes && guest.computing) {
            arch::enable_and_halt();
            arch::irqs_disable();
        }
    }
}

constinit arch::UpCalls up_calls;

void bring_this_pcpu_under(void* argument)
{
    auto& vms = *static_cast<VmMachine*>(argument);
    CpuId const cpu{arch::this_cpu()};
    sched::Vcpu& idle{*vms.system->core().pool().pcpu(cpu).idle};
    idle.context = make_task(vms, arch::this_percpu().node);
    HV_ASSERT(idle.context != nullptr);
    vms.system->pcpu_up(cpu, arch::clock_now());
}

} // namespace

void install_vm_up_calls(VmMachine& vms)
{
    up_calls = {.self = &vms, .timer = on_timer, .reschedule = on_reschedule};
    arch::install_up_calls(&up_calls);
}

void bring_pcpus_under(VmMachine& vms)
{
    for (std::size_t i = 0; i < vms.system->core().pool().pcpu_limit(); ++i)
        arch::call_on(CpuId{static_cast<CpuId::Rep>(i)}, bring_this_pcpu_under, &vms);
}

void stop_other_pcpus(VmMachine& vms)
{
    CpuMask others{vms.system->core().pool().members()};
    others.clear(arch::this_cpu());
    vms.ending.store(true);
    for (CpuId const cpu : others)
        vms.system->core().pool().env().tickle(cpu);
    while (vms.stopped.load() != others.count())
        arch::relax();
}

Status<arch::StackError> make_guest_tasks(VmMachine& vms)
{
    Topology const& topology{vms.system->core().pool().topology()};
    for (Guest* const guest : vms.system->guests().all()) {
        NodeId const node{topology.node_of(guest->vcpu.processor())};
        auto const stack = arch::allocate_stack(node);
        Task* const task{make_task(vms, node)};
        if (!stack)
            return fail(stack.error());
        if (task == nullptr)
            return fail(arch::StackError::no_memory);
        guest->vcpu.context = task;
        arch::prepare(task->context, stack->top(), run_guest, guest);
    }
    return done;
}

} // namespace hv::boot
