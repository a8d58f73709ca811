#include "sched/numacredit/numacredit.hpp"

#include "sched/affinity.hpp"

namespace hv::sched::numacredit {

// --- decisions

void NumaCredit::ask(CpuId self, CpuId cpu, Instant now)
{
    pool_.tracer().emit(self, now, trace::Event::tickle, cpu.value());
    pool_.env().tickle(cpu);
}

// Whether somebody who waits shall not wait for the end of the current one's slice.
bool NumaCredit::beats(VcpuState const& other, VcpuState const& current) const
{
    if (other.is_boosted() != current.is_boosted())
        return other.is_boosted();
    return !other.is_boosted() && real_of(current.at - other.at, other.weight) > params_.ratelimit;
}

bool NumaCredit::may_go_on(PcpuState& mine, VcpuState& current, Instant now)
{
    if (now >= mine.until || current.yields)
        return false;
    return mine.queue.empty() || now - current.vcpu.run_state.entered < params_.ratelimit ||
           !beats(*mine.queue.begin(), current);
}

// A capped vCPU without budget pauses, until accounting gives it some.
bool NumaCredit::is_out_of_budget(VcpuState& current)
{
    if (!current.capped.load(relaxed) || !params_.cap_budget || current.budget.load(relaxed) > 0)
        return false;
    current.vcpu.pause_count.fetch_add(1); // before `parked`: whoever sees that may undo it
    current.parked.store(true);
    // The cap may have gone meanwhile, and with it whoever would let this vCPU go on.
    if (!current.capped.load() && current.parked.exchange(false)) {
        current.vcpu.pause_count.fetch_sub(1);
        return false;
    }
    return true;
}

// It ran and waits now. There may be an idle pCPU for it, if somebody who may only run here took its place.
void NumaCredit::put_back(CpuId self, PcpuState& mine, VcpuState& vcpu, Instant now)
{
    insert(mine, vcpu);
    if (!vcpu.movable || idle_.nodes().empty()) [[likely]]
        return;
    if (std::optional<CpuId> const idle = best_idle(vcpu, self)) {
        idle_.clear(at(*idle).node, *idle);
        ask(self, *idle, now);
    }
}

Decision NumaCredit::run(PcpuState& mine, VcpuState& next, Instant now, bool migrated)
{
    next.charged = now;
    next.yields = false;
    Duration slice{slice_of(mine, next)};
    if (next.is_boosted() && !mine.queue.empty() && next.boost < slice)
        slice = next.boost;
    if (next.capped.load(relaxed)) [[unlikely]] {
        Duration const budget{Duration::from_ns(next.budget.load(relaxed))};
        slice = budget < slice && params_.cap_budget ? (budget < shortest_slice ? shortest_slice : budget) : slice;
    }
    mine.until = now + slice;
    return {.next = &next.vcpu, .slice = slice, .migrated = migrated};
}

Decision NumaCredit::go_idle(CpuId self, PcpuState& mine, Instant now)
{
    Decision decision{.next = mine.pcpu.idle, .slice = std::nullopt};
    if (!pool_.members().test(self))
        return decision;
    // Announced before it looks: who queues somebody looks for idle pCPUs after that.
    idle_.set(mine.node, self);
    Loot const loot{steal_any(self, mine, now)};
    if (loot.vcpu != nullptr) {
        idle_.clear(mine.node, self);
        return run(mine, *loot.vcpu, now, true);
    }
    decision.slice = loot.again;
    decision.pull_from = loot.pull_from;
    return decision;
}

Decision NumaCredit::schedule(CpuId self, Vcpu& current, Instant now, bool force_idle) noexcept
{
    PcpuState& mine{at(self)};
    mine.pcpu.lock.assert_held();
    ++mine.counters.schedule;
    VcpuState& out{data(current)};
    bool stays{false};
    if (out.is_idle) {
        if (idle_.test(mine.node, self))
            idle_.clear(mine.node, self);
    } else {
        charge(mine, out, now);
        stays = current.is_runnable() && !is_out_of_budget(out);
        if (stays && now >= mine.until && mine.queue.empty() && roomier_core(out, self)) [[unlikely]] {
            current.set_flag(PauseFlag::migrating); // it finds itself a pCPU as soon as its context is saved
            stays = false;
        }
        if (!stays) {
            stop(mine, out, now);
        } else if (!force_idle && may_go_on(mine, out, now)) {
            Duration const rest{mine.until - now};
            Duration const protected_for{current.run_state.entered + params_.ratelimit - now};
            return {.next = &current,
                    .slice = protected_for > Duration{} && protected_for < rest ? protected_for : rest};
        } else if (out.weight != data(current.domain).weight.load(relaxed)) [[unlikely]] {
            reweigh(mine, out);
        }
    }
    forget_sleepers(mine, now);
    if (force_idle) {
        if (stays)
            put_back(self, mine, out, now);
        return {.next = mine.pcpu.idle, .slice = std::nullopt};
    }
    follow_the_machine(mine, stays ? &out : nullptr, longest_lag);

    VcpuState* best{mine.queue.empty() ? nullptr : &*mine.queue.begin()};
    bool const goes_on{
        stays && (best == nullptr || (!out.yields && !best->is_boosted() && !(best->at < out.at) && params_.ordered))};
    if (goes_on)
        best = &out;
    else if (best == nullptr)
        return go_idle(self, mine, now);
    if (params_.steal_by_benefit && !best->is_boosted() && !waiting_.nodes().empty() &&
        waiting_.has_others(mine.node, self) && pool_.members().test(self)) {
        if (VcpuState* const better = steal_better(self, mine, *best, now)) {
            if (stays)
                put_back(self, mine, out, now);
            return run(mine, *better, now, true);
        }
    }
    if (!goes_on) {
        // In this order: somebody waits all the time, and nobody needs to be told that nobody does.
        if (stays)
            put_back(self, mine, out, now);
        remove(mine, *best);
    }
    return run(mine, *best, now, false);
}

// --- coming and going

WakeDecision NumaCredit::wake(CpuId, Vcpu& vcpu, Instant) noexcept
{
    VcpuState& woken{data(vcpu)};
    CpuId const old{vcpu.processor()};
    PcpuState& there{at(old)};
    there.pcpu.lock.assert_held();
    WakeDecision decision;
    decision.queue_on = old;
    if (woken.joined && !woken.is_asleep()) {
        decision.queue = false;
        return decision;
    }
    decision.queue_on = place(woken, old);
    return decision;
}

// Its domain's weight has changed.
void NumaCredit::reweigh(PcpuState& mine, VcpuState& vcpu)
{
    if (vcpu.weight == mine.heaviest && --mine.heaviest_count == 0)
        find_heaviest(mine, vcpu);
    mine.load.store(mine.load.load(relaxed) - 1, relaxed);
    leave(mine, vcpu);
    join(mine, vcpu);
    start(mine, vcpu);
}

bool NumaCredit::is_within_share(PcpuState& pcpu, VcpuState& woken, Instant now) const
{
    Duration const most{params_.allowance};
    woken.allowance += (now - woken.allowed) * woken.weight / pcpu.weight;
    woken.allowance = woken.allowance > most ? most : woken.allowance < -most ? -most : woken.allowance;
    woken.allowed = now;
    return woken.allowance >= Duration{};
}

void NumaCredit::enqueue(CpuId self, Vcpu& vcpu, Instant now) noexcept
{
    VcpuState& woken{data(vcpu)};
    PcpuState& there{at(vcpu.processor())};
    there.pcpu.lock.assert_held();
    VcpuState& current{data(*there.pcpu.current)};
    if (!current.is_idle && current.joined && !current.is_asleep())
        charge(there, current, now);
    else if (there.load.load(relaxed) == 0)
        follow_the_machine(there, nullptr, Duration::from_ms(10)); // it idled while others ran
    if (woken.is_asleep()) {
        PcpuState& before{at(woken.member_of)}; // Its lock is held, too: this is where it slept.
        before.pcpu.lock.assert_held();
        wake_up(before, woken);
        if (&before != &there)
            leave(before, woken);
    }
    if (!woken.joined)
        join(there, woken);
    start(there, woken);
    // Within its share: for a while it need not wait for those who are behind theirs.
    bool const deserves{woken.blocked &&
                        (is_within_share(there, woken, now) || woken.ran_out || !params_.boost_budget)};
    woken.boost = deserves ? Duration{params_.boost} : Duration{};
    woken.blocked = false;
    insert(there, woken);
    keep_accounting(now);
    disturb(self, there, woken, now);
}

// Whom a wake-up disturbs: its own pCPU if it idles, else one idle pCPU, which comes and takes it unless its own is
// faster, else whoever runs on its own, if that one is worse.
void NumaCredit::disturb(CpuId self, PcpuState& pcpu, VcpuState& woken, Instant now)
{
    CpuId const cpu{pcpu.pcpu.id};
    VcpuState& current{data(*pcpu.pcpu.current)};
    if (current.is_idle && idle_.test(pcpu.node, cpu)) {
        idle_.clear(pcpu.node, cpu);
        ask(self, cpu, now);
        return;
    }
    if (woken.movable && !idle_.nodes().empty()) {
        if (std::optional<CpuId> const idle = best_idle(woken, cpu)) {
            idle_.clear(at(*idle).node, *idle);
            ask(self, *idle, now);
            return;
        }
    }
    if (!current.is_idle) {
        if (!beats(woken, current)) {
            // Its slice was meant for fewer, or lighter ones.
            Instant const until{now + slice_of(pcpu, current)};
            if (until >= pcpu.until)
                return;
            pcpu.until = until;
        }
    }
    ask(self, cpu, now);
}

void NumaCredit::sleep(CpuId, Vcpu& vcpu, Instant now) noexcept
{
    VcpuState& gone{data(vcpu)};
    PcpuState& there{at(vcpu.processor())};
    there.pcpu.lock.assert_held();
    if (gone.is_queued()) {
        remove(there, gone);
        stop(there, gone, now);
    } else if (gone.is_asleep()) { // it is about to be moved
        there.sleepers.erase(gone);
        leave(there, gone);
    }
}

CpuId NumaCredit::pick_cpu(CpuId self, Vcpu& vcpu, Instant now) noexcept
{
    VcpuState const& wanted{data(vcpu)};
    CpuId const old{vcpu.processor()};
    bool const old_will_do{may_use(vcpu, old)};
    bool const away{wanted.is_away(old)};
    auto const choose = [&]() -> CpuId {
        if (old_will_do && !away && at(old).load.load(relaxed) <= (wanted.joined ? 1u : 0u))
            return roomier_core(wanted, old).value_or(old);
        if (std::optional<CpuId> const idle = best_idle(wanted, old))
            return *idle;
        return old_will_do && !away ? old : least_loaded(wanted, old);
    };
    CpuId const chosen{choose()};
    pool_.tracer().emit(self, now, trace::Event::picked_cpu, vcpu.domain.id.value(), vcpu.index.value(),
                        chosen.value());
    return chosen;
}

void NumaCredit::yield(CpuId, Vcpu& current) noexcept { data(current).yields = true; }

void NumaCredit::affinity_changed(Vcpu& vcpu, Instant) noexcept
{
    VcpuState& changed{data(vcpu)};
    PcpuState& there{at(vcpu.processor())};
    there.pcpu.lock.assert_held();
    bool const movable{vcpu.hard_affinity.count() > 1};
    // It stays on the queue all the time: a pCPU that looks for work just now must see that somebody waits here.
    if (changed.is_queued() && movable != changed.movable) {
        if (movable && there.movable++ == 0)
            waiting_.set(there.node, there.pcpu.id);
        else if (!movable && --there.movable == 0)
            waiting_.clear(there.node, there.pcpu.id);
    }
    changed.movable = movable;
    changed.home = NodeMask{};
    if (has_useful_preference(vcpu, pool_.pcpu_limit())) {
        CpuMask const home{vcpu.soft_affinity & vcpu.hard_affinity};
        for (NodeId const node : pool_.topology().nodes()) {
            if (home.intersects(pool_.topology().pcpus_of(node)))
                changed.home.set(node);
        }
        homes_.store(true, relaxed);
    }
    if (changed.joined && changed.is_away(vcpu.processor())) {
        for (NodeId const node : changed.home)
            homesick_.set(node, vcpu.processor());
    }
}

// Single-threaded callers only: tests and the simulator, between events.
bool NumaCredit::is_consistent() const noexcept HV_NO_THREAD_SAFETY_ANALYSIS
{
    for (CpuId const cpu : pool_.members()) {
        auto const& mine = *static_cast<PcpuState const*>(pool_.pcpu(cpu).policy_data);
        std::int64_t weight{0};
        std::uint32_t waiting{0}, movable{0};
        VcpuState const* before{nullptr};
        for (VcpuState const& vcpu : mine.queue) {
            if (vcpu.vcpu.processor() != cpu || &vcpu.vcpu == mine.pcpu.current || !vcpu.joined || vcpu.is_idle)
                return false;
            if (params_.ordered && before != nullptr && !vcpu.is_boosted() && vcpu.at < before->at &&
                !before->is_boosted())
                return false;
            before = &vcpu;
            weight += vcpu.weight;
            ++waiting;
            movable += vcpu.movable ? 1 : 0;
        }
        VcpuState const& current{data(*mine.pcpu.current)};
        weight += current.joined && !current.is_asleep() ? current.weight : 0;
        for (VcpuState const& asleep : mine.sleepers)
            weight += asleep.weight;
        if (weight != mine.weight || waiting != mine.waiting || movable != mine.movable ||
            waiting_.test(mine.node, cpu) != (movable != 0))
            return false;
    }
    return true;
}

} // namespace hv::sched::numacredit

namespace hv::sched {
namespace {
using numacredit::NumaCredit;
HV_REGISTER_POLICY(NumaCredit);
} // namespace
} // namespace hv::sched
