// The assembled scheduler of one machine: trace, pool, core, policy and guests, built in memory that the machine gives.
// What a machine calls when something happens is here, and it calls nothing else of sched/ on its own account:
//
//   pcpu_up(self)         this pCPU is up and runs its idle vCPU
//   timer(self, id)       a timer armed through Env fired
//   reschedule(self)      this pCPU was tickled; switch contexts if previous and next differ, then
//   context_saved(self)   the previous vCPU's context is saved
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

    // Takes `cpu` out of its pool, or back into it (one that is free, into the boot pool). Not at once: it does the
    // last steps itself, at its next reschedules, and is_off() says when it has left. Until it is asked back it idles
    // then, with no timer of the scheduler's armed, and only has to reschedule when it is tickled. Errors: last_pcpu;
    // busy, because it is on its way already, or not off.
    [[nodiscard]] Status<CoreError> offline(CpuId self, CpuId cpu, Absence absence, Instant now);
    [[nodiscard]] Status<CoreError> online(CpuId cpu);
    // The same for good: it is free then, and in no pool, until it is put into one. Errors: as those of offline().
    [[nodiscard]] Status<CoreError> remove_from_pool(CpuId self, CpuId cpu, Instant now);
    // A free pCPU only. Errors: busy (it is in a pool, off, or on its way), ending (no such pool), no_memory.
    [[nodiscard]] Status<CoreError> add_to_pool(CpuId cpu, PoolId pool);
    // A pool without domains ends, and its pCPUs become free; it is gone when the last of them has left. Errors:
    // in_use, ending (no such pool), busy (a pCPU is about to come).
    [[nodiscard]] Status<CoreError> destroy_pool(CpuId self, PoolId pool, Instant now);
    [[nodiscard]] bool is_free(CpuId cpu) const { return pool_.pcpu(cpu).phase.load() == PcpuPhase::free; }
    [[nodiscard]] bool is_off(CpuId cpu) const { return pool_.pcpu(cpu).phase.load() == PcpuPhase::off; }

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
        // relaxed: who writes it tickles this pCPU afterwards.
        if (pool_.pcpu(self).phase.load(std::memory_order_relaxed) != PcpuPhase::in_pool) [[unlikely]]
            come_or_go(self, result, now);
        return result;
    }

    void context_saved(CpuId self, Vcpu& previous, Instant now) { core_.context_saved(self, previous, now); }

private:
    struct Parts;

    System(arch::Env& env, SystemConfig const& config, Parts const& parts);
    [[nodiscard]] Status<CoreError> leave(CpuId self, CpuId cpu, Absence absence, bool for_good, Instant now);
    [[nodiscard]] bool has_gone(Pcpu& pcpu);
    void come_or_go(CpuId self, Switch const& change, Instant now);
    [[nodiscard]] static bool make_pcpus(arch::Env& env, trace::Mode mode, Parts& parts);

    trace::Tracer tracer_;
    Pool pool_;
    Core core_;
    guest::Guests guests_;
    Farewell farewell_;
};

} // namespace hv::sched
