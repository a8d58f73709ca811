// Virtual time: who has run how much, and the order that follows from it.
#include "sched/numacredit/numacredit.hpp"

namespace hv::sched::numacredit {

namespace {

// So many members get whole slices, more of them shorter ones.
constexpr std::int64_t whole_slices{4};

void advance(PcpuState& pcpu, std::int64_t distance) { pcpu.clock.store(pcpu.clock.load(relaxed) + distance, relaxed); }

} // namespace

// What it ran since it was last charged.
void NumaCredit::charge(PcpuState& pcpu, VcpuState& vcpu, Instant now)
{
    Duration ran{now - vcpu.charged};
    if (!params_.precise) { // by samples: whoever runs at a tick pays all of it
        Duration const tick{accounting_period};
        ran = tick * (now.since_start() / tick - vcpu.charged.since_start() / tick);
    }
    vcpu.charged = now;
    if (ran <= Duration{})
        return;
    vcpu.at = vcpu.at + virtual_of(ran, vcpu.weight);
    advance(pcpu, virtual_of(ran, pcpu.weight));
    vcpu.unmoved += ran;
    vcpu.boost -= ran;
    if (pcpu.load.load(relaxed) > 1) // at nobody's expense otherwise
        vcpu.allowance -= ran;
    if (vcpu.capped) [[unlikely]]
        vcpu.budget.fetch_sub(ran.ns(), relaxed);
}

// It is a member here from now on; `credit` is what it has too little. Everybody else pays for that, or gets it.
void NumaCredit::join(PcpuState& pcpu, VcpuState& vcpu)
{
    vcpu.weight = data(vcpu.vcpu.domain).weight.load(relaxed);
    vcpu.joined = true;
    if (vcpu.member_of != pcpu.pcpu.id)
        vcpu.unmoved = Duration{};
    vcpu.member_of = pcpu.pcpu.id;
    ++pcpu.members;
    if (pcpu.weight == 0)
        pcpu.clock.store(reference_.load(relaxed), relaxed);
    vcpu.at = pcpu.clock.load(relaxed) + -virtual_of(vcpu.credit, vcpu.weight);
    pcpu.weight += vcpu.weight;
    advance(pcpu, -virtual_of(vcpu.credit, pcpu.weight));
}

void NumaCredit::leave(PcpuState& pcpu, VcpuState& vcpu)
{
    vcpu.credit = real_of(pcpu.clock.load(relaxed) - vcpu.at, vcpu.weight);
    vcpu.joined = false;
    --pcpu.members;
    pcpu.weight -= vcpu.weight;
    if (pcpu.weight != 0)
        advance(pcpu, virtual_of(vcpu.credit, pcpu.weight));
}

// A member runs or waits from now on.
void NumaCredit::start(PcpuState& pcpu, VcpuState& vcpu)
{
    pcpu.load.store(pcpu.load.load(relaxed) + 1); // seq_cst: stands against account(), which looks before it stops
    count_heaviest(pcpu, vcpu);
    if (vcpu.is_away(pcpu.pcpu.id)) [[unlikely]] {
        for (NodeId const node : vcpu.home)
            homesick_.set(node, pcpu.pcpu.id);
    }
}

// A member no longer runs or waits. One that waits for an event remains a member for a while, so that what it is
// entitled to is what it would get if it did not sleep.
void NumaCredit::stop(PcpuState& pcpu, VcpuState& vcpu, Instant now)
{
    vcpu.ran_out = vcpu.parked.load(relaxed);
    vcpu.blocked = vcpu.vcpu.has_flag(PauseFlag::blocked) || vcpu.ran_out;
    pcpu.load.store(pcpu.load.load(relaxed) - 1, relaxed);
    if (vcpu.weight == pcpu.heaviest && --pcpu.heaviest_count == 0)
        find_heaviest(pcpu, vcpu);
    if (vcpu.blocked && !vcpu.vcpu.has_flag(PauseFlag::migrating)) {
        vcpu.fell_asleep = now;
        vcpu.credit_before = real_of(pcpu.clock.load(relaxed) - vcpu.at, vcpu.weight);
        pcpu.sleepers.push_back(vcpu);
    } else {
        leave(pcpu, vcpu);
    }
}

void NumaCredit::count_heaviest(PcpuState& pcpu, VcpuState const& vcpu)
{
    if (vcpu.weight > pcpu.heaviest) {
        pcpu.heaviest = vcpu.weight;
        pcpu.heaviest_count = 0;
    }
    if (vcpu.weight == pcpu.heaviest)
        ++pcpu.heaviest_count;
}

// Of those who run or wait, `gone` no longer counted.
void NumaCredit::find_heaviest(PcpuState& pcpu, VcpuState const& gone)
{
    pcpu.heaviest = 0;
    VcpuState const& current{data(*pcpu.pcpu.current)};
    if (&current != &gone && current.joined && !current.is_asleep())
        count_heaviest(pcpu, current);
    for (VcpuState const& rest : pcpu.queue)
        count_heaviest(pcpu, rest);
}

// Somebody came or left who is far from the mean. Whoever sleeps has nothing to do with it.
void NumaCredit::move_sleepers(PcpuState& pcpu, std::int64_t distance)
{
    for (VcpuState& vcpu : pcpu.sleepers)
        vcpu.at = vcpu.at + distance;
}

// A sleeper wakes. It has gained so much at most; the others get the rest.
void NumaCredit::wake_up(PcpuState& pcpu, VcpuState& vcpu)
{
    pcpu.sleepers.erase(vcpu);
    Duration const credit{real_of(pcpu.clock.load(relaxed) - vcpu.at, vcpu.weight)};
    Duration const limit{params_.credit_limit};
    Duration const most{vcpu.credit_before > limit ? vcpu.credit_before : limit};
    vcpu.credit = credit;
    if (credit > most) {
        leave(pcpu, vcpu);
        vcpu.credit = most;
        join(pcpu, vcpu);
    }
}

// Nobody gains for ever. At most two, so that the cost is shared by all decisions.
void NumaCredit::forget_sleepers(PcpuState& pcpu, Instant now)
{
    for (unsigned count = 0; count < 2 && !pcpu.sleepers.empty(); ++count) {
        VcpuState& longest{*pcpu.sleepers.begin()};
        if (now - longest.fell_asleep < longest_gain)
            return;
        pcpu.sleepers.erase(longest);
        leave(pcpu, longest);
        if (longest.credit > params_.credit_limit)
            longest.credit = params_.credit_limit;
    }
}

// The boosted first come first served, then the others by virtual time.
void NumaCredit::insert(PcpuState& pcpu, VcpuState& vcpu)
{
    auto position = pcpu.queue.end();
    if (vcpu.is_boosted()) {
        position = pcpu.queue.begin();
        while (position != pcpu.queue.end() && position->is_boosted())
            ++position;
    } else if (params_.ordered) {
        // From behind: who has just run belongs there.
        while (position != pcpu.queue.begin()) {
            auto before = position;
            --before;
            if (before->is_boosted() || !(vcpu.at < before->at))
                break;
            position = before;
        }
    }
    pcpu.queue.insert_before(position, vcpu);
    ++pcpu.waiting;
    if (vcpu.movable && pcpu.movable++ == 0)
        waiting_.set(pcpu.node, pcpu.pcpu.id);
    publish(pcpu);
}

void NumaCredit::remove(PcpuState& pcpu, VcpuState& vcpu)
{
    pcpu.queue.erase(vcpu);
    --pcpu.waiting;
    if (vcpu.movable && --pcpu.movable == 0)
        waiting_.clear(pcpu.node, pcpu.pcpu.id);
    publish(pcpu);
}

void NumaCredit::publish(PcpuState& pcpu)
{
    if (pcpu.queue.empty())
        return;
    VcpuState const& first{*pcpu.queue.begin()};
    pcpu.first.store(first.at, relaxed);
    pcpu.first_weight.store(first.weight, relaxed);
}

// A queue whose members may run nowhere else can fall behind the rest of the machine, or get ahead of it, without
// limit. All of them are moved, so that nothing changes between them.
void NumaCredit::follow_the_machine(PcpuState& pcpu, VcpuState* current, Duration limit)
{
    std::int64_t const most{virtual_of(limit, default_weight)};
    std::int64_t const ahead{pcpu.clock.load(relaxed) - reference_.load(relaxed)};
    if (ahead <= most && ahead >= -most) [[likely]]
        return;
    std::int64_t const by{ahead > 0 ? most - ahead : -most - ahead};
    advance(pcpu, by);
    if (current != nullptr)
        current->at = current->at + by;
    for (VcpuState& vcpu : pcpu.queue)
        vcpu.at = vcpu.at + by;
    move_sleepers(pcpu, by);
    publish(pcpu);
}

// By weight, so that everybody gets a turn each round: the heaviest a whole slice.
Duration NumaCredit::slice_of(PcpuState const& pcpu, VcpuState const& vcpu) const
{
    Duration const whole{params_.tslice};
    if (vcpu.weight == pcpu.heaviest && pcpu.members <= whole_slices) [[likely]]
        return whole;
    Duration part{whole * vcpu.weight / pcpu.heaviest};
    if (pcpu.members > whole_slices)
        part = part * whole_slices / pcpu.members;
    return part < shortest_slice ? shortest_slice : part;
}

} // namespace hv::sched::numacredit
