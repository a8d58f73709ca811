// The `wake` hook alone, which is what upstream calls tickling, and with `enqueue`, which makes it a whole wake-up.
// Waker and woken are at home on pCPU 0.
#include "tests/bench/cases.hpp"

#include <string_view>

namespace hv::bench {

using sched::Prio;
using sched::Vcpu;

namespace {

constexpr Place on_first_node{.node = 0};

enum class Tickled : std::uint8_t { nobody, home, idler_of_first_node, idler_of_other_node, any_idler };

struct Situation {
    std::string_view name;
    Tickled tickled;
    unsigned pcpus;
    bool home_busy;
    Others others;
    Place place{};
    Prio waker{Prio::under}; // UNDER: it is boosted
    unsigned queued{0};      // UNDER, on the vCPU's pCPU
};

using enum Tickled;

constexpr std::array situations{
    Situation{"own pCPU idle", home, 16, false, Others::every_second_busy},
    Situation{"own pCPU busy, every 2nd pCPU idle, no node affinity", any_idler, 16, true, Others::every_second_busy},
    Situation{"own pCPU busy, node affinity with idlers in the node", idler_of_first_node, 16, true,
              Others::every_second_busy, on_first_node},
    Situation{"node full, other node idle, node affinity", idler_of_other_node, 16, true, Others::first_node_busy,
              on_first_node},
    Situation{"no idlers, BOOST waker vs UNDER current", home, 16, true, Others::busy},
    Situation{"no idlers, OVER waker", nobody, 16, true, Others::busy, {}, Prio::over},
};
constexpr std::array more_situations{
    Situation{"preempt, 7 UNDER queued before", home, 16, true, Others::busy, {}, Prio::under, 7},
    Situation{"preempt, 31 UNDER queued before", home, 16, true, Others::busy, {}, Prio::under, 31},
    Situation{"OVER waker, 7 UNDER queued before", nobody, 16, true, Others::busy, {}, Prio::over, 7},
    Situation{"OVER waker, 31 UNDER queued before", nobody, 16, true, Others::busy, {}, Prio::over, 31},
    Situation{"busy/idlers, P=256", any_idler, 256, true, Others::every_second_busy},
    Situation{"node full, P=256", idler_of_other_node, 256, true, Others::first_node_busy, on_first_node},
};

bool is_right(Tickled expected, std::optional<CpuId> tickled, Bench& bench)
{
    if (expected == nobody || !tickled)
        return expected == nobody && !tickled;
    bool const at_home{*tickled == cpu(0)};
    bool const in_first_node{bench.core().pool().topology().node_of(*tickled) == NodeId{0}};
    bool const idles{bench.current(tickled->value()).is_idle()};
    switch (expected) {
    case nobody:
        return false;
    case home:
        return at_home;
    case idler_of_first_node:
        return idles && in_first_node;
    case idler_of_other_node:
        return idles && !in_first_node;
    case any_idler:
        return idles && !at_home;
    }
    return false;
}

void wake_up(Hooks hooks, std::string const& group, Situation const& situation)
{
    Bench bench{situation.pcpus};
    bench.occupy(situation.others);
    if (situation.home_busy)
        bench.run(0);
    for (unsigned i = 0; i < situation.queued; ++i)
        bench.queue(0);
    Vcpu& vcpu{bench.asleep(0, situation.place)};
    measure(
        hooks, group + std::string{situation.name},
        [&] {
            if (credit_of(vcpu).is_queued())
                bench.put_to_sleep(vcpu);
            bench.advance(Duration::from_ms(2));
            credit_of(vcpu).set_prio(situation.waker);
            static_cast<void>(bench.take_tickled());
        },
        [&] { bench.wake(vcpu); },
        [&] {
            Prio const expected{situation.waker == Prio::under ? Prio::boost : situation.waker};
            return credit_of(vcpu).is_queued() && credit_of(vcpu).prio() == expected &&
                   is_right(situation.tickled, bench.take_tickled(), bench);
        });
}

void sleep_of_a_queued_vcpu()
{
    Bench bench{16};
    bench.occupy(Others::busy);
    bench.run(0);
    Vcpu& vcpu{bench.asleep(0)};
    measure(
        Hooks::sleep, "wake: sleep of a queued vCPU", [&] { bench.wake_at_the_tail(vcpu); },
        [&] { bench.put_to_sleep(vcpu); }, [&] { return !credit_of(vcpu).is_queued(); });
}

} // namespace

void wake_cases()
{
    for (Situation const& situation : situations)
        wake_up(Hooks::wake_and_enqueue, "wake: ", situation);
    for (Situation const& situation : more_situations)
        wake_up(Hooks::wake_and_enqueue, "wake: ", situation);
    sleep_of_a_queued_vcpu();
    for (Situation const& situation : situations)
        wake_up(Hooks::wake, "tickle: ", situation);
}

} // namespace hv::bench
