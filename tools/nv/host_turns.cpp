#include "tools/nv/host_turns.hpp"

#include "sched/trace/events.hpp"
#include "tools/nv/trace_scene.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

namespace hv::nv {

namespace {

using sched::trace::Event;

// By turns, if so much less than by chance.
constexpr double seldom = 0.1;

// No host is known that executes more by turns.
constexpr std::uint32_t most_pcpus = 256;

bool is(Record const& record, Event event) { return record.event == static_cast<std::uint32_t>(event); }

} // namespace

// Four an octave.
std::size_t HostTurns::bucket_of(std::uint64_t ticks)
{
    if (ticks < sub_buckets)
        return ticks;
    std::size_t const octave{static_cast<unsigned>(std::bit_width(ticks)) - 1u};
    return octave * sub_buckets + ((ticks >> (octave - 2)) & (sub_buckets - 1));
}

// The shortest that the bucket is for.
double HostTurns::least_of(std::size_t bucket)
{
    if (bucket < 2 * sub_buckets)
        return static_cast<double>(bucket % sub_buckets);
    return std::ldexp(static_cast<double>(sub_buckets + bucket % sub_buckets),
                      static_cast<int>(bucket / sub_buckets) - 2);
}

void HostTurns::record(Record const& record)
{
    if (record.has_stamp)
        now_ = std::max(now_, record.stamp);
    if (record.pcpu >= most_pcpus)
        return;
    if (record.pcpu >= pcpus_.size())
        pcpus_.resize(record.pcpu + 1);
    if (record.pcpu != executing_ && !(is(record, Event::schedule) && requests_.contains(record.pcpu)))
        for (auto& [whom, request] : requests_)
            request.known += is_between(record.pcpu, request.by, whom) ? 1u : 0u;
    executing_ = record.pcpu;
    note(record.pcpu);
    if (is(record, Event::schedule))
        answer(record.pcpu, now_);
    else if (is(record, Event::tickle) && record.word_count != 0 && record.word_store[0] < pcpus_.size())
        ask(record.pcpu, record.word_store[0], now_);
    std::optional<sched::trace::RunStateChange> const change = sched::trace::decode_runstate(record.event);
    bool const arrives = change ? change->to == RunState::running : is(record, Event::continue_running);
    if (!arrives || record.word_count == 0)
        return;
    pcpus_[record.pcpu].is_busy = !is_idle_vcpu(record.word_store[0]);
    if (!pcpus_[record.pcpu].is_busy)
        goes_idle(record.pcpu, now_);
}

void HostTurns::note(std::uint32_t number)
{
    Pcpu& mine = pcpus_[number];
    std::uint64_t const ticks = now_ - mine.last;
    if (mine.last != 0 && mine.is_busy) {
        ++mine.gaps.count[bucket_of(ticks)];
        mine.gaps.sum[bucket_of(ticks)] += static_cast<double>(ticks);
    }
    if (mine.last == 0 || ticks > most_apart_) {
        end_burst(mine);
        begin_burst(mine);
    }
    for (std::size_t other = 0; other < mine.others.size(); ++other)
        if (mine.others[other] == Pcpu::Other::busy && pcpus_[other].last > mine.burst)
            mine.others[other] = Pcpu::Other::wrote;
    mine.last = now_;
}

void HostTurns::begin_burst(Pcpu& mine)
{
    mine.burst = now_;
    mine.others.assign(pcpus_.size(), Pcpu::Other::idle);
    for (std::size_t other = 0; other < pcpus_.size(); ++other)
        if (&pcpus_[other] != &mine && pcpus_[other].is_busy)
            mine.others[other] = Pcpu::Other::busy;
}

void HostTurns::end_burst(Pcpu const& mine)
{
    for (std::size_t other = 0; other < mine.others.size(); ++other) {
        if (mine.others[other] == Pcpu::Other::idle)
            continue;
        ++pcpus_[other].watched[bucket_of(mine.last - mine.burst)];
        seen_ += mine.others[other] == Pcpu::Other::wrote ? 1u : 0u;
    }
}

// That somebody busy writes within any window of that length: unless the window lies in a gap.
double HostTurns::chance(Pcpu const& pcpu, double window) const
{
    double all{0}, free{0};
    for (std::size_t i = 0; i < bucket_count; ++i) {
        all += pcpu.gaps.sum[i];
        free += std::max(pcpu.gaps.sum[i] - window * static_cast<double>(pcpu.gaps.count[i]), 0.0);
    }
    return all == 0 ? 0 : 1 - free / all;
}

HostTurns::Evidence HostTurns::evidence() const
{
    Evidence found{.expected = 0, .seen = seen_, .ends = ends_};
    for (Pcpu const& pcpu : pcpus_)
        for (std::size_t i = 0; i < bucket_count; ++i)
            if (pcpu.watched[i] != 0)
                found.expected += static_cast<double>(pcpu.watched[i]) * chance(pcpu, least_of(i));
    return found;
}

HostModel HostTurns::model() const
{
    Evidence const found{evidence()};
    if (found.expected < enough || static_cast<double>(found.seen) > seldom * found.expected)
        return {};
    return by_turns();
}

HostModel HostTurns::by_turns() const
{
    std::uint64_t const silent = ends_ - known_ends_;
    return {.pcpus = HostPcpus::by_turns,
            .turn = ends_ == 0 ? 0 : waited_ / ends_,
            .silent = silent == 0 ? 0 : waited_ / silent};
}

// Going round by number from the one to the other, which counts, but not the first.
bool HostTurns::is_between(std::uint32_t number, std::uint32_t from, std::uint32_t to) const
{
    auto const count = static_cast<std::uint32_t>(pcpus_.size());
    auto const distance = [&](std::uint32_t of) { return (of + count - from) % count; };
    return distance(number) != 0 && distance(number) <= distance(to);
}

void HostTurns::ask(std::uint32_t by, std::uint32_t whom, std::uint64_t now)
{
    if (by == whom || requests_.contains(whom))
        return;
    std::uint64_t turns{1};
    for (std::uint32_t other = 0; other < pcpus_.size(); ++other)
        turns += other != whom && is_between(other, by, whom) && (pcpus_[other].is_busy || requests_.contains(other));
    requests_.emplace(whom, Request{.by = by, .when = now, .turns = turns});
}

void HostTurns::answer(std::uint32_t number, std::uint64_t now)
{
    auto const found = requests_.find(number);
    if (found == requests_.end())
        return;
    ends_ += found->second.turns;
    known_ends_ += std::min(found->second.known, found->second.turns);
    waited_ += now - found->second.when;
    requests_.erase(found);
}

// Its turn ends because it has nothing to do: whoever waits for turns that end otherwise has waited so long.
void HostTurns::goes_idle(std::uint32_t number, std::uint64_t now)
{
    std::erase_if(requests_, [&](auto const& entry) {
        auto const& [whom, request] = entry;
        if (number != request.by && !is_between(number, request.by, whom))
            return false;
        waited_ += now - request.when;
        return true;
    });
}

} // namespace hv::nv
