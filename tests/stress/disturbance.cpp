// What a storm's control threads do to the vCPUs. Each disturbance is drawn by a control thread and done on some pCPU.
#include "tests/stress/storm.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace hv::test {

using sched::Vcpu;

// Keeps a few disturbances on their way. It looks only at counters, relaxed: what a control thread knew of one pCPU it
// would carry to the next, and with it an order that the scheduler has to make itself.
void Storm::control(std::uint64_t seed)
{
    constexpr std::uint64_t most_under_way = 32;
    Random random{seed};
    while (raging_.load(std::memory_order_relaxed)) {
        if (posted_.load(std::memory_order_relaxed) - done_.load(std::memory_order_relaxed) >= most_under_way) {
            std::this_thread::sleep_for(std::chrono::microseconds{100});
            continue;
        }
        posted_.fetch_add(1, std::memory_order_relaxed);
        machine_.post(some_pcpu(random()), [this, draw = random()](CpuId self, Instant now) {
            auto const done = [this] { done_.fetch_add(1, std::memory_order_relaxed); };
            if (draw / 100 % 5 == 0)
                return mortals_.disturb(self, draw / 500, now, done);
            disturb(self, draw, now);
            done();
        });
    }
}

CpuMask Storm::some_pcpus(std::uint64_t draw) const
{
    CpuMask mask{CpuMask::of(some_pcpu(draw))};
    for (unsigned i = 0; i < pcpu_count(); ++i)
        if (((draw >> (8 + i)) & 1) != 0)
            mask.set(CpuId{static_cast<CpuId::Rep>(i)});
    return mask;
}

void Storm::disturb(CpuId self, std::uint64_t draw, Instant now)
{
    Context& context{*contexts_[(draw >> 32) % contexts_.size()]};
    Vcpu& vcpu{*context.vcpu};
    Vcpu& current{*core().pool().pcpu(self).current};
    std::uint64_t const kind{draw % 100};
    if (kind < 25)
        core().notify(self, vcpu, now);
    else if (kind < 30)
        core().unblock(self, vcpu, now);
    else if (kind < 35)
        core().wake(self, vcpu, now); // for nothing
    else if (kind < 50)
        pause(self, context, kind < 42, draw >> 8, now);
    else if (kind < 60 && !current.is_idle())
        core().yield(self, current, now);
    else if (kind < 63 && !current.is_idle())
        static_cast<void>(core().block(self, current, now)); // goes on if an event is pending
    else if (kind < 68)
        core().pool().env().tickle(some_pcpu(draw >> 16));
    else if (kind < 70)
        leave(self, some_pcpu(draw >> 16), draw >> 8, now);
    else if (kind < 71)
        move_pools(self, draw >> 8, now);
    else if (kind < 72)
        give_idle_work(some_pcpu(draw >> 16), now);
    else if (kind < 73)
        look(vcpu, some_pcpu(draw >> 16), now);
    else
        steer(self, draw >> 8, now);
}

// Work for the idle vCPU only, for a moment.
void Storm::give_idle_work(CpuId cpu, Instant now)
{
    core().set_idle_work(cpu, true);
    machine_.arm(cpu, idle_work_timer, now + Duration::from_us(200));
}

// As a console does.
void Storm::look(Vcpu& vcpu, CpuId cpu, Instant now)
{
    std::array<char, 4096> text;
    BufferSink sink{text};
    sched::VcpuView view;
    core().look_at(vcpu, now, view);
    EXPECT_FALSE(view.hard_affinity.empty());
    EXPECT_GE(core().look_at(vcpu.domain).params.weight, 1);
    sched::Core::describe_state(core().pool(), sink);
    core().describe_queue(cpu, sink);
}

