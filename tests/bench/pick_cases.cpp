// The `pick_cpu` hook for the vCPU that runs on pCPU 0, and the `tick` hook of that pCPU, most of which is such a pick.
#include "tests/bench/cases.hpp"

namespace hv::bench {

using sched::Prio;
using sched::Vcpu;

namespace {

struct Surroundings {
    char const* name;
    Others others;
};

std::string title(Surroundings const& around, Place place, unsigned pcpus)
{
    return std::string{around.name} + (place.node ? ", node affinity" : "") + ", P=" + std::to_string(pcpus);
}

void pick(Surroundings const& around, Place place, unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(around.others);
    Vcpu& vcpu{bench.run(0, place)};
    CpuId picked{};
    measure(
        Hooks::pick, "pick: " + title(around, place, pcpus), [] {}, [&] { picked = bench.pick(vcpu); },
        [&] { return around.others != Others::busy || picked == cpu(0); });
}

// Burns, takes the boost away, and picks: the vCPU is active and stays where it is.
void tick(Surroundings const& around, Place place, unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(around.others);
    Vcpu& vcpu{bench.run(0, place)};
    auto const tick_now = [&] { bench.timer(sched::timer::tick); };
    bench.advance(Duration::from_ms(10));
    tick_now(); // the first makes it active
    measure(
        Hooks::tick, "tick: " + title(around, place, pcpus),
        [&] {
            bench.advance(Duration::from_ms(10));
            credit_of(vcpu).set_prio(Prio::boost);
        },
        tick_now,
        [&] { return credit_of(vcpu).prio() == Prio::under && credit_of(vcpu).is_active() && vcpu.is_runnable(); });
}

} // namespace

void pick_and_tick_cases()
{
    constexpr Place anywhere{};
    constexpr Place on_first_node{.node = 0};
    for (Place const& place : {anywhere, on_first_node})
        for (Surroundings const& around : {Surroundings{"all other pCPUs busy", Others::busy},
                                           Surroundings{"every 2nd pCPU busy", Others::every_second_busy},
                                           Surroundings{"all other pCPUs idle", Others::idle}})
            for (unsigned const pcpus : machine_sizes)
                pick(around, place, pcpus);
    constexpr Surroundings all_busy{"all busy", Others::busy};
    constexpr Surroundings half_busy{"every 2nd pCPU busy", Others::every_second_busy};
    for (Surroundings const& around : {all_busy, half_busy}) {
        for (unsigned const pcpus : {16u, 64u, 256u})
            tick(around, anywhere, pcpus);
        tick(around, on_first_node, 16);
    }
}

} // namespace hv::bench
