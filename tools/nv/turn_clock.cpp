#include "tools/nv/turn_clock.hpp"

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

bool had_work(std::uint32_t number, Scene::Pcpu const& pcpu, TurnClock::Waiting const& waiting)
{
    if (pcpu.current && !is_idle_vcpu(*pcpu.current))
        return true;
    auto const found = waiting.find(number);
    return found != waiting.end() && !found->second.empty();
}

} // namespace

void TurnClock::note_who_executed(std::uint32_t to, Scene const& scene, Waiting const& waiting)
{
    who_.clear();
    working_.clear();
    for (auto const& [number, pcpu] : scene.pcpus())
        if (had_work(number, pcpu, waiting))
            working_.push_back(number);
    std::ranges::copy_if(working_, std::back_inserter(who_), [&](std::uint32_t number) {
        return from_ <= to ? number >= from_ && number <= to : number >= from_ || number <= to;
    });
    path_ = who_.empty() ? 0 : who_.size() - 1;
}

// Whole rounds of all that had work.
std::uint64_t TurnClock::rounds_in(std::uint64_t ticks) const
{
    if (turn_ == 0 || working_.empty())
        return 0;
    std::uint64_t const turns{(ticks + turn_ / 2) / turn_};
    return turns <= path_ ? 0 : (turns - path_ + working_.size() / 2) / working_.size();
}

void TurnClock::share(std::uint64_t ticks, std::uint32_t last)
{
    std::uint64_t const rounds{rounds_in(ticks)};
    std::uint64_t const turns{who_.size() + rounds * working_.size()};
    std::uint64_t const each{turns == 0 ? 0 : ticks / turns};
    for (std::uint32_t const pcpu : who_)
        executed_[pcpu] += each;
    for (std::uint32_t const pcpu : working_)
        executed_[pcpu] += each * rounds;
    executed_[who_.empty() ? last : who_.back()] += ticks - each * turns;
}

void TurnClock::record(Record const& record, Scene const& scene, Waiting const& waiting)
{
    if (record.has_stamp && last_ && record.stamp > *last_) {
        note_who_executed(record.pcpu, scene, waiting);
        share(record.stamp - *last_, record.pcpu);
    }
    if (record.has_stamp)
        last_ = std::max(last_.value_or(0), record.stamp);
    from_ = record.pcpu;
}

std::uint64_t TurnClock::executed(std::uint32_t pcpu) const
{
    auto const found = executed_.find(pcpu);
    return found == executed_.end() ? 0 : found->second;
}

} // namespace hv::nv
