// Helpers of the in-kernel self-tests. Floor: tests (kernel).
#pragma once

#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/timers.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "boot/kernel.hpp"

namespace hv::test {

// Installs up-calls for as long as a test runs, and restores what was there.
class UpCallsScope {
public:
    [[nodiscard]] explicit UpCallsScope(arch::UpCalls const& calls) : before_{arch::installed_up_calls()}
    {
        arch::install_up_calls(&calls);
    }
    ~UpCallsScope() { arch::install_up_calls(before_); }
    UpCallsScope(UpCallsScope const&) = delete;
    UpCallsScope& operator=(UpCallsScope const&) = delete;

private:
    arch::UpCalls const* before_;
};

// Up-calls of tests ignore this timer: it only ends halts.
inline constexpr TimerId alarm_timer{4000};

// Halts until the condition holds; false after `limit`. Interrupts on before and after.
template <typename Condition>
[[nodiscard]] bool wait_until(Condition condition, Duration limit = Duration::from_ms(2000))
{
    Instant const end{arch::clock_now() + limit};
    for (;;) {
        arch::irqs_disable(); // Before arming, or the alarm may have come and gone when we halt.
        arch::timer_arm(arch::this_cpu(), alarm_timer, arch::clock_now() + Duration::from_ms(1));
        bool const holds = condition();
        bool const is_late = arch::clock_now() >= end;
        if (!holds && !is_late) {
            arch::enable_and_halt();
            continue;
        }
        arch::irqs_enable();
        arch::timer_disarm(arch::this_cpu(), alarm_timer);
        return holds;
    }
}

// Those that run, numbers 0 and up; arch::pcpu_count() has room for those that may be plugged in as well.
[[nodiscard]] inline unsigned pcpus_up() { return boot::kernel().topology->online.count(); }

// A pCPU other than the caller's, as far away in number as there is; the caller's own on a machine with one.
[[nodiscard]] inline CpuId other_cpu()
{
    auto const last = static_cast<CpuId::Rep>(pcpus_up() - 1);
    return arch::this_cpu() == CpuId{last} ? CpuId{0} : CpuId{last};
}

[[nodiscard]] inline mm::PageAllocator& pages() { return *boot::kernel().pages; }

// With the pCPUs' caches empty, so that equal states have equal figures.
[[nodiscard]] inline mm::NodeStats page_stats(NodeId node)
{
    arch::IrqSave const irqs;
    pages().drain_caches();
    return pages().stats(node);
}
[[nodiscard]] inline std::uint64_t free_pages(NodeId node) { return page_stats(node).free; }

} // namespace hv::test
