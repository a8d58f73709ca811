// Where a vCPU goes that woke up or has to be placed anew.
//
// Home and idle is best; then it stays where it was, if that is home, and an idle pCPU is asked to fetch it, so that
// whoever is first takes it; then idle anywhere; and when nothing idles, a queue at home.
#include "sched/numacredit/numacredit.hpp"

namespace hv::sched::numacredit {

namespace {

constexpr Duration settled{Duration::from_ms(100)}; // who ran so long on a pCPU may look for a better one
constexpr std::uint32_t crowd{3};                   // more than so many at one pCPU
constexpr unsigned most_nodes{4};                   // looked at
constexpr unsigned most_tries{8};                   // to find a whole idle core

} // namespace

bool NumaCredit::may_use(Vcpu const& vcpu, CpuId cpu) const
{
    return vcpu.hard_affinity.test(cpu) && pool_.members().test(cpu);
}

// The nearest idle pCPU that it may use, at home only or anywhere. A whole idle core is preferred.
std::optional<CpuId> NumaCredit::idle_near(VcpuState const& vcpu, CpuId from, bool at_home)
{
    NodeMask rest{idle_.nodes()};
    if (at_home)
        rest = rest & vcpu.home;
    if (rest.empty())
        return std::nullopt;
    Topology const& topology{pool_.topology()};
    bool const only_one{(rest.bits() & (rest.bits() - 1)) == 0}; // a home: no search for it
    for (NodeId const nearest : at(from).near) {
        NodeId const node{only_one ? *rest.first() : nearest};
        if (!rest.test(node))
            continue;
        CpuMask found{idle_.of(node) & vcpu.vcpu.hard_affinity & pool_.members()};
        if (at_home)
            found = found & vcpu.vcpu.soft_affinity;
        if (!found.empty()) {
            CpuId cpu{found.cycle(from)};
            for (unsigned tries = 0; tries < most_tries; ++tries, cpu = found.cycle(cpu)) {
                if (topology.siblings_of(cpu).is_subset_of(found))
                    return cpu;
            }
            return found.cycle(from);
        }
        rest.clear(node);
        if (rest.empty())
            break;
    }
    return std::nullopt;
}

// Who has no home makes room for who has: an idle pCPU of the nearest node that has several, if this one has but one.
std::optional<CpuId> NumaCredit::roomier_idle(VcpuState const& vcpu, CpuId from)
{
    if (!vcpu.home.empty() || !homes_.load(relaxed))
        return std::nullopt;
    NodeMask const nodes{idle_.nodes()};
    unsigned looked{0};
    for (NodeId const node : at(from).near) {
        if (looked++ == most_nodes || looked > pool_.topology().node_count())
            break;
        if (!nodes.test(node))
            continue;
        CpuMask const found{idle_.of(node) & vcpu.vcpu.hard_affinity & pool_.members()};
        if (found.count() > 1)
            return found.test(from) ? from : found.cycle(from);
    }
    return std::nullopt;
}

// A whole idle core for one that computes on `from` while a sibling computes, too, and they hold each other up. Who has
// no home goes to another node as well, if that has two more idle pCPUs (with less, it would move to and fro).
std::optional<CpuId> NumaCredit::roomier_core(VcpuState const& vcpu, CpuId from)
{
    NodeMask const idle{idle_.nodes()};
    if (!vcpu.movable || idle.empty())
        return std::nullopt;
    Topology const& topology{pool_.topology()};
    NodeId const own{at(from).node};
    bool shared{false};
    for (CpuId const sibling : topology.siblings_of(from))
        shared |= sibling != from && pool_.members().test(sibling) && at(sibling).load.load(relaxed) != 0;
    if (!shared)
        return std::nullopt;
    unsigned const here{idle_.of(own).count() - (idle_.test(own, from) ? 1u : 0u)};
    unsigned looked{0};
    for (NodeId const node : at(from).near) {
        if (looked++ == most_nodes || looked > topology.node_count())
            break;
        if (!idle.test(node) || (node != own && !vcpu.home.empty()))
            continue;
        CpuMask const found{idle_.of(node) & pool_.members()};
        if (found.empty() || (node != own && found.count() < here + 2)) // empty: just gone
            continue;
        CpuId cpu{found.cycle(from)};
        for (unsigned tries = 0; tries < most_tries; ++tries, cpu = found.cycle(cpu)) {
            if (vcpu.vcpu.hard_affinity.test(cpu) && !vcpu.is_away(cpu) &&
                topology.siblings_of(cpu).is_subset_of(found))
                return cpu;
        }
    }
    return std::nullopt;
}

std::optional<CpuId> NumaCredit::best_idle(VcpuState const& vcpu, CpuId from)
{
    if (std::optional<CpuId> const roomier = roomier_idle(vcpu, from))
        return roomier;
    if (!vcpu.home.empty()) {
        if (std::optional<CpuId> const home = idle_near(vcpu, from, true))
            return home;
    }
    return idle_near(vcpu, from, false);
}

// Of four that it may use, the one with the fewest.
CpuId NumaCredit::least_loaded(VcpuState const& vcpu, CpuId from)
{
    // Home first: it is small, the machine may not be.
    CpuMask allowed{vcpu.vcpu.soft_affinity & vcpu.vcpu.hard_affinity & pool_.members()};
    if (allowed.empty())
        allowed = vcpu.vcpu.hard_affinity & pool_.members();
    if (allowed.empty()) // its pCPUs have just left; its affinity is about to be broken
        return from;
    PcpuState& start{at(from)};
    CpuId best{allowed.cycle(start.rotor.load(relaxed))};
    start.rotor.store(best, relaxed);
    std::uint32_t least{at(best).load.load(relaxed)};
    CpuId other{best};
    for (unsigned tries = 1; tries < 4; ++tries) {
        other = allowed.cycle(other);
        std::uint32_t const load{at(other).load.load(relaxed)};
        if (load < least) {
            least = load;
            best = other;
        }
    }
    return best;
}

CpuId NumaCredit::place(VcpuState& vcpu, CpuId old)
{
    bool const old_will_do{may_use(vcpu.vcpu, old)};
    if (!params_.wake_placement)
        return old_will_do ? old : least_loaded(vcpu, old);
    bool const away{vcpu.is_away(old)};
    if (std::optional<CpuId> const roomier = roomier_idle(vcpu, old))
        return *roomier;
    if (old_will_do && !away) {
        if (vcpu.unmoved >= settled && !idle_.nodes().empty()) {
            // Asked again once both run queues are locked: only where it joins the count starts anew.
            if (std::optional<CpuId> const roomier = roomier_core(vcpu, old))
                return *roomier;
            vcpu.unmoved = Duration{};
        }
        // Nobody idles: then not to a crowd, if there are quieter places.
        if (at(old).load.load(relaxed) <= crowd || !vcpu.movable || !idle_.nodes().empty()) [[likely]]
            return old;
        CpuId const other{least_loaded(vcpu, old)};
        return at(other).load.load(relaxed) < crowd ? other : old;
    }
    if (away) {
        if (std::optional<CpuId> const home = idle_near(vcpu, old, true))
            return *home;
    }
    if (old_will_do && idle_.test(at(old).node, old))
        return old;
    return least_loaded(vcpu, old);
}

} // namespace hv::sched::numacredit
