#include "tools/nv/metrics_ledger.hpp"

#include "tools/nv/matching.hpp"

#include <algorithm>

namespace hv::nv {

namespace {

void erase_value(std::vector<std::size_t>& from, std::size_t value)
{
    auto const found = std::ranges::find(from, value);
    if (found == from.end())
        return;
    *found = from.back();
    from.pop_back();
}

} // namespace

void Sums::add(Sums const& other)
{
    for (std::size_t i = 0; i < run_state_count; ++i)
        in_state[i] += other.in_state[i];
    placeable += other.placeable;
    home += other.home;
    misplaced += other.misplaced;
    max_wait = std::max(max_wait, other.max_wait);
    wakes += other.wakes;
    jobs += other.jobs;
    missed += other.missed;
    migrations += other.migrations;
    cross_node += other.cross_node;
}

Ledger::Ledger(Rules const& rules, std::vector<std::uint8_t> node_of) : rules_{rules}, node_of_{std::move(node_of)}
{
    if (is_whole())
        idle_ = CpuMask::first_n(static_cast<unsigned>(node_of_.size()));
    use_.resize(node_of_.size());
}

std::size_t Ledger::add(Place const& place)
{
    vcpus_.emplace_back().place = place;
    return vcpus_.size() - 1;
}

std::int64_t Ledger::in_window(std::int64_t when) const { return std::clamp(when, rules_.start, rules_.end); }

// Brings the sums up to a time, with what was true since the last event.
void Ledger::advance(std::int64_t to)
{
    std::int64_t const span = in_window(to) - in_window(now_);
    now_ = std::max(now_, to);
    if (span <= 0)
        return;
    if (changed_) {
        misplaced_.clear();
        for (std::size_t const stray : strays_)
            if (vcpus_[stray].place.home.intersects(idle_))
                misplaced_.push_back(stray);
    }
    for (std::size_t const vcpu : misplaced_)
        vcpus_[vcpu].sums.misplaced += span;
    if (is_whole()) {
        idle_time_ += static_cast<std::int64_t>(idle_.count()) * span;
        account_conservation(span);
    }
    changed_ = false;
}

void Ledger::account_conservation(std::int64_t span)
{
    if (changed_)
        lost_ = lost_now();
    if (lost_ == 0) {
        settle_conservation();
        return;
    }
    spell_ += span;
    spell_lost_ += static_cast<std::int64_t>(lost_) * span;
}

void Ledger::settle_conservation()
{
    if (spell_ >= rules_.grain) {
        violation_ += spell_;
        lost_time_ += spell_lost_;
    }
    spell_ = spell_lost_ = 0;
}

// The number of waiting vCPUs that the idle pCPUs could run at this moment.
std::size_t Ledger::lost_now()
{
    if (waiting_.empty() || idle_.empty())
        return 0;
    std::vector<CpuMask const*> allowed;
    for (std::size_t const vcpu : waiting_)
        if (vcpus_[vcpu].place.hard.intersects(idle_))
            allowed.push_back(&vcpus_[vcpu].place.hard);
    return max_matching(idle_, allowed);
}

// Ends the stay in a state: its time within the window, and what it means for a run or a wait.
void Ledger::close_state(Vcpu& vcpu, std::int64_t when)
{
    std::int64_t const span = in_window(when) - in_window(vcpu.since);
    vcpu.sums.in_state[static_cast<std::size_t>(vcpu.state)] += span;
    if (vcpu.state == RunState::runnable && when >= rules_.start)
        vcpu.sums.max_wait = std::max(vcpu.sums.max_wait, when - vcpu.since);
    if (vcpu.state != RunState::running || !vcpu.last_pcpu)
        return;
    std::uint16_t const pcpu = *vcpu.last_pcpu;
    (vcpu.place.is_idle ? use_[pcpu].idle : use_[pcpu].busy) += static_cast<std::uint64_t>(span);
    if (vcpu.place.preferred.empty())
        return;
    vcpu.sums.placeable += span;
    vcpu.sums.home += is_home(vcpu, pcpu) ? span : 0;
}

void Ledger::depart(std::size_t index)
{
    Vcpu& vcpu = vcpus_[index];
    if (vcpu.state == RunState::runnable)
        erase_value(waiting_, index);
    if (vcpu.state == RunState::running) {
        if (is_whole())
            idle_.set(CpuId{*vcpu.last_pcpu});
        erase_value(strays_, index);
    }
    close_state(vcpu, now_);
}

void Ledger::add_wait(Vcpu& vcpu)
{
    auto const wait = static_cast<std::uint64_t>(now_ - vcpu.since);
    (vcpu.from_blocked ? vcpu.after_wake : vcpu.after_other).add(wait);
    if (is_whole() || ++waits_ < most_exact)
        return;
    vcpu.after_wake.pack();
    vcpu.after_other.pack();
    if (waits_ == most_exact)
        for (Vcpu& other : vcpus_) {
            other.after_wake.pack();
            other.after_other.pack();
        }
}

// It begins to run.
void Ledger::start(std::size_t index, std::uint16_t pcpu)
{
    Vcpu& vcpu = vcpus_[index];
    if (vcpu.last_pcpu && *vcpu.last_pcpu != pcpu && counts(now_)) {
        ++vcpu.sums.migrations;
        if (!node_of_.empty())
            vcpu.sums.cross_node += node_of_[*vcpu.last_pcpu] != node_of_[pcpu] ? 1u : 0u;
    }
    vcpu.last_pcpu = pcpu;
    if (pcpu >= use_.size())
        use_.resize(pcpu + std::size_t{1});
    if (!vcpu.place.preferred.empty() && !is_home(vcpu, pcpu))
        strays_.push_back(index);
}

void Ledger::arrive(std::size_t index, std::uint16_t pcpu)
{
    Vcpu& vcpu = vcpus_[index];
    if (vcpu.seen && vcpu.state == RunState::runnable && !vcpu.place.is_idle && counts(now_))
        add_wait(vcpu);
    if (vcpu.woken_at && is_whole() && counts(now_))
        vcpu.wakes.add(static_cast<std::uint64_t>(now_ - *vcpu.woken_at));
    vcpu.woken_at.reset();
    start(index, pcpu);
    if (!is_whole())
        return;
    contradictions_ += idle_.test(CpuId{pcpu}) ? 0u : 1u;
    idle_.clear(CpuId{pcpu});
}

// A scenario may be heard from its midst on: before its first event a vCPU was in the state that it leaves now.
void Ledger::begin(Vcpu& vcpu, RunState state, std::uint16_t pcpu)
{
    vcpu.seen = true;
    vcpu.state = state;
    if (state != RunState::running)
        return;
    vcpu.last_pcpu = pcpu;
    idle_.clear(CpuId{pcpu});
}

void Ledger::change(std::int64_t when, std::size_t index, RunState from, RunState to, std::uint16_t pcpu)
{
    advance(when);
    Vcpu& vcpu = vcpus_[index];
    if (!vcpu.seen && is_whole())
        begin(vcpu, from, pcpu);
    contradictions_ += vcpu.state != from || (from == RunState::running && vcpu.last_pcpu != pcpu) ? 1u : 0u;
    if (vcpu.seen)
        depart(index);
    // A wake-up of a vCPU that is parked makes it offline: it can run when it is unparked.
    if (from == RunState::blocked && (to == RunState::runnable || to == RunState::offline)) {
        vcpu.woken_at = now_;
        vcpu.sums.wakes += counts(now_) ? 1u : 0u;
    } else if (to == RunState::blocked) {
        vcpu.woken_at.reset();
    } else if (to == RunState::running) {
        arrive(index, pcpu);
    }
    if (to == RunState::runnable && !vcpu.place.is_idle)
        waiting_.push_back(index);
    vcpu.seen = true;
    vcpu.state = to;
    vcpu.since = now_;
    vcpu.from_blocked = from == RunState::blocked;
    changed_ = true;
    if (is_whole())
        return;
    update_gap(index);
    if (to == RunState::running)
        note_idle(vcpu.place.is_idle, pcpu);
}

void Ledger::continued(std::int64_t when, std::size_t index, std::uint16_t pcpu)
{
    advance(when);
    Vcpu& vcpu = vcpus_[index];
    if (vcpu.seen)
        return;
    vcpu.seen = true;
    vcpu.state = RunState::running;
    vcpu.since = now_;
    start(index, pcpu);
    changed_ = true;
}

void Ledger::note_idle(bool is_idle, std::uint16_t pcpu)
{
    CpuId const cpu{pcpu};
    if (idle_.test(cpu) == is_idle)
        return;
    if (is_idle)
        idle_.set(cpu);
    else
        idle_.clear(cpu);
    for (std::size_t const vcpu : waiting_)
        update_gap(vcpu);
}

void Ledger::update_gap(std::size_t index)
{
    Vcpu& vcpu = vcpus_[index];
    bool const waits = vcpu.state == RunState::runnable && !vcpu.place.is_idle;
    bool const broken = waits && vcpu.place.hard.intersects(idle_);
    if (broken && !vcpu.gap_since) {
        vcpu.gap_since = now_;
        for (CpuId const cpu : idle_)
            if (vcpu.place.hard.test(cpu)) {
                vcpu.gap_pcpu = cpu.value();
                break;
            }
    } else if (!broken && vcpu.gap_since) {
        end_gap(index);
    }
}

void Ledger::end_gap(std::size_t index)
{
    Vcpu& vcpu = vcpus_[index];
    Gap const gap{.length = now_ - *vcpu.gap_since, .begin = *vcpu.gap_since, .vcpu = index, .pcpu = vcpu.gap_pcpu};
    vcpu.gap_since.reset();
    ++gaps_.count;
    gaps_.longest = std::max(gaps_.longest, gap.length);
    auto const longer = [&](Gap const& other) { return other.length >= gap.length; };
    gaps_.worst.insert(std::find_if_not(gaps_.worst.begin(), gaps_.worst.end(), longer), gap);
    if (gaps_.worst.size() > most_worst_gaps)
        gaps_.worst.pop_back();
    if (gap.length <= rules_.long_gap)
        return;
    ++gaps_.long_count;
    gaps_.long_total += static_cast<std::uint64_t>(gap.length);
    auto found = std::ranges::find(gaps_.long_of, index, &std::pair<std::size_t, std::uint64_t>::first);
    if (found == gaps_.long_of.end())
        found = gaps_.long_of.insert(gaps_.long_of.end(), {index, 0});
    ++found->second;
}

void Ledger::finish()
{
    std::int64_t const end = is_whole() ? rules_.end : std::max(now_, rules_.start);
    advance(end);
    settle_conservation();
    for (Vcpu& vcpu : vcpus_) {
        if (!vcpu.seen && !is_whole())
            continue;
        close_state(vcpu, end);
        vcpu.since = end;
    }
}

} // namespace hv::nv
