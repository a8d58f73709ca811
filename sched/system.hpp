// The assembled scheduler of one machine: trace, pool, core, policy and guests, built in memory that the machine gives.
// What a machine calls when something happens is here, and it calls nothing else of sched/ on its own account:
//
//   pcpu_up(self)         this pCPU is up and runs its idle vCPU
//   timer(self, id)       a timer armed through Env fired
//   reschedule(self)      this pCPU was tickled; switch contexts if previous and next differ, then
//   context_saved(self)   the previous vCPU's context is saved
//   pcpu_off(self)        this pCPU has left the pool (Core::pcpu_down) and takes its leave: nothing of the scheduler's
//                         is armed on it any more. It still reschedules when tickled; pcpu_up brings it back
//
// All with interrupts off and no lock held. Floor: sched.
#pragma once

#include "sched/core.hpp"
#include "sched/guest/guests.hpp"

namespace hv::sched {

struct SystemConfig {
    PolicyOps const* policy;
    std::uint32_t guest_limit; // vCPUs that may be added, over all domains
    guest::Driver driver;
    Duration context_switch; // charged to a vCPU's progress after a switch, on top of what the machine itself takes
    std::uint32_t trace_mask{trace::mask_all};
    trace::Mode trace_mode{trace::Mode::drop};
};

class System {
public:
    // Lives as long as the machine. Made before any pCPU is up; `self` is where it is made.
    [[nodiscard]] static Result<System*, CoreError> create(arch::Env& env, SystemConfig const& config);

    System(System const&) = delete;
    System& operator=(System const&) = delete;

    [[nodiscard]] Core& core() { return core_; }
    [[nodiscard]] guest::Guests& guests() { return guests_; }
    [[nodiscard]] trace::Tracer& tracer() { return tracer_; }

    // Of whoever hangs something on domains and vCPUs; before the first one.
    void set_farewell(Farewell farewell) { farewell_ = farewell; }

    void pcpu_up(CpuId self, Instant now) { core_.pcpu_up(self, now); }
    void pcpu_off(CpuId self);

    void timer(CpuId self, TimerId id, Instant now)
    {
        if (!core_.timer(self, id, now))
            static_cast<void>(guests_.timer(self, id, now));
    }

    [[nodiscard]] Switch reschedule(CpuId self, Instant now)
    {
        Switch const result{core_.schedule(self, now)};
        if (result.previous != result.next)
            guests_.switched(self, *result.previous, *result.next, now);
        return result;
    }

    void context_saved(CpuId self, Vcpu& previous, Instant now) { core_.context_saved(self, previous, now); }

private:
    struct Parts;

    System(arch::Env& env, SystemConfig const& config, Parts const& parts);
    [[nodiscard]] static bool make_pcpus(arch::Env& env, trace::Mode mode, Parts& parts);

    trace::Tracer tracer_;
    Pool pool_;
    Core core_;
    guest::Guests guests_;
    Farewell farewell_;
};

} // namespace hv::sched
