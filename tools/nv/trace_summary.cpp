#include "tools/nv/trace_summary.hpp"

#include "tools/nv/feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace hv::nv {

namespace {

using sched::trace::Event;

constexpr std::uint64_t long_gaps_in_second = 1000; // longer than 1 ms
// A damaged trace may say anything; times stay far from overflows.
constexpr std::uint64_t farthest = std::uint64_t{1} << 61; // ticks

std::vector<std::uint8_t> nodes_of(TraceFacts const& facts)
{
    std::vector<std::uint8_t> nodes;
    for (std::uint16_t const node : facts.node_of)
        nodes.push_back(static_cast<std::uint8_t>(node));
    return nodes;
}

Ledger::Rules rules_of(std::uint64_t hz)
{
    Ledger::Rules rules;
    rules.source = Ledger::Source::stranger;
    rules.long_gap = static_cast<std::int64_t>(hz / long_gaps_in_second);
    return rules;
}

std::uint64_t ticks(std::int64_t sum) { return static_cast<std::uint64_t>(sum); }

} // namespace

void VcpuFigures::add(VcpuFigures const& other)
{
    count += other.count;
    std::ranges::transform(in_state, other.in_state, in_state.begin(), std::plus{});
    for (auto const member : {&VcpuFigures::home, &VcpuFigures::misplaced})
        if (other.*member)
            this->*member = (this->*member).value_or(0) + *(other.*member);
    placed += other.placed;
    migrations += other.migrations;
    cross_node += other.cross_node;
    wakes.add(other.wakes);
    preempts.add(other.preempts);
}

std::vector<VcpuFigures> TraceFigures::domains() const
{
    std::vector<VcpuFigures> sums;
    for (VcpuFigures const& vcpu : vcpus)
        if (!sums.empty() && sums.back().domain == vcpu.domain)
            sums.back().add(vcpu);
        else
            sums.push_back(vcpu);
    return sums;
}

GuestTotals TraceFigures::guests() const
{
    GuestTotals all;
    for (VcpuFigures const& vcpu : vcpus) {
        if (vcpu.domain == 0)
            continue;
        all.run += vcpu.run();
        all.placed += vcpu.placed;
        all.home += vcpu.home.value_or(0);
        all.migrations += vcpu.migrations;
        all.cross_node += vcpu.cross_node;
    }
    return all;
}

