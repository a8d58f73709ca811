#include "tools/nv/trace_summary.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/feed.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

using sched::trace::Event;

constexpr std::uint64_t long_gaps_in_second = 1000; // longer than 1 ms

std::size_t index_of(sched::trace::RunStateCode state) { return static_cast<std::size_t>(state); }

} // namespace

Summariser::Summariser(TraceFacts facts, std::uint64_t hz, std::span<std::uint32_t const> pcpus)
    : facts_{std::move(facts)}
{
    figures_.hz = hz;
    figures_.nodes_known = !facts_.node_of.empty();
    figures_.names = facts_.names;
    for (std::uint32_t const pcpu : pcpus) {
        if (figures_.nodes_known && pcpu >= facts_.node_of.size())
            refuse(fmt::format("the trace has pCPU {}, but the nodes of only {} pCPUs are given; correct --nodes or "
                               "pcpu_nodes of --facts",
                               pcpu, facts_.node_of.size()));
        pcpus_[pcpu].pcpu = pcpu;
    }
}

Summariser::Vcpu& Summariser::find(std::uint32_t packed)
{
    auto const [at, is_new] = vcpus_.try_emplace(packed);
    Vcpu& vcpu = at->second;
    if (!is_new)
        return vcpu;
    auto const domain = static_cast<std::uint16_t>(packed >> 16);
    auto const index = static_cast<std::uint16_t>(packed);
    vcpu.figures.domain = domain;
    vcpu.figures.vcpu = index;
    if (std::optional<std::vector<std::uint16_t>> const home = facts_.home_of(domain, index)) {
        vcpu.home = *home;
        vcpu.figures.home = 0;
    }
    if (std::optional<std::vector<std::uint16_t>> const hard = facts_.hard_of(domain, index)) {
        vcpu.anywhere = false;
        for (std::uint16_t const pcpu : *hard)
            vcpu.hard.set(CpuId{pcpu});
    }
    return vcpu;
}

// Moves the clock on to the record; false if the record cannot be placed in time.
bool Summariser::take_time(Record const& record)
{
    if (!started_ && !record.has_stamp)
        return false;
    if (!started_)
        figures_.first = now_ = record.stamp;
    started_ = true;
    figures_.backward += record.stamp < now_ ? 1u : 0u;
    now_ = std::max(now_, record.stamp);
    return true;
}

void Summariser::record(Record const& record)
{
    ++figures_.records;
    ++figures_.events[record.event];
    if (record.event == static_cast<std::uint32_t>(Event::lost_records)) {
        ++figures_.lost_records;
        figures_.lost_events += record.word_count != 0 ? record.word_store[0] : 0;
        return;
    }
    bool const has_time = take_time(record);
    std::optional<sched::trace::RunStateChange> const to = sched::trace::decode_runstate(record.event);
    bool const is_continue = record.event == static_cast<std::uint32_t>(Event::continue_running);
    if ((!to && !is_continue) || record.word_count == 0)
        return;
    if (!has_time) {
        ++figures_.undated;
        return;
    }
    if (is_continue)
        continued(record.word_store[0], record.pcpu);
    else
        change(record.word_store[0], to->from, to->to, record.pcpu);
}

// Ends the stay in the state of before.
void Summariser::close(Vcpu& vcpu)
{
    std::uint64_t const span = now_ - vcpu.since;
    vcpu.figures.in_state[index_of(vcpu.state)] += span;
    if (vcpu.state != State::running)
        return;
    PcpuFigures& pcpu = pcpus_[vcpu.pcpu];
    (vcpu.figures.domain == idle_domain ? pcpu.idle : pcpu.busy) += span;
    if (vcpu.figures.home && std::ranges::find(vcpu.home, facts_.node_of[vcpu.pcpu]) != vcpu.home.end())
        *vcpu.figures.home += span;
}

void Summariser::add_wait(Vcpu& vcpu)
{
    (vcpu.woken ? vcpu.figures.wakes : vcpu.figures.preempts).add(now_ - vcpu.since);
    if (++waits_ < most_exact)
        return;
    vcpu.figures.wakes.pack();
    vcpu.figures.preempts.pack();
    if (waits_ == most_exact)
        for (auto& [packed, other] : vcpus_) {
            other.figures.wakes.pack();
            other.figures.preempts.pack();
        }
}

