// The `schedule` hook: rotation, blocking, rate limit, going idle, and load balancing. Of the latter, what upstream
// measures alone is counted here with the decision round it, since a policy has no hook for it.
#include "tests/bench/cases.hpp"

namespace hv::bench {

using sched::Prio;
using sched::Vcpu;

namespace {

constexpr Duration beyond_rate_limit{Duration::from_ms(2)};

void rotation(Prio prio, unsigned runnable, std::string const& name)
{
    Bench bench{16};
    bench.occupy(Others::busy);
    Vcpu& first{bench.run(0)};
    for (unsigned i = 1; i < runnable; ++i)
        credit_of(bench.queue(0)).set_prio(prio);
    credit_of(first).set_prio(prio);
    Vcpu const* before{nullptr};
    measure(
        Hooks::schedule, "schedule: N=" + std::to_string(runnable) + name,
        [&] {
            bench.advance(beyond_rate_limit);
            before = &bench.current(0);
        },
        [&] { bench.reschedule(0); },
        [&] { return !bench.current(0).is_idle() && (&bench.current(0) == before) == (runnable == 1); });
}

void blocking(unsigned others)
{
    Bench bench{16};
    bench.occupy(Others::busy);
    Vcpu* blocked{nullptr};
    bench.run(0);
    for (unsigned i = 0; i < others; ++i)
        bench.queue(0);
    measure(
        Hooks::schedule, "schedule: current blocks, " + std::to_string(others) + " others UNDER",
        [&] {
            if (blocked != nullptr)
                bench.wake_at_the_tail(*blocked);
            blocked = &bench.current(0);
            bench.advance(beyond_rate_limit);
            bench.block(*blocked);
        },
        [&] { bench.reschedule(0); }, [&] { return !bench.current(0).is_idle() && &bench.current(0) != blocked; });
}

void rate_limit()
{
    Bench bench{16};
    bench.occupy(Others::busy);
    Vcpu const& running{bench.run(0)};
    bench.queue(0);
    measure(
        Hooks::schedule, "schedule: current inside its rate limit: continue",
        [&] { bench.advance(Duration::from_us(1)); }, [&] { bench.reschedule(0); },
        [&] { return &bench.current(0) == &running; });
}

void leaving_idle()
{
    Bench bench{16};
    bench.occupy(Others::busy);
    Vcpu& vcpu{bench.asleep(0)};
    measure(
        Hooks::schedule, "schedule: idle pCPU picks the one queued (just woken) vCPU",
        [&] {
            if (&bench.current(0) == &vcpu) {
                bench.block(vcpu);
                bench.reschedule(0);
            }
            bench.advance(beyond_rate_limit);
            bench.wake(vcpu);
        },
        [&] { bench.reschedule(0); }, [&] { return &bench.current(0) == &vcpu; });
}

void going_idle(unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(Others::busy);
    Vcpu& vcpu{bench.asleep(0)};
    measure(
        Hooks::schedule, "going idle: P=" + std::to_string(pcpus),
        [&] {
            bench.wake(vcpu);
            bench.reschedule(0);
            bench.advance(beyond_rate_limit);
            bench.block(vcpu);
        },
        [&] { bench.reschedule(0); }, [&] { return bench.current(0).is_idle(); });
}

// Peers have `queued` vCPUs each that may run nowhere else.
void fruitless_balance(unsigned pcpus, unsigned queued, bool with_preference, std::string const& name)
{
    Bench bench{pcpus};
    bench.occupy(Others::busy);
    for (unsigned i = 1; i < pcpus; ++i)
        for (unsigned n = 0; n < queued; ++n) {
            unsigned const node{bench.core().pool().topology().node_of(cpu(i)).value()};
            bench.queue(i, {.node = with_preference ? std::optional{node} : std::nullopt, .pinned = true});
        }
    measure(
        Hooks::schedule, "balance: " + name + ", P=" + std::to_string(pcpus), [&] { bench.advance(beyond_rate_limit); },
        [&] { bench.reschedule(0); }, [&] { return bench.current(0).is_idle(); });
}

void steal_from_the_last(unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(Others::busy);
    Vcpu& vcpu{bench.asleep(pcpus - 1)};
    measure(
        Hooks::schedule, "balance: one stealable vCPU on the last peer, P=" + std::to_string(pcpus),
        [&] {
            if (&bench.current(0) == &vcpu) {
                bench.block(vcpu);
                bench.reschedule(0);
                vcpu.set_processor(cpu(pcpus - 1)); // it sleeps, so all it takes to be back is to say so
            }
            bench.advance(beyond_rate_limit);
            bench.wake_at_the_tail(vcpu);
        },
        [&] { bench.reschedule(0); }, [&] { return &bench.current(0) == &vcpu; });
}

} // namespace

void schedule_cases()
{
    for (unsigned const runnable : {1u, 2u, 8u, 32u})
        rotation(Prio::under, runnable, " runnable with current, all UNDER: rotate");
    for (unsigned const runnable : {1u, 2u, 8u, 32u})
        rotation(Prio::over, runnable, " runnable, all OVER: rotate, full balance scan");
    for (unsigned const others : {1u, 7u, 31u})
        blocking(others);
    rate_limit();
    leaving_idle();
    for (unsigned const pcpus : machine_sizes)
        going_idle(pcpus);
    for (unsigned const pcpus : machine_sizes) {
        fruitless_balance(pcpus, 0, false, "peers busy, their queues empty");
        fruitless_balance(pcpus, 1, false, "each peer has 1 queued vCPU pinned to it");
        fruitless_balance(pcpus, 1, true, "each peer has 1 queued vCPU pinned to it, node affinity");
        fruitless_balance(pcpus, 4, false, "each peer has 4 queued pinned");
        steal_from_the_last(pcpus);
    }
}

} // namespace hv::bench
