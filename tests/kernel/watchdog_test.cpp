// The watchdog on pCPUs that are alive, and machine checks.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/chopper.hpp"
#include "arch/x86_64/exceptions.hpp"
#include "arch/x86_64/features.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

std::uint32_t beats_of(CpuId cpu) { return arch::percpu(cpu).watched.beats.load(); }

void check_switch(void* argument)
{
    constexpr std::uint64_t cr4_machine_check = 1u << 6;
    static_cast<std::atomic<unsigned>*>(argument)->fetch_add((arch::read_cr4() & cr4_machine_check) != 0 ? 1u : 0u);
}

} // namespace

HV_SELFTEST(watchdog_every_pcpu_gives_signs_of_life)
{
    if (boot::kernel().options.watchdog_ms == 0 || pcpus_up() == 1)
        HV_SKIP("nobody watches");
    for (unsigned i = 0; i < pcpus_up(); ++i) {
        arch::Percpu const& block{arch::percpu(CpuId{static_cast<CpuId::Rep>(i)})};
        HV_CHECK(beats_of(block.id) != 0);
        HV_CHECK(block.watched.due != arch::never);
        HV_CHECK(block.watched.strikes == 0);
    }
    if (!arch::is_qemu_tcg() || boot::kernel().options.khz != 1'000'000)
        return; // Seconds, and this is about every beat.
    CpuId const other{other_cpu()};
    arch::ChopperPause const pause;
    std::uint32_t const before{beats_of(other)};
    Duration const limit{Duration::from_ms(boot::kernel().options.watchdog_ms)};
    Instant const end{arch::clock_now() + limit};
    arch::timer_arm(arch::this_cpu(), alarm_timer, end);
    while (arch::clock_now() < end)
        arch::idle_once();
    HV_CHECK(beats_of(other) - before >= 3 && beats_of(other) - before <= 5);
}

HV_SELFTEST(watchdog_suspicion_of_a_live_pcpu_is_harmless)
{
    CpuId const other{other_cpu()};
    if (other == arch::this_cpu())
        HV_SKIP("takes two pCPUs");
    arch::Watched const& watched{arch::percpu(other).watched};
    for (unsigned i = 0; i < 3; ++i) {
        arch::watchdog_suspect(other);
        HV_CHECK(wait_until([&] { return !watched.is_suspected.load(); }));
    }
    std::atomic<unsigned> answers{0};
    arch::call_on(other, [](void* count) { static_cast<std::atomic<unsigned>*>(count)->fetch_add(1); }, &answers);
    HV_CHECK(answers.load() == 1);
    HV_CHECK(watched.strikes == 0);
}

HV_SELFTEST(machine_checks_are_reported_by_every_pcpu)
{
    constexpr std::uint32_t exception = 1u << 7, architecture = 1u << 14;
    if ((~arch::cpuid(1).edx & (exception | architecture)) != 0)
        HV_SKIP("the processor has no machine checks");
    std::atomic<unsigned> count{0};
    arch::call_on_all(check_switch, &count);
    HV_CHECK(count.load() == pcpus_up());
    // The way into the handler, on its own stack.
    HV_CHECK(arch::expect_fault(
                 arch::Vector::machine_check,
                 [](void*) {
                     asm volatile("int $18" ::: "memory");
                 },
                 nullptr)
                 .faulted);
}

} // namespace hv::test
