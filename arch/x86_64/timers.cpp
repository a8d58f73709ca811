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

// Before the queue's lock is taken: the allocator's locks come earlier in the order.
void make_node(Percpu& owner, TimerId timer)
{
    std::optional<PhysAddr> const page{allocate_zeroed_pages(owner.node, chunk_order)};
    HV_ASSERT(page.has_value()); // A machine without 4 KiB left cannot go on.
    if (!owner.timers.add_chunk(timer, *direct_map<TimerQueue::Chunk>(*page)))
        release_pages(*page, chunk_order);
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

// The timer to serve next: the first, if it is due at `now` and was armed before this interrupt, whose first call sets
// `sequence_limit`. (Else an owner that always arms in the past would never let it end.) With none left, the hardware
// is set for the one after.
std::optional<TimerId> next_due(Percpu& self, Instant now, std::optional<std::uint64_t>& sequence_limit)
{
    Guard const guard{self.timers.lock(), irqs_off};
    if (!sequence_limit)
        sequence_limit = self.timers.next_sequence();
    TimerNode const* const first{self.timers.first()};
    if (first != nullptr && first->deadline <= now && first->sequence < *sequence_limit)
        return self.timers.take_first();
    start_hardware(self, first != nullptr ? first->deadline : never);
    return std::nullopt;
}

} // namespace

void timer_arm(CpuId cpu, TimerId timer, Instant deadline) noexcept
{
    IrqSave const irqs;
    Percpu& owner{percpu(cpu)};
    bool const is_own{&owner == &this_percpu()};
    if (!owner.timers.has_node(timer)) [[unlikely]]
        make_node(owner, timer);
    bool is_first{false};
    {
        Guard const guard{owner.timers.lock(), irqs_off};
        is_first = owner.timers.arm(timer, deadline);
        if (is_first && is_own)
            start_hardware(owner, deadline);
    }
    if (is_first && !is_own)
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
    std::optional<std::uint64_t> sequence_limit;
    while (std::optional<TimerId> const due{next_due(self, now, sequence_limit)}) {
        UpCalls const* const calls{installed_up_calls()};
        if (calls != nullptr && calls->timer != nullptr)
            calls->timer(calls->self, self.id, *due, now);
    }
}

void timers_restart() noexcept
{
    Percpu& self{this_percpu()};
    Guard const guard{self.timers.lock(), irqs_off};
    TimerNode const* const first{self.timers.first()};
    start_hardware(self, first != nullptr ? first->deadline : never);
}

} // namespace hv::arch
