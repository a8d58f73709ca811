// What is done every 10 ms, on one pCPU: the machine's mean virtual time, and the budgets of capped domains.
#include "sched/numacredit/numacredit.hpp"

namespace hv::sched::numacredit {

namespace {

// So many periods' income is kept for those who have to wait for a pCPU.
constexpr std::int64_t most_saved{8};

} // namespace

void NumaCredit::pcpu_joins(CpuId cpu, Instant) noexcept
{
    PcpuState& mine{at(cpu)};
    Topology const& topology{pool_.topology()};
    if (!mine.is_known) {
        mine.is_known = true;
        mine.node = topology.node_of(cpu);
        mine.rotor.store(cpu, relaxed);
        mine.near_rotor = mine.far_rotor = cpu;
        unsigned count{0};
        for (NodeId const node : topology.nodes()) {
            unsigned place{count++};
            for (; place > 0 && topology.distance(mine.node, mine.near[place - 1]) > topology.distance(mine.node, node);
                 --place)
                mine.near[place] = mine.near[place - 1];
            mine.near[place] = node;
        }
    }
    Guard guard{lock_, irqs_off};
    if (cpus_.empty())
        master_.store(cpu, relaxed);
    cpus_.set(cpu);
    idle_.set(mine.node, cpu);
}

void NumaCredit::pcpu_leaves(CpuId, CpuId cpu, Instant now) noexcept
{
    PcpuState& mine{at(cpu)};
    idle_.clear(mine.node, cpu);
    for (NodeId const node : homesick_.nodes())
        homesick_.clear(node, cpu);
    Guard guard{lock_, irqs_off};
    cpus_.clear(cpu);
    if (cpu != master_.load(relaxed))
        return;
    pool_.env().disarm(cpu, timer::accounting);
    if (std::optional<CpuId> const lowest = cpus_.first()) {
        master_.store(*lowest, relaxed);
        if (accounts_.load())
            pool_.env().arm(*lowest, timer::accounting, now + accounting_period);
    } else {
        accounts_.store(false); // the first wake-up after somebody has joined starts it
    }
}

// On an idle machine there is nothing to account for: the timer stops, and somebody's wake-up starts it again.
void NumaCredit::keep_accounting(Instant now)
{
    if (!accounts_.load() && !accounts_.exchange(true)) [[unlikely]]
        pool_.env().arm(master_.load(relaxed), timer::accounting, now + accounting_period);
}

// The mean of the busy pCPUs' clocks, and how busy each node was in the last sixteen periods or so.
void NumaCredit::update_reference()
{
    VirtualTime const before{reference_.load(relaxed)};
    std::int64_t sum{0}, count{0};
    for (NodeId const node : pool_.topology().nodes()) {
        std::uint32_t busy{0}, all{0};
        for (CpuId const cpu : pool_.topology().pcpus_of(node) & pool_.members()) {
            PcpuState const& one{at(cpu)};
            ++all;
            if (one.load.load(relaxed) == 0)
                continue;
            sum += one.clock.load(relaxed) - before;
            ++busy;
        }
        if (all == 0)
            continue;
        count += busy;
        std::atomic<std::uint32_t>& lately{node_busy_[node.value()]};
        lately.store((lately.load(relaxed) * 15 + 1000 * busy / all) / 16, relaxed);
    }
    if (count != 0)
        reference_.store(before + sum / count, relaxed);
}

// What all its vCPUs have left, and what it gets, in equal parts. What one does not use is there for the others later,
// so that the domain gets its cap if it can use it at all.
void NumaCredit::hand_out(DomainState& domain, Duration period, Parking& parking)
{
    if (domain.count == 0)
        return;
    if (domain.cap == 0) { // no longer
        for (VcpuState& vcpu : domain.members) {
            if (vcpu.parked.exchange(false))
                parking.unpark(vcpu.vcpu);
        }
        return;
    }
    std::int64_t const income{period.ns() * domain.cap / 100};
    std::int64_t total{income};
    for (VcpuState const& vcpu : domain.members)
        total += vcpu.budget.load(relaxed);
    std::int64_t const most{income * (domain.count + most_saved)};
    total = total < most ? total : most;
    std::int64_t const share{total / domain.count};
    for (VcpuState& vcpu : domain.members) {
        vcpu.budget.fetch_add(share - vcpu.budget.load(relaxed), relaxed);
        if (share > 0 && vcpu.parked.load() && vcpu.parked.exchange(false)) {
            parking.unpark(vcpu.vcpu);
        } else if (share < 0 && !params_.cap_budget && !vcpu.parked.exchange(true)) {
            parking.park(vcpu.vcpu);
        }
    }
}

void NumaCredit::account(CpuId self, Instant now, Parking& parking) noexcept
{
    update_reference();
    Guard guard{lock_, irqs_off};
    if (self != master_.load(relaxed))
        return;
    unsigned const every{params_.cap_budget ? 1u : 3u};
    if (++periods_ % every == 0) {
        // For the time that passed: a timer may be late. More means that it was stopped.
        Duration const nominal{accounting_period * every}, passed{now - handed_out_};
        Duration const period{passed > nominal * 2 ? nominal : passed};
        handed_out_ = now;
        for (auto next = capped_.begin(); next != capped_.end();) {
            DomainState& domain{*next++};
            hand_out(domain, period, parking);
            if (domain.cap == 0)
                capped_.erase(domain);
        }
    }
    // Stopped first, then looked: a wake-up in between either sees that it has stopped, or is seen.
    accounts_.store(false);
    if ((!capped_.empty() || is_busy()) && !accounts_.exchange(true))
        pool_.env().arm(self, timer::accounting, now + accounting_period);
}

bool NumaCredit::is_busy()
{
    for (CpuId const cpu : cpus_) {
        if (at(cpu).load.load() != 0)
            return true;
    }
    return false;
}

void NumaCredit::vcpu_added(Vcpu& vcpu, Instant) noexcept
{
    Guard guard{lock_, irqs_off};
    DomainState& domain{data(vcpu.domain)};
    domain.members.push_back(data(vcpu));
    ++domain.count;
}

void NumaCredit::vcpu_removed(CpuId, Vcpu& vcpu, Instant) noexcept
{
    Guard guard{lock_, irqs_off};
    DomainState& domain{data(vcpu.domain)};
    domain.members.erase(data(vcpu));
    --domain.count;
    // It may go on in another pool. Nobody needs to be woken: it has been stopped.
    if (data(vcpu).parked.exchange(false))
        vcpu.pause_count.fetch_sub(1);
}

void NumaCredit::domain_removed(CpuId, Domain& domain, Instant) noexcept
{
    Guard guard{lock_, irqs_off};
    if (data(domain).is_linked())
        capped_.erase(data(domain));
}

void NumaCredit::params_changed(Domain& domain, DomainParams params) noexcept
{
    Guard guard{lock_, irqs_off};
    DomainState& changed{data(domain)};
    changed.weight.store(params.weight, relaxed);
    changed.cap = params.cap;
    // One that is capped no longer stays in the list until the next accounting, which lets its vCPUs go on.
    if (params.cap != 0 && !changed.is_linked())
        capped_.push_back(changed);
    for (VcpuState& vcpu : changed.members)
        vcpu.capped.store(params.cap != 0); // seq_cst: stands against is_out_of_budget
}

} // namespace hv::sched::numacredit
