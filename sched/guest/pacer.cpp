#include "sched/guest/pacer.hpp"

#include "sched/guest/workload.hpp"
#include "sched/locking.hpp"
#include "sched/pool.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace hv::sched::guest {

namespace {

// Time for `work`, rounded up, so that at its end all of the work is done. Phases are shorter than 2^40 ns.
[[nodiscard]] Duration time_for(Duration work, Pace pace)
{
    auto const amount = static_cast<std::uint64_t>(work.ns());
    return Duration::from_ns(static_cast<std::int64_t>((amount * pace.total + pace_one - 1) >> pace_bits));
}

// Work that `span` is good for. In two steps, because a vCPU that nobody disturbs is not looked at for hours.
[[nodiscard]] Duration work_in(Duration span, Pace pace)
{
    auto const time = static_cast<std::uint64_t>(span.ns());
    std::uint64_t const whole{time / pace.total}, rest{time % pace.total};
    return Duration::from_ns(static_cast<std::int64_t>((whole << pace_bits) + (rest << pace_bits) / pace.total));
}

} // namespace

Pacer* Pacer::create(arch::Env& env, ModelParams const& params)
{
    std::size_t const words{ModelState::words_for(env.topology().node_count())};
    std::size_t const count{env.topology().pcpus.size()};
    void* const memory{env.allocate(NodeId{0}, sizeof(Pacer), alignof(Pacer))};
    void* const storage{env.allocate(NodeId{0}, words * sizeof(std::uint64_t), alignof(std::uint64_t))};
    void* const table{env.allocate(NodeId{0}, count * sizeof(Pcpu), alignof(Pcpu))};
    if (memory == nullptr || storage == nullptr || table == nullptr)
        return nullptr;
    Pcpu* const pcpus{static_cast<Pcpu*>(table)};
    for (std::size_t i = 0; i < count; ++i)
        ::new (static_cast<void*>(pcpus + i)) Pcpu{};
    return ::new (memory) Pacer{env, params, {static_cast<std::uint64_t*>(storage), words}, {pcpus, count}};
}

Pacer::Pacer(arch::Env& env, ModelParams const& params, std::span<std::uint64_t> storage, std::span<Pcpu> pcpus)
    : env_{env}, lock_{pace_lock_key()}, model_{env.topology(), params, storage}, pcpus_{pcpus}
{
}

// --- who runs where

void Pacer::switched(CpuId self, Progress* previous, Progress* next, bool busy, Duration context_switch, Instant now)
{
    Guard guard{lock_, irqs_off};
    Pcpu& pcpu{pcpus_[self.value()]};
    if (previous != nullptr)
        leave(*previous, now);
    pcpu.running = next;
    bool const changes{pcpu.busy != busy};
    pcpu.busy = busy;
    if (next != nullptr)
        arrive(self, *next, context_switch, now);
    if (changes)
        repace_siblings(self, now);
    if (next != nullptr && next->task.stall_permille != 0 && !pcpu.samples) {
        pcpu.samples = true;
        env_.arm(self, sample_timer, now.next_multiple(sample_period));
    }
}

void Pacer::evacuate(CpuId self)
{
    Guard guard{lock_, irqs_off};
    if (std::exchange(pcpus_[self.value()].samples, false))
        env_.disarm(self, sample_timer);
}

void Pacer::leave(Progress& progress, Instant now)
{
    count(progress, now);
    if (progress.computing) {
        env_.disarm(progress.on, timer::phase);
        // Its end falls on this very instant but was not handled yet: there must be something left to end.
        if (progress.left <= Duration{})
            progress.left = Duration::from_ns(1);
    }
    progress.running = false;
    model_.ends(progress.task, progress.memory, node_of(progress.on));
}

void Pacer::arrive(CpuId self, Progress& progress, Duration context_switch, Instant now)
{
    Topology const& topology{env_.topology()};
    Duration refill;
    if (progress.has_run && node_of(self) != node_of(progress.on)) {
        refill = Duration::from_ns(progress.task.refill_node_ns);
        ++progress.tally.node_moves;
    } else if (progress.has_run && topology.pcpus[self.value()].core != topology.pcpus[progress.on.value()].core) {
        refill = Duration::from_ns(progress.task.refill_core_ns);
        ++progress.tally.core_moves;
    }
    // A refill that was broken off goes on, but two do not take longer than the longer one.
    progress.refilling = std::max(progress.refilling, refill);
    progress.switching = context_switch;
    progress.has_run = progress.running = true;
    progress.on = self;
    progress.counted = now;
    model_.begins(progress.task, progress.memory, node_of(self));
    progress.pace = model_.pace(progress.task, progress.memory, node_of(self), sibling_is_busy(self));
    arm(progress);
}

