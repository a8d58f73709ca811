#include "tools/nv/turn_clock.hpp"

#include <algorithm>

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
    auto const note = [&](std::uint32_t low, std::uint32_t high) {
        auto const& pcpus = scene.pcpus();
        for (auto at = pcpus.lower_bound(low); at != pcpus.end() && at->first <= high; ++at)
            if (had_work(at->first, at->second, waiting))
                who_.push_back(at->first);
    };
    if (from_ <= to) {
        note(from_, to);
    } else {
        note(from_, ~0u);
        note(0, to);
    }
    if (who_.empty())
        who_.push_back(to);
}

void TurnClock::record(Record const& record, Scene const& scene, Waiting const& waiting)
{
    if (record.has_stamp && last_ && record.stamp > *last_) {
        note_who_executed(record.pcpu, scene, waiting);
        std::uint64_t const ticks = record.stamp - *last_;
        for (std::uint32_t const pcpu : who_)
            executed_[pcpu] += ticks / who_.size();
        executed_[who_.back()] += ticks % who_.size();
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
