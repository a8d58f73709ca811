// What the trace tells of `credit` beyond upstream's events: who has how much credit, why it changes, who waits where.
// All of it answers "why does this vCPU not run?".
#include "sched/credit/credit.hpp"

namespace hv::sched::credit {

// What a decision was about: who asked, what the outgoing vCPU paid, who waits now. At its end and in one go, because
// every switch pays for it; so what was stolen for it is told before.
void Credit::trace_decision(CreditPcpu& mine, CreditVcpu const& outgoing, bool force_idle, std::int64_t burnt,
                            Instant now)
{
    using trace::entry;
    using trace::Event;
    constexpr auto number_of = [](Event event) { return static_cast<std::uint32_t>(event); };
    CpuId const self{mine.pcpu.id};
    std::uint32_t const what{std::uint32_t{self.value()} | (force_idle ? 1u << 16 : 0) |
                             (outgoing.is_idle ? 1u << 24 : 0)};
    CreditVcpu const* const first{mine.queue.front()};
    std::uint32_t const waits{first == nullptr ? mine.pcpu.idle->packed() : first->vcpu.packed()};
    constexpr auto reason = static_cast<std::uint32_t>(trace::CreditReason::burn);
    if (!outgoing.is_idle &&
        pool_.tracer().all_quickly(self, entry(number_of(Event::schedule), what),
                                   entry(number_of(Event::credit), outgoing.vcpu.packed(),
                                         outgoing.credit.load(std::memory_order_relaxed), -burnt, reason),
                                   entry(number_of(Event::run_queue), self.value(), mine.waiting, waits)))
        return;
    pool_.tracer().emit(self, now, Event::schedule, what);
    if (!outgoing.is_idle)
        trace_credit(self, outgoing, -burnt, trace::CreditReason::burn, now);
    trace_queue(self, mine, now);
}

void Credit::trace_prio(CpuId self, CreditVcpu const& vcpu, Prio before, Instant now)
{
    pool_.tracer().emit(self, now, trace::Event::prio, vcpu.vcpu.packed(), static_cast<std::int32_t>(before),
                        static_cast<std::int32_t>(vcpu.prio()));
}

// The credit is what it is after the change.
void Credit::trace_credit(CpuId self, CreditVcpu const& vcpu, std::int64_t change, trace::CreditReason reason,
                          Instant now)
{
    pool_.tracer().emit(self, now, trace::Event::credit, vcpu.vcpu.packed(),
                        vcpu.credit.load(std::memory_order_relaxed), change, static_cast<std::uint32_t>(reason));
}

void Credit::trace_queue(CpuId self, CreditPcpu& pcpu, Instant now)
{
    CreditVcpu const* const first{pcpu.queue.front()};
    pool_.tracer().emit(self, now, trace::Event::run_queue, pcpu.pcpu.id.value(), pcpu.waiting,
                        first == nullptr ? pcpu.pcpu.idle->packed() : first->vcpu.packed());
}

// At the end of an accounting; `weight` is what its shares were worked out with.
void Credit::trace_account(CpuId self, std::int64_t weight, Instant now)
{
    std::uint32_t active{0};
    for ([[maybe_unused]] CreditDomain const& domain : active_)
        ++active;
    pool_.tracer().emit(self, now, trace::Event::account, weight, credit_, credit_balance_, active);
}

// After its accounting, and after what else that changed has been told.
void Credit::trace_share(CpuId self, CreditVcpu const& vcpu, Prio before, std::int64_t earned, Instant now)
{
    trace_credit(self, vcpu, earned, trace::CreditReason::refill, now);
    if (vcpu.prio() != before)
        trace_prio(self, vcpu, before, now);
}

} // namespace hv::sched::credit