bool Pacer::sibling_is_busy(CpuId self) const
{
    for (CpuId const sibling : env_.topology().siblings_of(self))
        if (sibling != self && pcpus_[sibling.value()].busy)
            return true;
    return false;
}

void Pacer::repace_siblings(CpuId self, Instant now)
{
    for (CpuId const sibling : env_.topology().siblings_of(self))
        if (Progress* const other{pcpus_[sibling.value()].running}; sibling != self && other != nullptr)
            repace(*other, now);
}

// --- progress

// Books the time since the last count: first the switch, then the refill, then work at the present pace.
void Pacer::count(Progress& progress, Instant now)
{
    if (now <= progress.counted)
        return; // The clocks of pCPUs differ by what a call takes.
    Duration span{now - progress.counted};
    progress.counted = now;
    Tally& tally{progress.tally};
    std::uint32_t const local{progress.memory.on(node_of(progress.on))};
    tally.run += span;
    tally.home += Duration::from_ns((span.ns() >> 8) * local >> (share_bits - 8));
    Duration const switching{std::min(span, progress.switching)};
    progress.switching -= switching;
    span -= switching;
    Duration const refilling{std::min(span, progress.refilling)};
    progress.refilling -= refilling;
    tally.refill += refilling;
    span -= refilling;
    if (!progress.computing)
        return;
    Duration const done{std::min(progress.left, work_in(span, progress.pace))};
    auto const work = static_cast<std::uint64_t>(done.ns());
    progress.left -= done;
    tally.work += done;
    tally.stall += Duration::from_ns(static_cast<std::int64_t>((work * progress.pace.memory) >> pace_bits));
    tally.issued += work << share_bits;
    for (NodeId const node : progress.memory.nodes())
        (node == node_of(progress.on) ? tally.local : tally.remote) += work * progress.memory.on(node);
}

void Pacer::repace(Progress& progress, Instant now)
{
    Pace const pace{model_.pace(progress.task, progress.memory, node_of(progress.on), sibling_is_busy(progress.on))};
    if (pace == progress.pace)
        return;
    count(progress, now);
    progress.pace = pace;
    arm(progress);
}

void Pacer::arm(Progress& progress)
{
    if (progress.computing && progress.left < forever / 2)
        env_.arm(progress.on, timer::phase,
                 progress.counted + progress.switching + progress.refilling + time_for(progress.left, progress.pace));
}

void Pacer::begin(Progress& progress, Duration work, Instant now)
{
    Guard guard{lock_, irqs_off};
    if (progress.running)
        count(progress, now);
    progress.computing = true;
    progress.left = work;
    if (progress.running)
        arm(progress);
}

bool Pacer::ends(Progress& progress, Instant now)
{
    Guard guard{lock_, irqs_off};
    count(progress, now);
    if (progress.left > Duration{}) { // Slowed down after the timer fired and before we came here.
        arm(progress);
        return false;
    }
    progress.computing = false;
    return true;
}

void Pacer::sample(CpuId self, Instant now)
{
    Guard guard{lock_, irqs_off};
    Pcpu& pcpu{pcpus_[self.value()]};
    if (now >= next_sample_) {
        model_.sample();
        next_sample_ = now.next_multiple(sample_period);
    }
    pcpu.samples = pcpu.running != nullptr && pcpu.running->task.stall_permille != 0;
    if (!pcpu.samples)
        return;
    repace(*pcpu.running, now);
    env_.arm(self, sample_timer, now.next_multiple(sample_period));
}

void Pacer::set_memory(Progress& progress, MemoryShares const& memory)
{
    Guard guard{lock_, irqs_off};
    HV_ASSERT(!progress.running);
    progress.memory = memory;
}

Tally Pacer::tally_of(Progress& progress, Instant now)
{
    Guard guard{lock_, irqs_off};
    if (progress.running)
        count(progress, now);
    return progress.tally;
}

} // namespace hv::sched::guest