void Storm::steer(CpuId self, std::uint64_t draw, Instant now)
{
    Vcpu& vcpu{*contexts_[(draw >> 32) % contexts_.size()]->vcpu};
    std::uint64_t const kind{draw % 10};
    if (kind < 5) {
        auto const outcome = core().set_hard_affinity(self, vcpu, some_pcpus(draw), now);
        EXPECT_TRUE(outcome.ok() || outcome.error() == sched::CoreError::empty_affinity); // all may have left
    } else if (kind < 7) {
        EXPECT_TRUE(core().set_soft_affinity(vcpu, some_pcpus(draw), now).ok());
    } else if (kind < 8) {
        // All nodes there may be, or one of ours: back to automatic, or a preference.
        NodeId const one{static_cast<NodeId::Rep>(draw / 16 % 2)};
        NodeMask const nodes{draw / 32 % 2 == 0 ? NodeMask::all() : NodeMask::of(one)};
        EXPECT_TRUE(core().set_node_affinity(vcpu.domain, nodes, now).ok());
    } else {
        constexpr std::array<std::uint16_t, 4> caps{0, 10, 50, 150};
        auto const weight = static_cast<std::uint16_t>(1 + draw / 16 % 1000);
        core().set_params(vcpu.domain, {.weight = weight, .cap = caps[draw / 64 % 4]});
    }
}

// Takes a pCPU out of its pool, for a while or for another one; a timer of its own brings it back. It goes on to serve
// its timers and posted work.
void Storm::leave(CpuId self, CpuId cpu, std::uint64_t draw, Instant now)
{
    auto const absence = draw % 2 == 0 ? sched::Absence::for_good : sched::Absence::for_a_while;
    auto const asked =
        draw % 3 == 0 ? system_->remove_from_pool(self, cpu, now) : system_->offline(self, cpu, absence, now);
    if (!asked) {
        EXPECT_TRUE(asked.error() == sched::CoreError::busy || asked.error() == sched::CoreError::last_pcpu);
    }
}

// After each reschedule: whether it was the one with which this pCPU left.
void Storm::note_departure(CpuId self, Instant now)
{
    Tally& tally{tallies_[self.value()]};
    if ((!system_->is_off(self) && !system_->is_free(self)) || tally.departed.load(std::memory_order_relaxed))
        return;
    tally.departed.store(true, std::memory_order_relaxed);
    for (TimerId const armed : machine_.armed_on(self))
        EXPECT_GE(armed.value(), first_pause_timer)
            << "pCPU " << self.value() << " has left, and a timer is armed there";
    auto const departures = static_cast<std::int64_t>(count(Happening::departures));
    note(self, Happening::departures);
    // Mostly not at once, or timers that come too late would go unseen.
    machine_.arm(self, join_timer, now + Duration::from_us(departures % 8 * 2'000));
}

void Storm::join(CpuId self, Instant now)
{
    Tally& tally{tallies_[self.value()]};
    tally.departed.store(false, std::memory_order_relaxed);
    tally.late_accountings = 0;
    bool const was_free{system_->is_free(self)};
    auto const target =
        raging_.load(std::memory_order_relaxed) ? some_pool(static_cast<std::uint64_t>(now.ns()) / 1'000) : PoolId{};
    auto const joined = was_free ? system_->add_to_pool(self, target) : system_->online(self);
    if (joined)
        return;
    EXPECT_TRUE(joined.error() == sched::CoreError::busy || joined.error() == sched::CoreError::ending)
        << "its pool has just gone, or it was switched off while it was free";
    tally.departed.store(true, std::memory_order_relaxed);
    machine_.arm(self, join_timer, now + Duration::from_us(200));
}

// For a while; a timer on another pCPU ends it. Not twice at a time.
void Storm::pause(CpuId self, Context& context, bool waits, std::uint64_t draw, Instant now)
{
    Vcpu& vcpu{*context.vcpu};
    if (context.paused.exchange(true, std::memory_order_relaxed))
        return;
    core().pause_nosync(self, vcpu, now);
    // One at a time, and never for who would have to stop here: such waits would end in a circle.
    waits = waits && core().pool().pcpu(self).current != &vcpu;
    if (waits && !somebody_waits_.exchange(true, std::memory_order_relaxed)) {
        core().sleep_sync(self, vcpu, now);
        EXPECT_EQ(context.runs_on, nobody) << "it was waited for to stop, and runs";
        for (std::uint64_t const word : context.registers)
            EXPECT_EQ(word, context.registers[0]) << "it was waited for to stop, and its registers are being saved";
        somebody_waits_.store(false, std::memory_order_relaxed);
        note(self, Happening::waits);
    }
    std::size_t const number{system_->guests().of(vcpu).number};
    TimerId const end{static_cast<TimerId::Rep>(first_pause_timer + number)};
    machine_.arm(some_pcpu(draw), end, now + Duration::from_us(static_cast<std::int64_t>(draw % 4'000)));
}

} // namespace hv::test
