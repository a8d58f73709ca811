// What a pCPU does in a scenario, after which it serves until nobody has anything to do. Floor: tests.
#pragma once

#include "tests/explorer/machine.hpp"
#include "tests/explorer/runtime/run.hpp"

namespace hv::explorer::programs {

using sched::Absence;
using sched::Domain;
using sched::Vcpu;

inline void nothing(Machine&, CpuId) {}

inline void reschedule(Machine& machine, CpuId self)
{
    machine.tickle(self);
    machine.serve(self);
}

// What runs here lets another one go first.
inline void yield(Machine& machine, CpuId self)
{
    Vcpu& current{*machine.core().pool().pcpu(self).current};
    if (!current.is_idle())
        machine.core().yield(self, current, machine.now());
    machine.serve(self);
}

// What runs here waits for an event; then, perhaps, something else runs.
inline void block(Machine& machine, CpuId self)
{
    Vcpu& current{*machine.core().pool().pcpu(self).current};
    if (!current.is_idle())
        static_cast<void>(machine.core().block(self, current, machine.now()));
    machine.serve(self);
}

inline void block_twice(Machine& machine, CpuId self)
{
    block(machine, self);
    block(machine, self);
}

template <unsigned Which>
void notify(Machine& machine, CpuId self)
{
    static_cast<void>(machine.core().notify(self, *machine.vcpus[Which], machine.now()));
    machine.serve(self);
}

inline void notify_both(Machine& machine, CpuId self)
{
    notify<0>(machine, self);
    notify<1>(machine, self);
}

template <unsigned Which, unsigned... Allowed>
void pin(Machine& machine, CpuId self)
{
    static_cast<void>(machine.core().set_hard_affinity(self, *machine.vcpus[Which], cpus({Allowed...}), machine.now()));
    machine.serve(self);
}

template <unsigned Which>
void pause_and_go_on(Machine& machine, CpuId self)
{
    machine.core().pause_nosync(self, *machine.vcpus[Which], machine.now());
    machine.core().unpause(self, *machine.vcpus[Which], machine.now());
    machine.serve(self);
}

template <unsigned Which>
void stop_and_go_on(Machine& machine, CpuId self)
{
    machine.core().pause_nosync(self, *machine.vcpus[Which], machine.now());
    machine.core().sleep_sync(self, *machine.vcpus[Which], machine.now());
    if (machine.vcpus[Which]->is_running())
        run().fail("it was to be stopped, and runs");
    machine.core().unpause(self, *machine.vcpus[Which], machine.now());
    machine.serve(self);
}

template <unsigned Which>
void leave(Machine& machine, CpuId self)
{
    static_cast<void>(machine.system().offline(self, cpu(Which), Absence::for_good, machine.now()));
    machine.serve(self);
}

template <unsigned Which>
void come_back(Machine& machine, CpuId self)
{
    static_cast<void>(machine.system().online(cpu(Which)));
    machine.serve(self);
}

template <unsigned Which>
void destroy(Machine& machine, CpuId self)
{
    if (Domain* const domain = machine.core().find(DomainId{Which + 1}))
        static_cast<void>(machine.core().destroy(self, *domain, machine.now()));
    machine.serve(self);
}

// The first vCPU of a domain that may have gone.
template <unsigned Which>
void find_and_notify(Machine& machine, CpuId self)
{
    if (Domain* const domain = machine.core().find(DomainId{Which + 1}))
        static_cast<void>(machine.core().notify(self, *machine.vcpus[0], machine.now()));
    machine.serve(self);
}

inline void uncap(Machine& machine, CpuId self)
{
    machine.core().set_params(*machine.domains[0], {.weight = 256, .cap = 0});
    machine.serve(self);
}

inline void account(Machine& machine, CpuId self)
{
    machine.disarm(self, sched::timer::accounting); // it has fired
    machine.system().timer(self, sched::timer::accounting, machine.now());
    machine.serve(self);
}

inline void uncap_and_account(Machine& machine, CpuId self)
{
    uncap(machine, self);
    account(machine, self);
}

inline void tick(Machine& machine, CpuId self)
{
    machine.system().timer(self, sched::timer::tick, machine.now());
    machine.serve(self);
}

} // namespace hv::explorer::programs
