// What a pCPU takes from others: anything when it idles, the nearest first; when it is busy, only who is worse off by
// more than the move is worth. A peer's lock is only tried, and only a few peers are looked at each time.
#include "sched/numacredit/numacredit.hpp"

namespace hv::sched::numacredit {

namespace {

constexpr unsigned most_peers{16};    // looked at by a pCPU that idles; it comes back if there are more
constexpr unsigned most_better{4};    // looked at by a busy one, on each node
constexpr unsigned most_depth{8};     // of a queue
constexpr std::uint32_t crowded{900}; // a node this busy, permille, has nothing to give away
constexpr Duration look_again{Duration::from_us(100)}; // who could not look everywhere

} // namespace

// The first in the peer's queue that may come and is wanted; taken off, and at home here from now on. If somebody else
// holds the lock, `loot` says to come back: he may have queued a vCPU, and looked for idle pCPUs before this one had
// announced itself.
template <typename Wanted>
VcpuState* NumaCredit::take_from(CpuId self, PcpuState& mine, CpuId peer, Instant now, Loot& loot,
                                 Wanted const& wanted) HV_NO_THREAD_SAFETY_ANALYSIS
{
    PcpuState& victim{at(peer)};
    if (!victim.pcpu.lock.try_lock()) {
        loot.come_back(look_again);
        return nullptr;
    }
    VcpuState* found{nullptr};
    unsigned depth{0};
    for (VcpuState& candidate : victim.queue) {
        if (depth++ == most_depth)
            break;
        Vcpu& vcpu{candidate.vcpu};
        if (!vcpu.hard_affinity.test(self))
            continue;
        if (vcpu.is_running()) { // its context is not saved yet, and nobody will say when it is
            loot.come_back(look_again);
            continue;
        }
        if (!wanted(candidate))
            continue;
        found = &candidate;
        break;
    }
    if (found != nullptr) {
        remove(victim, *found);
        VirtualTime const at_there{found->at};
        victim.load.store(victim.load.load(relaxed) - 1, relaxed);
        if (found->weight == victim.heaviest && --victim.heaviest_count == 0)
            find_heaviest(victim, *found);
        leave(victim, *found);
        // Its place among all others goes with it, but not its whole past.
        if (mine.weight == 0) {
            join(mine, *found);
            mine.clock.store(at_there, relaxed);
            found->at = at_there;
        } else {
            Duration const most{longest_lag};
            Duration const lag{real_of(mine.clock.load(relaxed) - at_there, found->weight)};
            found->credit = lag > most ? most : lag < -most ? -most : lag;
            join(mine, *found);
        }
        start(mine, *found);
        found->vcpu.set_processor(self);
        pool_.tracer().emit(self, now, trace::Event::stolen_vcpu, peer.value(), found->vcpu.domain.id.value(),
                            found->vcpu.index.value());
    }
    victim.pcpu.lock.unlock();
    return found;
}

// Somebody who waits elsewhere and would rather be on this node.
VcpuState* NumaCredit::homesick(CpuId self, PcpuState& mine, Loot& loot, Instant now) HV_NO_THREAD_SAFETY_ANALYSIS
{
    if (!homesick_.nodes().test(mine.node))
        return nullptr;
    auto const comes_home = [&](VcpuState const& vcpu) {
        return !vcpu.home.empty() && vcpu.vcpu.soft_affinity.test(self) && vcpu.is_away(vcpu.vcpu.processor());
    };
    unsigned looked{0};
    for (CpuId const peer : homesick_.of(mine.node) & pool_.members()) {
        if (looked++ == most_peers) {
            loot.come_back(look_again);
            break;
        }
        if (peer == self)
            continue;
        if (VcpuState* const found = take_from(self, mine, peer, now, loot, comes_home)) {
            ++mine.counters.came_home;
            return found;
        }
        PcpuState& there{at(peer)};
        if (!there.pcpu.lock.try_lock()) {
            loot.come_back(look_again);
            continue;
        }
        VcpuState const& runs{data(*there.pcpu.current)};
        bool away{false};
        if (runs.is_away(peer) && runs.home.test(mine.node)) {
            away = true;
            if (!loot.pull_from && runs.vcpu.hard_affinity.test(self) && runs.vcpu.soft_affinity.test(self))
                loot.pull_from = peer;
        }
        for (VcpuState const& waits : there.queue)
            away |= waits.is_away(peer) && waits.home.test(mine.node);
        if (!away)
            homesick_.clear(mine.node, peer);
        there.pcpu.lock.unlock();
    }
    return nullptr;
}

// Whether an idle pCPU takes who waits elsewhere. Not whom another one is about to run: its waker, which goes idle at
// once, would be faster than the request, and each wake-up a move. And not from home to a node that needs its pCPUs
// itself, before it has waited for a while: one at home is free in less time than the caches take to fill.
bool NumaCredit::is_free(CpuId self, PcpuState const& mine, VcpuState const& waits, Instant now,
                         Loot& loot) HV_NO_THREAD_SAFETY_ANALYSIS // take_from() holds the lock of its queue
{
    PcpuState const& there{at(waits.vcpu.processor())};
    if (there.waiting == 1 && there.pcpu.current->is_idle())
        return false;
    bool const leaves_home{!waits.home.empty() && !waits.is_away(there.pcpu.id) && waits.is_away(self)};
    if (!leaves_home || node_busy_[mine.node.value()].load(relaxed) < crowded)
        return true;
    Duration const left{waits.vcpu.run_state.entered + params_.patience - now};
    if (left <= Duration{})
        return true;
    loot.come_back(left);
    return false;
}

NumaCredit::Loot NumaCredit::steal_any(CpuId self, PcpuState& mine, Instant now)
{
    Loot loot;
    if (params_.wake_placement)
        loot.vcpu = homesick(self, mine, loot, now);
    NodeMask rest{waiting_.nodes()};
    if (loot.vcpu != nullptr || rest.empty())
        return loot;
    unsigned looked{0};
    for (NodeId const node : mine.near) {
        if (!rest.test(node))
            continue;
        CpuMask peers{waiting_.of(node)};
        peers.clear(self);
        CpuId peer{self};
        for (unsigned left = peers.count(); left > 0; --left) {
            if (looked++ == most_peers) {
                loot.come_back(look_again);
                return loot;
            }
            peer = peers.cycle(peer);
            loot.vcpu = take_from(self, mine, peer, now, loot,
                                  [&](VcpuState const& waits) { return is_free(self, mine, waits, now, loot); });
            if (loot.vcpu != nullptr) {
                ++mine.counters.stolen;
                loot.pull_from.reset();
                return loot;
            }
        }
        rest.clear(node);
        if (rest.empty())
            break;
    }
    return loot;
}

// `best` is what this pCPU has to run.
VcpuState* NumaCredit::steal_better(CpuId self, PcpuState& mine, VcpuState const& best, Instant now)
{
    NodeMask rest{waiting_.nodes()};
    Duration const fair_gain{params_.steal_gain}, away_gain{params_.away_gain};
    Loot unused; // this pCPU has somebody to run, and looks again at its next decision
    for (NodeId const node : mine.near) {
        if (!rest.test(node))
            continue;
        bool const near{node == mine.node};
        auto const is_worth = [&](VcpuState const& other) {
            Duration gain{fair_gain};
            if (!other.home.empty() && !near)
                gain = other.vcpu.soft_affinity.test(self) ? Duration{} : away_gain;
            // The more wait there, the later it gets its turn: half as much for two, a third for three.
            std::int64_t const there{at(other.vcpu.processor()).load.load(relaxed)};
            std::int64_t const weight{other.weight > best.weight ? other.weight : best.weight};
            return real_of(best.at - other.at, weight) * (there > 2 ? 2 * there - 3 : 1) > gain;
        };
        CpuMask peers{waiting_.of(node)};
        peers.clear(self);
        unsigned const count{peers.empty() ? 0 : peers.count()};
        unsigned left{count < most_better ? count : most_better};
        CpuId& rotor{near ? mine.near_rotor : mine.far_rotor}; // goes on where it stopped, or some are never looked at
        for (; left > 0; --left) {
            CpuId const peer{rotor = peers.cycle(rotor)};
            PcpuState const& there{at(peer)};
            if (real_of(best.at - there.first.load(relaxed), there.first_weight.load(relaxed)) <= Duration{})
                continue;
            if (VcpuState* const found = take_from(self, mine, peer, now, unused, is_worth)) {
                ++mine.counters.stolen_better;
                return found;
            }
        }
        rest.clear(node);
        if (rest.empty())
            break;
    }
    return nullptr;
}

} // namespace hv::sched::numacredit
