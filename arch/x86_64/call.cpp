#include "arch/x86_64/call.hpp"

#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/percpu.hpp"

namespace hv::arch {
namespace {

// Leaves the call in the target's box as soon as that is empty.
void post(Percpu& target, Call const& call)
{
    Call const* empty{nullptr};
    // release: publishes the call. relaxed on failure: try again.
    while (!target.call.compare_exchange_weak(empty, &call, std::memory_order_release, std::memory_order_relaxed)) {
        empty = nullptr;
        relax();
    }
    apic_send(target.apic_id, Vector::call);
}

// acquire: what the function wrote is seen after the wait.
void wait_for(std::atomic<std::uint32_t> const& finished, std::uint32_t count)
{
    while (finished.load(std::memory_order_acquire) != count)
        relax();
}

void run_here(void (*function)(void*), void* argument)
{
    IrqSave const irqs;
    function(argument);
}

} // namespace

void call_on(CpuId cpu, void (*function)(void*), void* argument) noexcept
{
    if (cpu == this_cpu())
        return run_here(function, argument);
    std::atomic<std::uint32_t> finished{0};
    Call const call{function, argument, &finished};
    post(percpu(cpu), call);
    wait_for(finished, 1);
}

void call_on_all(void (*function)(void*), void* argument) noexcept
{
    std::atomic<std::uint32_t> finished{0};
    Call const call{function, argument, &finished};
    std::uint32_t posted{0};
    CpuId const self{this_cpu()};
    for (unsigned i = 0; i < pcpu_count(); ++i) {
        Percpu& target{percpu(CpuId{static_cast<CpuId::Rep>(i)})};
        if (target.id == self || !target.is_up.load(std::memory_order_acquire))
            continue;
        post(target, call);
        ++posted;
    }
    run_here(function, argument);
    wait_for(finished, posted);
}

void serve_calls() noexcept
{
    Percpu& self{this_percpu()};
    Call const* const posted{self.call.load(std::memory_order_acquire)};
    if (posted == nullptr)
        return;
    Call const call{*posted}; // It is gone as soon as `finished` says so.
    self.call.store(nullptr, std::memory_order_release);
    call.function(call.argument);
    call.finished->fetch_add(1, std::memory_order_release);
}

} // namespace hv::arch
