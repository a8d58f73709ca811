#include "tools/nv/turn_clock.hpp"

#include <algorithm>
#include <iterator>

namespace hv::nv {

void TurnClock::note_who_executed(std::uint32_t to, Scene const& scene, Waiting const& waiting)
{
    who_.clear();
    working_.clear();
    auto waits = waiting.begin(); // by number, as the pCPUs: for each record, so without a search
    for (auto const& [number, pcpu] : scene.pcpus()) {
        while (waits != waiting.end() && waits->first < number)
            ++waits;
        bool const is_awaited{waits != waiting.end() && waits->first == number && !waits->second.empty()};
        if (is_awaited || (pcpu.current && !is_idle_vcpu(*pcpu.current)))
            working_.push_back(number);
    }
    std::ranges::copy_if(working_, std::back_inserter(who_), [&](std::uint32_t number) {
        return from_ <= to ? number >= from_ && number <= to : number >= from_ || number <= to;
    });
    path_ = who_.empty() ? 0 : who_.size() - 1;
}

std::uint64_t TurnClock::turns_in(std::uint64_t ticks) const { return turn_ == 0 ? 0 : (ticks + turn_ / 2) / turn_; }

// Whole rounds of all that had work.
std::uint64_t TurnClock::rounds_in(std::uint64_t ticks) const
{
    if (working_.empty())
        return 0;
    std::uint64_t const turns{turns_in(ticks)};
    return turns <= path_ ? 0 : (turns - path_ + working_.size() / 2) / working_.size();
}

void TurnClock::share(std::uint64_t ticks, std::uint32_t last)
{
    std::uint64_t const rounds{rounds_in(ticks)};
    std::uint64_t const turns{who_.size() + rounds * working_.size()};
    std::uint64_t const each{turns == 0 ? 0 : ticks / turns};
    for (std::uint32_t const pcpu : who_)
        add(pcpu, each);
    if (rounds != 0)
        for (std::uint32_t const pcpu : working_)
            add(pcpu, each * rounds);
    add(who_.empty() ? last : who_.back(), ticks - each * turns);
}

void TurnClock::add(std::uint32_t pcpu, std::uint64_t ticks)
{
    if (pcpu >= executed_.size())
        executed_.resize(pcpu + 1);
    executed_[pcpu] += ticks;
}

void TurnClock::record(Record const& record, Scene const& scene, Waiting const& waiting)
{
    if (record.has_stamp && last_ && record.stamp > *last_) {
        std::uint64_t const ticks{record.stamp - *last_};
        if (record.pcpu == from_ && turns_in(ticks) == 0) { // most of them; nobody else can have had the turn
            add(record.pcpu, ticks);
        } else {
            note_who_executed(record.pcpu, scene, waiting);
            share(ticks, record.pcpu);
        }
    }
    if (record.has_stamp)
        last_ = std::max(last_.value_or(0), record.stamp);
    from_ = record.pcpu;
}

std::uint64_t TurnClock::executed(std::uint32_t pcpu) const { return pcpu < executed_.size() ? executed_[pcpu] : 0; }

} // namespace hv::nv