std::vector<std::uint64_t> TraceFigures::wait_limits() const
{
    std::vector<std::uint64_t> limits;
    for (std::uint64_t us = 1; us <= most_wait_limit; us *= 2)
        limits.push_back((us * hz + 999'999) / 1'000'000); // at most 2^20 * 10^11
    return limits;
}

Summariser::Summariser(TraceFacts facts, std::uint64_t hz, std::span<std::uint32_t const> pcpus)
    : facts_{std::move(facts)}, ledger_{rules_of(hz), nodes_of(facts_)}, pcpus_{pcpus.begin(), pcpus.end()}
{
    figures_.hz = hz;
    figures_.nodes_known = !facts_.node_of.empty();
    figures_.names = facts_.names;
    require_nodes(facts_, pcpus);
}

Ledger::Place Summariser::place_of(std::uint16_t domain, std::uint16_t vcpu) const
{
    Ledger::Place place;
    place.is_idle = domain == idle_domain;
    if (std::optional<std::vector<std::uint16_t>> const hard = facts_.hard_of(domain, vcpu))
        for (std::uint16_t const pcpu : *hard)
            place.hard.set(CpuId{pcpu});
    else
        place.hard = CpuMask::first_n(CpuMask::capacity);
    std::optional<std::vector<std::uint16_t>> const home{facts_.home_of(domain, vcpu)};
    for (std::uint16_t const node : home.value_or(std::vector<std::uint16_t>{}))
        place.preferred.set(NodeId{static_cast<NodeId::Rep>(node)});
    for (std::size_t i = 0; i < facts_.node_of.size(); ++i) {
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        if (place.hard.test(cpu) && place.preferred.test(NodeId{static_cast<NodeId::Rep>(facts_.node_of[i])}))
            place.home.set(cpu);
    }
    return place;
}

std::size_t Summariser::find(std::uint32_t packed)
{
    auto const [at, is_new] = index_of_.try_emplace(packed, packed_of_.size());
    if (is_new) {
        ledger_.add(place_of(static_cast<std::uint16_t>(packed >> 16), static_cast<std::uint16_t>(packed)));
        packed_of_.push_back(packed);
    }
    return at->second;
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
    std::uint64_t const span = record.stamp < figures_.first ? 0 : record.stamp - figures_.first;
    now_ = std::max(now_, figures_.first + std::min(span, farthest));
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
    auto const when = static_cast<std::int64_t>(now_ - figures_.first);
    std::size_t const vcpu = find(record.word_store[0]);
    auto const pcpu = static_cast<std::uint16_t>(record.pcpu);
    if (is_continue)
        return ledger_.continued(when, vcpu, pcpu);
    figures_.switches += to->to == RunState::running ? 1u : 0u;
    figures_.wakeups += to->from == RunState::blocked && to->to == RunState::runnable ? 1u : 0u;
    ledger_.change(when, vcpu, to->from, to->to, pcpu);
}

VcpuFigures Summariser::figures_of(std::uint32_t packed, Ledger::Vcpu const& vcpu) const
{
    VcpuFigures result;
    result.domain = static_cast<std::uint16_t>(packed >> 16);
    result.vcpu = static_cast<std::uint16_t>(packed);
    for (std::size_t state = 0; state < run_state_count; ++state)
        result.in_state[state] = ticks(vcpu.sums.in_state[state]);
    if (!vcpu.place.preferred.empty()) {
        result.home = ticks(vcpu.sums.home);
        result.misplaced = ticks(vcpu.sums.misplaced);
        result.placed = ticks(vcpu.sums.placeable);
    }
    result.migrations = vcpu.sums.migrations;
    result.cross_node = vcpu.sums.cross_node;
    result.wakes = vcpu.after_wake;
    result.preempts = vcpu.after_other;
    return result;
}

void Summariser::finish_gaps()
{
    Gaps const& gaps{ledger_.gaps()};
    auto const domain = [&](std::size_t vcpu) { return static_cast<std::uint16_t>(packed_of_[vcpu] >> 16); };
    auto const number = [&](std::size_t vcpu) { return static_cast<std::uint16_t>(packed_of_[vcpu]); };
    figures_.gaps = gaps.count;
    figures_.long_gaps = gaps.long_count;
    figures_.long_gap_ticks = gaps.long_total;
    figures_.longest_gap = ticks(gaps.longest);
    for (auto const& [vcpu, count] : gaps.long_of)
        figures_.long_gaps_of.emplace_back(fmt::format("d{}v{}", domain(vcpu), number(vcpu)), count);
    for (Gap const& gap : gaps.worst)
        figures_.worst_gaps.push_back({.length = ticks(gap.length),
                                       .begin = ticks(gap.begin),
                                       .domain = domain(gap.vcpu),
                                       .vcpu = number(gap.vcpu),
                                       .pcpu = gap.pcpu});
}

TraceFigures Summariser::finish(std::uint64_t windows)
{
    ledger_.finish();
    figures_.last = now_;
    figures_.records += windows;
    figures_.events[static_cast<std::uint32_t>(Event::cpu_change)] += windows;
    for (auto const& [packed, index] : index_of_)
        if (packed >> 16 != idle_domain)
            figures_.vcpus.push_back(figures_of(packed, ledger_.vcpus()[index]));
    for (std::uint32_t const pcpu : pcpus_) {
        PcpuUse const use{pcpu < ledger_.pcpus().size() ? ledger_.pcpus()[pcpu] : PcpuUse{}};
        figures_.pcpus.push_back({pcpu, use.busy, use.idle});
    }
    finish_gaps();
    return std::move(figures_);
}

} // namespace hv::nv
