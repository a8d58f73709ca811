#include "tools/nv/trace_diff.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace hv::nv {

namespace {

using sched::trace::Event;

constexpr std::size_t index_of(Comparer::Side side) { return static_cast<std::size_t>(side); }

bool is_of_the_tracer(std::uint32_t event)
{
    return event == static_cast<std::uint32_t>(Event::hello) || event == static_cast<std::uint32_t>(Event::stats) ||
           event == static_cast<std::uint32_t>(Event::wrap_buffer);
}

template <typename T>
void split(std::set<T> const& a, std::set<T> const& b, std::set<T>& both, std::set<T>& only_a, std::set<T>& only_b)
{
    std::ranges::set_intersection(a, b, std::inserter(both, both.end()));
    std::ranges::set_difference(a, b, std::inserter(only_a, only_a.end()));
    std::ranges::set_difference(b, a, std::inserter(only_b, only_b.end()));
}

} // namespace

std::optional<Timed> TimedStream::next()
{
    std::optional<Record> const record = stream_.next();
    if (!record)
        return std::nullopt;
    if (!first_ && record->has_stamp)
        first_ = record->stamp;
    if (first_) {
        // Damaged stamps may be anything: what is further than any trace is long stays far from overflows.
        constexpr double farthest = 1e18;
        double const ns = static_cast<double>(record->stamp - *first_) * ns_a_tick_;
        if (record->stamp > *first_)
            now_ = std::max(now_, static_cast<std::int64_t>(std::llround(std::min(ns, farthest))));
    }
    return Timed{*record, now_};
}

bool same_record(Record const& a, Record const& b)
{
    if (a.event != b.event)
        return false;
    if (a.event == static_cast<std::uint32_t>(Event::lost_records))
        return a.word_store[0] == b.word_store[0];
    return std::ranges::equal(a.words(), b.words());
}

Common Common::of(TraceFigures const& a, TraceFigures const& b)
{
    auto const classes = [](TraceFigures const& figures) {
        std::set<std::uint32_t> found;
        for (auto const& [event, count] : figures.events)
            if (count != 0 && !is_of_the_tracer(event) && event != static_cast<std::uint32_t>(Event::cpu_change))
                found.insert(event & class_bits);
        return found;
    };
    auto const pcpus = [](TraceFigures const& figures) {
        std::set<std::uint32_t> found;
        for (PcpuFigures const& pcpu : figures.pcpus)
            found.insert(pcpu.pcpu);
        return found;
    };
    Common common;
    split(classes(a), classes(b), common.classes, common.only_a, common.only_b);
    split(pcpus(a), pcpus(b), common.pcpus, common.pcpus_only_a, common.pcpus_only_b);
    return common;
}

bool Comparer::counts(Record const& record) const
{
    if (what_ == What::switches && !sched::trace::decode_runstate(record.event))
        return false;
    return !is_of_the_tracer(record.event) && common_.classes.contains(record.event & Common::class_bits) &&
           common_.pcpus.contains(record.pcpu);
}

void Comparer::record(Side side, Timed const& timed)
{
    reached_[index_of(side)] = timed.ns;
    if (!counts(timed.record))
        return;
    Lane& lane = lanes_[timed.record.pcpu];
    if (lane.diverged)
        return;
    if (lane.ahead.empty() || lane.side == side) {
        lane.side = side;
        lane.ahead.push_back(timed);
        if (++pending_ > most_pending || ended_[1 - index_of(side)])
            give_up_lanes(false);
        return;
    }
    Timed const other{std::move(lane.ahead.front())};
    lane.ahead.pop_front();
    --pending_;
    if (side == Side::a)
        pair(timed.record.pcpu, lane, timed, other);
    else
        pair(timed.record.pcpu, lane, other, timed);
}

void Comparer::pair(std::uint32_t pcpu, Lane& lane, Timed const& a, Timed const& b)
{
    if (!same_record(a.record, b.record)) {
        diverge(pcpu, lane, std::min(a.ns, b.ns), &a.record, &b.record);
        return;
    }
    std::int64_t const by = b.ns - a.ns;
    if (std::abs(by) > tolerance_ns_) {
        if (shift_.count++ == 0 || a.ns < shift_.ns) {
            shift_.pcpu = pcpu;
            shift_.index = lane.index;
            shift_.ns = a.ns;
            shift_.first_by = by;
        }
        if (std::abs(by) > std::abs(shift_.largest))
            shift_.largest = by;
    }
    ++same_;
    ++lane.index;
}

void Comparer::diverge(std::uint32_t pcpu, Lane& lane, std::int64_t ns, Record const* a, Record const* b)
{
    lane.diverged = true;
    pending_ -= lane.ahead.size();
    lane.ahead = {};
    if (first_ && first_->ns <= ns)
        return;
    first_ = Divergence{.pcpu = pcpu, .index = lane.index, .ns = ns, .a = {}, .b = {}};
    if (a != nullptr)
        first_->a = *a;
    if (b != nullptr)
        first_->b = *b;
}

// What is pending has no partner: it comes too late to be waited for, or not at all.
void Comparer::give_up_lanes(bool all)
{
    for (auto& [pcpu, lane] : lanes_) {
        bool const is_lonely = !lane.ahead.empty() && (all || ended_[1 - index_of(lane.side)] ||
                                                       lane.ahead.size() > most_pending / (2 * lanes_.size()));
        if (!is_lonely || lane.diverged)
            continue;
        Timed const alone{lane.ahead.front()};
        diverge(pcpu, lane, alone.ns, lane.side == Side::a ? &alone.record : nullptr,
                lane.side == Side::b ? &alone.record : nullptr);
    }
}

void Comparer::end(Side side)
{
    ended_[index_of(side)] = true;
    reached_[index_of(side)] = INT64_MAX;
    give_up_lanes(ended_[0] && ended_[1]);
}

bool Comparer::is_settled() const
{
    if (!first_ || std::min(reached_[0], reached_[1]) <= first_->ns)
        return false;
    return std::ranges::none_of(lanes_, [&](auto const& lane) {
        return !lane.second.ahead.empty() && lane.second.ahead.front().ns < first_->ns;
    });
}

Comparison compare(TimedStream a, TimedStream b, Common const& common, std::int64_t tolerance_ns)
{
    Comparer records{common, Comparer::What::records, tolerance_ns};
    Comparer switches{common, Comparer::What::switches, tolerance_ns};
    std::optional<Timed> next_a = a.next(), next_b = b.next();
    bool has_a{true}, has_b{true};
    auto const end = [&](Comparer::Side side, bool& has) {
        has = false;
        records.end(side);
        switches.end(side);
    };
    while (has_a || has_b) {
        if (has_a && !next_a)
            end(Comparer::Side::a, has_a);
        if (has_b && !next_b)
            end(Comparer::Side::b, has_b);
        if (records.is_settled() && switches.is_settled())
            break;
        bool const take_a = next_a && (!next_b || next_a->ns <= next_b->ns);
        Comparer::Side const side = take_a ? Comparer::Side::a : Comparer::Side::b;
        std::optional<Timed>& next = take_a ? next_a : next_b;
        if (!next)
            continue;
        records.record(side, *next);
        switches.record(side, *next);
        next = (take_a ? a : b).next();
    }
    return {.records = records.first(), .switches = switches.first(), .shift = records.shift(), .same = records.same()};
}

} // namespace hv::nv