void Summariser::start(Vcpu& vcpu, std::uint32_t pcpu)
{
    if (vcpu.last_start && *vcpu.last_start != pcpu) {
        ++vcpu.figures.migrations;
        if (figures_.nodes_known && facts_.node_of[*vcpu.last_start] != facts_.node_of[pcpu])
            ++vcpu.figures.cross_node;
    }
    vcpu.last_start = pcpu;
    vcpu.pcpu = pcpu;
}

void Summariser::change(std::uint32_t packed, State from, State to, std::uint32_t pcpu)
{
    Vcpu& vcpu = find(packed);
    bool const is_idle_vcpu = vcpu.figures.domain == idle_domain;
    figures_.switches += to == State::running ? 1u : 0u;
    figures_.wakeups += from == State::blocked && to == State::runnable ? 1u : 0u;
    if (vcpu.seen) {
        close(vcpu);
        if (vcpu.state == State::runnable && to == State::running && !is_idle_vcpu)
            add_wait(vcpu);
        if (vcpu.state == State::runnable && !is_idle_vcpu)
            std::erase(waiting_, &vcpu);
    }
    vcpu.seen = true;
    vcpu.state = to;
    vcpu.since = now_;
    vcpu.woken = from == State::blocked;
    if (to == State::running)
        start(vcpu, pcpu);
    if (to == State::runnable && !is_idle_vcpu)
        waiting_.push_back(&vcpu);
    update_gap(vcpu);
    if (to == State::running)
        update_idle(is_idle_vcpu, pcpu);
}

// A vCPU that never switches shows only so.
void Summariser::continued(std::uint32_t packed, std::uint32_t pcpu)
{
    Vcpu& vcpu = find(packed);
    if (vcpu.seen)
        return;
    vcpu.seen = true;
    vcpu.state = State::running;
    vcpu.since = now_;
    start(vcpu, pcpu);
}

void Summariser::update_idle(bool is_idle_vcpu, std::uint32_t pcpu)
{
    CpuId const cpu{static_cast<std::uint16_t>(pcpu)};
    if (idle_.test(cpu) == is_idle_vcpu)
        return;
    if (is_idle_vcpu)
        idle_.set(cpu);
    else
        idle_.clear(cpu);
    for (Vcpu* const vcpu : waiting_)
        update_gap(*vcpu);
}

void Summariser::update_gap(Vcpu& vcpu)
{
    bool const waits = vcpu.state == State::runnable && vcpu.figures.domain != idle_domain;
    bool const broken = waits && (vcpu.anywhere ? !idle_.empty() : vcpu.hard.intersects(idle_));
    if (broken && !vcpu.gap_since) {
        vcpu.gap_since = now_;
    } else if (!broken && vcpu.gap_since) {
        end_gap(vcpu, *vcpu.gap_since);
        vcpu.gap_since.reset();
    }
}

void Summariser::end_gap(Vcpu const& vcpu, std::uint64_t begin)
{
    std::uint64_t const length = now_ - begin;
    ++figures_.gaps;
    figures_.longest_gap = std::max(figures_.longest_gap, length);
    std::vector<Gap>& worst = figures_.worst_gaps;
    auto const longer = [&](Gap const& gap) { return gap.length >= length; };
    worst.insert(std::find_if_not(worst.begin(), worst.end(), longer),
                 {length, begin, vcpu.figures.domain, vcpu.figures.vcpu});
    worst.resize(std::min(worst.size(), most_worst_gaps));
    if (length * long_gaps_in_second <= figures_.hz)
        return;
    ++figures_.long_gaps;
    figures_.long_gap_ticks += length;
    std::string const name = fmt::format("d{}v{}", vcpu.figures.domain, vcpu.figures.vcpu);
    auto& counts = figures_.long_gaps_of;
    auto found = std::ranges::find(counts, name, &std::pair<std::string, std::uint64_t>::first);
    if (found == counts.end())
        found = counts.insert(counts.end(), {name, 0});
    ++found->second;
}

TraceFigures Summariser::finish(std::uint64_t windows)
{
    figures_.last = now_;
    figures_.records += windows;
    figures_.events[static_cast<std::uint32_t>(Event::cpu_change)] += windows;
    for (auto& [packed, vcpu] : vcpus_) {
        close(vcpu);
        if (vcpu.figures.domain != idle_domain)
            figures_.vcpus.push_back(std::move(vcpu.figures));
    }
    for (auto const& [number, pcpu] : pcpus_)
        figures_.pcpus.push_back(pcpu);
    return std::move(figures_);
}

} // namespace hv::nv
