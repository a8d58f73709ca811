#include "tests/stress/storm.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace hv::test {

using sched::Switch;
using sched::Vcpu;
using sched::guest::Guest;
using sched::guest::Outcome;
using sched::trace::Event;

void Storm::note(CpuId self, Happening happening)
{
    // relaxed: a count orders nothing.
    tallies_[self.value()].counts[static_cast<std::size_t>(happening)].fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t Storm::count(Happening happening) const
{
    if (happening == Happening::births)
        return mortals_.births();
    if (happening == Happening::deaths)
        return mortals_.deaths();
    std::uint64_t sum{0};
    for (Tally const& tally : tallies_)
        sum += tally.counts[static_cast<std::size_t>(happening)].load(std::memory_order_relaxed);
    return sum;
}

void Storm::timer(CpuId self, TimerId id, Instant now)
{
    if (id.value() >= first_pause_timer) {
        own_timer(self, id, now);
        return;
    }
    Tally& tally{tallies_[self.value()]};
    tally.accounting = id == sched::timer::accounting;
    if (tally.accounting && tally.departed.load(std::memory_order_relaxed)) {
        EXPECT_EQ(tally.late_accountings, 0u) << "pCPU " << self.value() << " has left and still does the accounting";
        ++tally.late_accountings;
    }
    system_->timer(self, id, now);
    tally.accounting = false;
}

void Storm::own_timer(CpuId self, TimerId id, Instant now)
{
    if (id == idle_work_timer) {
        core().set_idle_work(self, false);
    } else if (id == join_timer) {
        join(self, now);
    } else {
        Context& context{*contexts_[id.value() - first_pause_timer]};
        core().unpause(self, *context.vcpu, now);
        context.paused.store(false, std::memory_order_relaxed);
    }
}

// In the order of a kernel: registers are saved, others loaded, and only then is it safe to say that the first are
// saved.
void Storm::reschedule(CpuId self, Instant now)
{
    Switch const change{system_->reschedule(self, now)};
    note_departure(self, now);
    if (change.previous == change.next)
        return;
    machine_.dawdle();
    save(self, *change.previous);
    load(self, *change.next);
    machine_.dawdle();
    system_->context_saved(self, *change.previous, machine_.now());
    note(self, Happening::switches);
}

void Storm::save(CpuId self, Vcpu& vcpu)
{
    Context& context{context_of(vcpu)};
    EXPECT_EQ(context.runs_on, self.value()) << "who is switched out did not run here";
    for (std::uint64_t& word : context.registers)
        ++word;
    context.runs_on = nobody;
}

void Storm::load(CpuId self, Vcpu& vcpu)
{
    Context& context{context_of(vcpu)};
    EXPECT_EQ(context.runs_on, nobody) << "who is switched in runs elsewhere";
    for (std::uint64_t const word : context.registers)
        EXPECT_EQ(word, context.registers[0]) << "loaded in the middle of a save";
    context.runs_on = self.value();
    context.progress.fetch_add(1, std::memory_order_relaxed);
}

// What the kernel's guest tasks do, without stacks of their own.
bool Storm::go_on(CpuId self, Instant now)
{
    Vcpu& current{*core().pool().pcpu(self).current};
    Context& context{context_of(current)};
    EXPECT_EQ(context.runs_on, self.value());
    context.progress.fetch_add(1, std::memory_order_relaxed);
    if (current.is_idle())
        return false;
    Guest& guest{system_->guests().of(current)};
    if (guest.computing)
        return false;
    // Whatever came of it: time has passed, or the pCPU has been asked to reschedule.
    static_cast<void>(system_->guests().perform(self, guest, next(guest.work, now), now));
    return true;
}

// The trace tells, with the run-queue lock held and on the pCPU that does it.
void Storm::heard(CpuId self, std::uint32_t number, std::span<std::uint32_t const> words)
{
    switch (static_cast<Event>(number)) {
    case Event::switch_infnext:
        check_affinity(self, words[0], words[1]);
        break;
    case Event::wake:
        note(self, Happening::wakes);
        break;
    case Event::block:
        note(self, Happening::blocks);
        break;
    case Event::yield:
        note(self, Happening::yields);
        break;
    case Event::migrate:
        note(self, Happening::migrations);
        break;
    case Event::stolen_vcpu:
        note(self, Happening::steals);
        break;
    case Event::sleep:
        if (tallies_[self.value()].accounting)
            note(self, Happening::parks);
        break;
    default:
        break;
    }
}

void Storm::check_affinity(CpuId self, std::uint32_t domain, std::uint32_t index)
{
    if (domain == sched::idle_domain_id.value())
        return;
    Vcpu const& next{*core().pool().pcpu(self).current};
    EXPECT_EQ(next.packed(),
              sched::trace::pack_vcpu(static_cast<std::uint16_t>(domain), static_cast<std::uint16_t>(index)));
    // All that it might use may be leaving: then its affinity is about to be broken, and until then it stays where it
    // is.
    bool const may{next.hard_affinity.test(self) || !next.hard_affinity.intersects(next.pool->members())};
    EXPECT_TRUE(may) << "domain " << domain << " vCPU " << index << " is switched in on pCPU " << self.value()
                     << ", where it may not run";
    EXPECT_EQ(next.pool, core().pool().pcpu(self).pool) << "domain " << domain << " is switched in in another pool";
    EXPECT_FALSE(tallies_[self.value()].departed.load(std::memory_order_relaxed))
        << "domain " << domain << " vCPU " << index << " is switched in on pCPU " << self.value() << ", which has left";
}

} // namespace hv::test
