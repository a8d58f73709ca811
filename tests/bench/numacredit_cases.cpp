// The decisions of `numacredit`: upstream's cases where they mean the same, on machines of up to 4096 pCPUs. All states
// come about by wake-ups, blocks, slices that end and settings.
#include "tests/bench/cases.hpp"

#include <random>

namespace hv::bench {

using sched::Vcpu;

namespace {

constexpr std::array sizes{16u, 256u, 4096u};
constexpr Duration pause{Duration::from_ms(2)};

std::string on(unsigned pcpus) { return ", P=" + std::to_string(pcpus); }

// Slices that end, so that the next one's turn comes. A pCPU that shares must not get far from the others, which stand
// still here: so a few decisions, then a new machine. Each slice is longer than the last, so that all are in order.
class Rotation {
public:
    Rotation(unsigned pcpus, unsigned runnable) : runnable_{runnable}, bench_{pcpus}
    {
        bench_.occupy(Others::busy);
        for (unsigned i = 0; i < runnable; ++i) {
            Vcpu& vcpu{bench_.asleep(0, {.pinned = runnable > 2})}; // else the others would take them
            bench_.wake(vcpu);
            if (i == 0)
                bench_.reschedule(0);
        }
        for (unsigned i = 0; i < runnable + 2; ++i) {
            end_slice();
            decide();
        }
    }
    void end_slice()
    {
        step_ += Duration::from_us(1);
        bench_.advance(step_);
        before_ = &bench_.current(0);
    }
    void decide() { bench_.reschedule(0); }
    [[nodiscard]] bool has_rotated()
    {
        return !bench_.current(0).is_idle() && (&bench_.current(0) == before_) == (runnable_ == 1);
    }

private:
    unsigned runnable_;
    Bench bench_;
    Duration step_{Duration::from_ms(31)};
    Vcpu const* before_{nullptr};
};

void rotation(unsigned pcpus, unsigned runnable)
{
    constexpr unsigned decisions{5}; // a machine
    std::optional<Rotation> rotation;
    unsigned calls{0};
    measure(
        Hooks::schedule, "schedule: N=" + std::to_string(runnable) + " runnable with current: rotate" + on(pcpus),
        [&] {
            if (calls++ % decisions == 0)
                rotation.emplace(pcpus, runnable);
            rotation->end_slice();
        },
        [&] { rotation->decide(); }, [&] { return rotation->has_rotated(); });
}

void goes_on()
{
    Bench bench{16};
    bench.occupy(Others::busy);
    Vcpu const& running{bench.run(0)};
    bench.queue(0);
    measure(
        Hooks::schedule, "schedule: current inside its slice: continue", [&] { bench.advance(Duration::from_us(1)); },
        [&] { bench.reschedule(0); }, [&] { return &bench.current(0) == &running; });
}

// A vCPU of pCPU 0 wakes there and blocks again.
void leaving_idle_and_going_idle(unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(Others::busy);
    Vcpu& vcpu{bench.asleep(0)};
    auto const go_idle = [&] {
        bench.advance(pause);
        bench.block(vcpu);
    };
    auto const leave_idle = [&] {
        bench.advance(pause);
        bench.wake(vcpu);
    };
    measure(
        Hooks::schedule, "schedule: idle pCPU picks the one queued (just woken) vCPU" + on(pcpus),
        [&] {
            if (!bench.current(0).is_idle()) {
                go_idle();
                bench.reschedule(0);
            }
            leave_idle();
        },
        [&] { bench.reschedule(0); }, [&] { return &bench.current(0) == &vcpu; });
    measure(
        Hooks::schedule, "going idle" + on(pcpus),
        [&] {
            if (bench.current(0).is_idle()) {
                leave_idle();
                bench.reschedule(0);
            }
            go_idle();
        },
        [&] { bench.reschedule(0); }, [&] { return bench.current(0).is_idle(); });
}

void nothing_to_steal(unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(Others::busy);
    measure(
        Hooks::schedule, "balance: peers busy, their queues empty" + on(pcpus), [&] { bench.advance(pause); },
        [&] { bench.reschedule(0); }, [&] { return bench.current(0).is_idle(); });
}

// Each peer has somebody who waits and may not come: pinned to it, or kept to a random half of the machine.
void nobody_may_come(unsigned pcpus, bool pinned)
{
    Bench bench{pcpus};
    bench.occupy(Others::busy);
    std::mt19937_64 random{7};
    for (unsigned i = 1; i < pcpus; ++i) {
        Vcpu& vcpu{bench.asleep(i)};
        CpuMask mask{CpuMask::of(cpu(i))};
        for (unsigned other = 1; other < pcpus && !pinned; ++other)
            if (random() % 2 == 0)
                mask.set(cpu(other));
        bench.may_run_on(vcpu, mask);
        bench.wake(vcpu);
    }
    std::string const who{pinned ? "pinned to it" : "kept to a random half without the thief"};
    measure(
        Hooks::schedule, "balance: each peer has 1 queued vCPU " + who + on(pcpus), [&] { bench.advance(pause); },
        [&] { bench.reschedule(0); }, [&] { return bench.current(0).is_idle(); });
}

struct Situation {
    char const* name;
    bool home_busy;
    Others others;
    bool entitled{true}; // within its share, so that it is boosted
    Place place{};
};

constexpr Situation no_idlers_boosted{"no idlers, waker within its share", true, Others::busy};
constexpr std::array situations{
    no_idlers_boosted,
    Situation{"no idlers, waker beyond its share", true, Others::busy, false},
    Situation{"own pCPU idle", false, Others::every_second_busy},
    Situation{"own pCPU busy, every 2nd pCPU idle, no node affinity", true, Others::every_second_busy},
    Situation{
        "own pCPU busy, node affinity with idlers in the node", true, Others::every_second_busy, true, {.node = 0}},
    Situation{"node full, other node idle, node affinity", true, Others::first_node_busy, true, {.node = 0}},
};

void wake_up(Situation const& situation, unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(situation.others);
    Vcpu& vcpu{bench.asleep(0, situation.place)};
    auto const& state = *static_cast<sched::numacredit::VcpuState const*>(vcpu.policy_data);
    if (!situation.entitled) { // it runs longer than it may while others wait
        bench.wake(vcpu);
        bench.reschedule(0);
        bench.queue(0);
        bench.advance(Duration::from_ms(31));
        bench.block(vcpu);
        bench.reschedule(0);
    } else if (situation.home_busy) {
        bench.run(0, {.pinned = true}); // else it would make room for who has a home
    }
    measure(
        Hooks::wake_and_enqueue, std::string{"wake: "} + situation.name + on(pcpus),
        [&] {
            if (state.is_queued())
                bench.put_to_sleep(vcpu);
            bench.advance(situation.entitled ? Duration::from_ms(2) : Duration::from_us(1));
            if (std::optional<CpuId> const asked = bench.take_tickled())
                bench.reschedule(asked->value()); // finds nobody, and idles as before
        },
        [&] { bench.wake(vcpu); }, [&] { return state.is_queued() && state.is_boosted() == situation.entitled; });
}

void pick(char const* name, Others others, Place place, unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(others);
    Vcpu& vcpu{bench.run(0, place)};
    CpuId picked{};
    measure(
        Hooks::pick, std::string{"pick: "} + name + (place.node ? ", node affinity" : "") + on(pcpus), [] {},
        [&] { picked = bench.pick(vcpu); }, [&] { return others != Others::busy || picked == cpu(0); });
}

// Somewhere else would be better for the vCPU on pCPU 0, but there is no room.
void pick_away(Others others, char const* name, unsigned pcpus)
{
    Bench bench{pcpus};
    bench.occupy(others);
    Vcpu& vcpu{bench.run(0)};
    unsigned const home{bench.core().pool().topology().node_count() - 1};
    require(bench.core()
                .set_node_affinity(vcpu.domain, NodeMask::of(NodeId{static_cast<NodeId::Rep>(home)}), bench.now())
                .ok(),
            "start", "no such node");
    CpuId picked{};
    measure(
        Hooks::pick, std::string{"pick: away from home, "} + name + on(pcpus), [] {},
        [&] { picked = bench.pick(vcpu); },
        [&] { return bench.core().pool().topology().node_of(picked).value() == home; });
}

void account(unsigned vcpu_count, unsigned a_domain, std::uint16_t cap)
{
    Bench bench{16};
    std::vector<Vcpu*> vcpus;
    sched::Domain* domain{nullptr};
    for (unsigned i = 0; i < vcpu_count; ++i) {
        if (i % a_domain == 0) {
            domain = &bench.domain();
            bench.core().set_params(*domain, {.weight = 256, .cap = cap});
        }
        bench.wake(bench.vcpu(*domain, i % 16));
    }
    for (unsigned i = 0; i < 16; ++i)
        bench.reschedule(i);
    measure(
        Hooks::account,
        "accounting: " + std::to_string(vcpu_count) + " vCPUs in domains of " + std::to_string(a_domain) +
            (cap != 0 ? ", capped" : ""),
        [&] { bench.advance(Duration::from_ms(10)); }, [&] { bench.timer(sched::timer::accounting); },
        [] { return true; });
}

} // namespace

void numacredit_cases()
{
    for (unsigned const pcpus : {16u, 256u})
        for (unsigned const runnable : {1u, 2u, 8u, 32u})
            rotation(pcpus, runnable);
    goes_on();
    for (unsigned const pcpus : sizes) {
        leaving_idle_and_going_idle(pcpus);
        nothing_to_steal(pcpus);
        nobody_may_come(pcpus, true);
        nobody_may_come(pcpus, false);
        for (Situation const& situation : situations)
            wake_up(situation, pcpus);
        for (Place const& place : {Place{}, Place{.node = 0}}) {
            pick("all other pCPUs busy", Others::busy, place, pcpus);
            pick("every 2nd pCPU busy", Others::every_second_busy, place, pcpus);
            pick("all other pCPUs idle", Others::idle, place, pcpus);
        }
        pick_away(Others::busy, "all pCPUs busy", pcpus);
        pick_away(Others::first_node_busy, "home idle", pcpus);
    }
    for (unsigned const vcpus : {10u, 100u, 1000u}) {
        account(vcpus, 2, 0);
        account(vcpus, 2, 50);
    }
    account(1000, 1000, 50);
}

} // namespace hv::bench
