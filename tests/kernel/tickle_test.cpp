// Requests to reschedule.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

namespace hv::test {
namespace {

struct Reschedules {
    std::array<std::atomic<unsigned>, arch::max_pcpus> count{};
    std::atomic<unsigned> misplaced{0};
    std::atomic<unsigned> timers_before{0}; // timers delivered when the first reschedule came
    std::atomic<unsigned> timers{0};
};

void on_reschedule(void* self, CpuId cpu, Instant)
{
    Reschedules& r{*static_cast<Reschedules*>(self)};
    if (cpu != arch::this_cpu() || !arch::irqs_are_off() || arch::this_percpu().asked_to_reschedule.load())
        r.misplaced.fetch_add(1);
    r.timers_before.store(r.timers.load());
    r.count[cpu.value()].fetch_add(1);
}

} // namespace

HV_SELFTEST(tickle_reaches_every_halted_pcpu)
{
    static constinit Reschedules seen;
    arch::UpCalls const calls{.self = &seen, .reschedule = on_reschedule};
    UpCallsScope const scope{calls};
    for (unsigned i = 0; i < pcpus_up(); ++i) {
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        if (cpu == arch::this_cpu())
            continue;
        arch::Env{}.tickle(cpu);
        HV_CHECK(wait_until([&] { return seen.count[i].load() == 1; }));
    }
    HV_CHECK(seen.misplaced.load() == 0);
    HV_CHECK(seen.count[arch::this_cpu().value()].load() == 0);
}

HV_SELFTEST(tickle_of_oneself_is_served_before_interrupts_are_on)
{
    static constinit Reschedules seen;
    arch::UpCalls const calls{.self = &seen, .reschedule = on_reschedule};
    UpCallsScope const scope{calls};
    std::atomic<unsigned> const& count{seen.count[arch::this_cpu().value()]};
    arch::irqs_disable();
    arch::Env{}.tickle(arch::this_cpu());
    arch::Env{}.tickle(arch::this_cpu());
    unsigned const before{count.load()};
    arch::reschedule_if_asked();
    unsigned const after{count.load()};
    arch::reschedule_if_asked();
    arch::irqs_enable();
    HV_CHECK(before == 0);
    HV_CHECK(after == 1);
    HV_CHECK(count.load() == 1);
    HV_CHECK(seen.misplaced.load() == 0);
}

HV_SELFTEST(tickle_from_a_timer_is_served_after_all_due_timers)
{
    static constinit Reschedules seen;
    arch::UpCalls const calls{.self = &seen,
                              .timer =
                                  [](void* self, CpuId cpu, TimerId timer, Instant) {
                                      if (timer == alarm_timer)
                                          return;
                                      static_cast<Reschedules*>(self)->timers.fetch_add(1);
                                      arch::Env{}.tickle(cpu);
                                  },
                              .reschedule = on_reschedule};
    UpCallsScope const scope{calls};
    arch::irqs_disable();
    Instant const soon{arch::clock_now() + Duration::from_us(100)};
    for (TimerId::Rep id = 0; id < 3; ++id)
        arch::timer_arm(arch::this_cpu(), TimerId{id}, soon);
    while (arch::clock_now() < soon + Duration::from_us(100))
        arch::relax();
    arch::irqs_enable();
    HV_CHECK(wait_until([&] { return seen.timers.load() == 3; }));
    HV_CHECK(seen.timers_before.load() == 3);
    HV_CHECK(seen.count[arch::this_cpu().value()].load() == 1);
}

} // namespace hv::test
