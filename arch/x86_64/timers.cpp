#include "arch/x86_64/timers.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "arch/x86_64/watchdog.hpp"

namespace hv::arch {
namespace {

constexpr unsigned chunk_order = 0;
static_assert(sizeof(TimerQueue::Chunk) <= page_size << chunk_order);

// Makes sure of a node before the queue's lock is taken: the allocator's locks come earlier in the order.
void ensure_node(Percpu& owner, TimerId timer)
{
    if (owner.timers.has_node(timer))
        return;
    std::optional<PhysAddr> const page{allocate_zeroed_pages(owner.node, chunk_order)};
    HV_ASSERT(page.has_value()); // A machine without 4 KiB left cannot go on.
    if (!owner.timers.add_chunk(timer, *direct_map<TimerQueue::Chunk>(*page)))
        release_pages(*page, chunk_order);
}

// Removes the first timer if it is due at `now` and was armed before `sequence_limit`.
std::optional<TimerId> take_due(TimerQueue& queue, Instant now, std::uint64_t sequence_limit)
{
    Guard const guard{queue.lock(), irqs_off};
    TimerNode const* const first{queue.first()};
    if (first == nullptr || first->deadline > now || first->sequence >= sequence_limit)
        return std::nullopt;
    return queue.take_first();
}

// For the calling pCPU's next timer, or the watchdog if that comes first.
void start_hardware(Percpu const& self, Instant deadline)
{
    Instant const next{deadline < self.watched.due ? deadline : self.watched.due};
    if (next == never)
        apic_timer_stop();
    else
        apic_timer_start(next - clock_now());
}

void set_hardware(Percpu& self)
{
    Guard const guard{self.timers.lock(), irqs_off};
    TimerNode const* const first{self.timers.first()};
    start_hardware(self, first != nullptr ? first->deadline : never);
}

} // namespace

void timer_arm(CpuId cpu, TimerId timer, Instant deadline) noexcept
{
    IrqSave const irqs;
    Percpu& owner{percpu(cpu)};
    ensure_node(owner, timer);
    bool is_first{false};
    {
        Guard const guard{owner.timers.lock(), irqs_off};
        is_first = owner.timers.arm(timer, deadline);
        if (is_first && &owner == &this_percpu())
            start_hardware(owner, deadline);
    }
    if (is_first && &owner != &this_percpu())
        apic_send(owner.apic_id, Vector::timer);
}

void timer_disarm(CpuId cpu, TimerId timer) noexcept
{
    IrqSave const irqs;
    Percpu& owner{percpu(cpu)};
    Guard const guard{owner.timers.lock(), irqs_off};
    // The hardware may be left set too early: one interrupt that finds nothing due.
    owner.timers.disarm(timer);
}

void timers_interrupt() noexcept
{
    Percpu& self{this_percpu()};
    Instant const now{clock_now()};
    if (now >= self.watched.due)
        watchdog_beat(now);
    std::uint64_t sequence_limit{0};
    {
        // A timer armed from here on waits for the next interrupt, or an owner that always arms in the past would never
        // let this one end.
        Guard const guard{self.timers.lock(), irqs_off};
        sequence_limit = self.timers.next_sequence();
    }
    while (std::optional<TimerId> const due{take_due(self.timers, now, sequence_limit)}) {
        UpCalls const* const calls{installed_up_calls()};
        if (calls != nullptr && calls->timer != nullptr)
            calls->timer(calls->self, self.id, *due, now);
    }
    set_hardware(self);
}

void timers_restart() noexcept { set_hardware(this_percpu()); }

} // namespace hv::arch
