// Sabotage: pCPUs that no longer answer, and errors that come from outside.
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/console.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

namespace hv::test {
namespace {

constinit std::atomic<bool> is_over{false};

[[gnu::noinline]] void never_answers()
{
    while (!is_over.load(std::memory_order_relaxed))
        arch::relax();
}

} // namespace

// Another pCPU spins with interrupts off; this one waits for it.
HV_SELFTEST(sabotage_stuck)
{
    arch::call_on(other_cpu(), [](void*) { never_answers(); }, nullptr);
}

// Waits for what the host injects.
HV_SELFTEST(sabotage_wait)
{
    arch::say("waiting");
    while (!is_over.load(std::memory_order_relaxed))
        arch::idle_once();
}

} // namespace hv::test
