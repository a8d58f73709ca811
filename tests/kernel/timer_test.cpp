// Timers over the real hardware: order, deadlines, other pCPUs.
#include "arch/x86_64/chopper.hpp"
#include "arch/x86_64/features.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <array>

namespace hv::test {
namespace {

constexpr std::size_t log_size = 64;

// What fired, in order of delivery. One pCPU writes at a time: all timers of a test are armed for the same one.
struct FiringLog {
    std::array<Instant, log_size> deadlines{};
    std::array<TimerId::Rep, log_size> ids{};
    std::atomic<unsigned> count{0};
    std::atomic<unsigned> early{0};
    std::atomic<unsigned> misplaced{0};
    CpuId expected_on{};
};

void record(void* self, CpuId cpu, TimerId timer, Instant now)
{
    if (timer == alarm_timer)
        return;
    FiringLog& log{*static_cast<FiringLog*>(self)};
    if (cpu != log.expected_on || cpu != arch::this_cpu() || !arch::irqs_are_off())
        log.misplaced.fetch_add(1);
    if (now < log.deadlines[timer.value()])
        log.early.fetch_add(1);
    log.ids[log.count.load() % log_size] = timer.value();
    log.count.fetch_add(1);
}

// Deadlines in an order that is neither that of ids nor sorted; timers 3 and 4 share one.
constexpr std::array<std::int64_t, 8> delays_us{900, 300, 700, 500, 500, 100, 1100, 200};
constexpr std::array<TimerId::Rep, 8> firing_order{5, 7, 1, 3, 4, 2, 0, 6};

// Arms all of them; false if that took so long that the first may have fired before the last was armed.
bool arm_all(FiringLog& log)
{
    Instant const base{arch::clock_now() + Duration::from_ms(2)};
    for (TimerId::Rep id = 0; id < delays_us.size(); ++id) {
        log.deadlines[id] = base + Duration::from_us(delays_us[id]);
        arch::timer_arm(log.expected_on, TimerId{id}, log.deadlines[id]);
    }
    return arch::clock_now() < base;
}

bool fires_in_order(CpuId cpu)
{
    constexpr unsigned attempts = 100; // A loaded host may stop us in the middle, again and again.
    FiringLog log;
    log.expected_on = cpu;
    arch::UpCalls const calls{.self = &log, .timer = record};
    UpCallsScope const scope{calls};
    for (unsigned i = 0; i < attempts; ++i) {
        log.count.store(0);
        bool const in_time = arm_all(log);
        if (!wait_until([&] { return log.count.load() >= delays_us.size(); }))
            return false;
        if (in_time)
            break;
    }
    if (log.count.load() != delays_us.size())
        return false;
    for (std::size_t i = 0; i < firing_order.size(); ++i)
        if (log.ids[i] != firing_order[i])
            return false;
    return log.early.load() == 0 && log.misplaced.load() == 0;
}

} // namespace

HV_SELFTEST(timers_fire_in_order_and_never_early) { HV_CHECK(fires_in_order(arch::this_cpu())); }

HV_SELFTEST(timers_armed_for_a_halted_pcpu_fire_there)
{
    if (pcpus_up() == 1)
        HV_SKIP("one pCPU");
    HV_CHECK(fires_in_order(other_cpu()));
}

HV_SELFTEST(timers_disarmed_or_moved_do_not_fire_at_their_old_time)
{
    FiringLog log;
    log.expected_on = arch::this_cpu();
    arch::UpCalls const calls{.self = &log, .timer = record};
    UpCallsScope const scope{calls};
    arch::irqs_disable(); // So that nothing fires before it is disarmed, however slow the host is.
    Instant const soon{arch::clock_now() + Duration::from_ms(1)};
    arch::timer_arm(arch::this_cpu(), TimerId{0}, soon);
    arch::timer_arm(arch::this_cpu(), TimerId{1}, soon);
    log.deadlines[1] = soon + Duration::from_ms(2);
    arch::timer_arm(arch::this_cpu(), TimerId{1}, log.deadlines[1]);
    arch::timer_disarm(arch::this_cpu(), TimerId{0});
    arch::timer_disarm(arch::this_cpu(), TimerId{2}); // never armed
    arch::irqs_enable();
    HV_CHECK(!wait_until([&] { return log.count.load() > 1; }, Duration::from_ms(8)));
    HV_CHECK(log.count.load() == 1);
    HV_CHECK(log.ids[0] == 1);
    HV_CHECK(log.early.load() == 0);
}

HV_SELFTEST(timers_in_the_past_fire_only_when_interrupts_are_on)
{
    FiringLog log;
    log.expected_on = arch::this_cpu();
    arch::UpCalls const calls{.self = &log, .timer = record};
    UpCallsScope const scope{calls};
    arch::irqs_disable();
    arch::timer_arm(arch::this_cpu(), TimerId{7}, Instant{});
    for (unsigned i = 0; i < 10; ++i)
        arch::relax();
    bool const fired_at_once = log.count.load() != 0;
    arch::irqs_enable();
    HV_CHECK(!fired_at_once);
    HV_CHECK(wait_until([&] { return log.count.load() == 1; }));
}

HV_SELFTEST(timers_longer_than_the_hardware_counts_are_not_early)
{
    if (boot::kernel().options.khz != 1'000'000 || !arch::is_qemu_tcg())
        HV_SKIP("takes 10 s unless QEMU counts instructions");
    FiringLog log;
    log.expected_on = arch::this_cpu();
    arch::UpCalls const calls{.self = &log, .timer = record};
    UpCallsScope const scope{calls};
    arch::ChopperPause const pause;
    log.deadlines[2] = arch::clock_now() + Duration::from_ms(10'000);
    arch::timer_arm(arch::this_cpu(), TimerId{2}, log.deadlines[2]);
    while (log.count.load() == 0 && arch::clock_now() < log.deadlines[2] + Duration::from_ms(10))
        arch::idle_once();
    HV_CHECK(log.count.load() == 1);
    HV_CHECK(log.early.load() == 0);
    HV_CHECK(arch::clock_now() < log.deadlines[2] + Duration::from_ms(1));
}

HV_SELFTEST(timers_with_large_ids_have_nodes_of_their_own)
{
    FiringLog log;
    log.expected_on = arch::this_cpu();
    arch::UpCalls const calls{.self = &log, .timer = [](void* self, CpuId, TimerId timer, Instant) {
                                  if (timer == TimerId{50'000} || timer == TimerId{50'000 - 64})
                                      static_cast<FiringLog*>(self)->count.fetch_add(1);
                              }};
    UpCallsScope const scope{calls};
    Instant const soon{arch::clock_now() + Duration::from_us(300)};
    arch::timer_arm(arch::this_cpu(), TimerId{50'000}, soon);
    arch::timer_arm(arch::this_cpu(), TimerId{50'000 - 64}, soon);
    HV_CHECK(wait_until([&] { return log.count.load() == 2; }));
}

} // namespace hv::test
