#include "tools/nv/trace_why.hpp"

#include <algorithm>

namespace hv::nv {

namespace {

using sched::trace::Event;

bool is(Record const& record, Event event) { return record.event == static_cast<std::uint32_t>(event); }

} // namespace

std::string_view name_of(WaitRule rule)
{
    switch (rule) {
    case WaitRule::not_known:
        return "not known";
    case WaitRule::on_its_way:
        return "on its way";
    case WaitRule::rate_limit:
        return "rate limit";
    case WaitRule::equal_priority:
        return "equal priority";
    case WaitRule::lower_priority:
        return "lower priority";
    case WaitRule::not_asked:
        return "not asked";
    }
    return "";
}

bool WaitFinder::allows(std::uint32_t pcpu) const
{
    std::optional<std::vector<std::uint16_t>> const hard =
        facts_.hard_of(static_cast<std::uint16_t>(vcpu_ >> 16), static_cast<std::uint16_t>(vcpu_));
    return !hard || std::ranges::binary_search(*hard, pcpu);
}

std::optional<bool> WaitFinder::is_home(std::uint32_t pcpu) const
{
    std::optional<std::vector<std::uint16_t>> const home =
        facts_.home_of(static_cast<std::uint16_t>(vcpu_ >> 16), static_cast<std::uint16_t>(vcpu_));
    if (!home || pcpu >= facts_.node_of.size())
        return std::nullopt;
    return std::ranges::binary_search(*home, facts_.node_of[pcpu]);
}

bool WaitFinder::record(Record const& record)
{
    Scene::Vcpu const* const before = scene_.vcpu(vcpu_);
    RunState const old = before == nullptr ? RunState::offline : before->state;
    bool const was_seen = before != nullptr && (before->pcpu || before->since != 0);
    // Its state at the time asked for is that before the first later record.
    if (!state_ && record.stamp > when_ && was_seen) {
        state_ = *before;
        if (is_open_)
            ask();
    }
    std::uint64_t waiting_since{0};
    if (record.word_count != 0)
        if (Scene::Vcpu const* const other = scene_.vcpu(record.word_store[0]))
            waiting_since = other->since;
    scene_.record(record);
    std::optional<sched::trace::RunStateChange> const change = sched::trace::decode_runstate(record.event);
    bool const is_own = change && record.word_count != 0 && record.word_store[0] == vcpu_;
    if (is_own && is_open_)
        end(change->to == RunState::running ? std::optional{record.pcpu} : std::nullopt);
    else if (is_open_ && change && change->to == RunState::running && record.word_count != 0)
        arrived(record.pcpu, record.word_store[0], waiting_since);
    if (wait_ && !is_open_ && is_asked_)
        return false;
    if (is_own && change->to == RunState::runnable && old != RunState::runnable)
        begin();
    follow(record);
    return !(state_ && !is_open_);
}

void WaitFinder::begin()
{
    Scene::Vcpu const& vcpu = *scene_.vcpu(vcpu_);
    wait_.emplace();
    is_open_ = is_waking_ = true;
    idle_since_.clear();
    wait_->vcpu = vcpu_;
    wait_->begin = scene_.now();
    wait_->after_wake = vcpu.from_blocked;
    wait_->woken_on = vcpu.woken_on;
    wait_->waker = vcpu.waker;
    wait_->pcpu = waits_for_ = vcpu.pcpu;
    wait_->priority = vcpu.priority;
    wait_->credit = vcpu.credit;
    if (vcpu.pcpu)
        hold(*vcpu.pcpu);
    for (auto const& [pcpu, known] : scene_.pcpus())
        note_idle(pcpu, scene_.is_idle(pcpu));
}

// From now on the pCPU's present holder keeps it from running.
void WaitFinder::hold(std::uint32_t pcpu)
{
    std::uint64_t const now = scene_.now();
    if (!wait_->holds.empty())
        wait_->holds.back().to = now;
    is_limited_ = false;
    Scene::Pcpu const* const there = scene_.pcpu(pcpu);
    // Who has just left is there by name until somebody arrives.
    bool const is_left = there != nullptr && there->current == vcpu_;
    if (is_left || wait_->holds.size() == Wait::most_kept)
        return;
    WaitHold& made = wait_->holds.emplace_back();
    made.pcpu = pcpu;
    made.from = made.to = made.running_since = now;
    if (there == nullptr || !there->current)
        return;
    made.holder = there->current;
    made.running_since = there->since;
    if (Scene::Vcpu const* const holder = scene_.vcpu(*there->current)) {
        made.priority = holder->priority;
        made.credit = holder->credit;
    }
    if (auto const slice = slices_.find(pcpu); slice != slices_.end())
        made.slice_ns = slice->second;
}

void WaitFinder::note_idle(std::uint32_t pcpu, bool is_idle)
{
    std::uint64_t const now = scene_.now();
    auto const since = idle_since_.find(pcpu);
    if (is_idle && since == idle_since_.end()) {
        idle_since_[pcpu] = now;
        WaitIdle const fresh{
            .pcpu = pcpu, .first = now, .total = 0, .is_allowed = allows(pcpu), .is_home = is_home(pcpu)};
        wait_->idle.try_emplace(pcpu, fresh);
    } else if (!is_idle && since != idle_since_.end()) {
        wait_->idle[pcpu].total += now - since->second;
        idle_since_.erase(since);
    }
}

void WaitFinder::arrived(std::uint32_t pcpu, std::uint32_t packed, std::uint64_t waiting_since)
{
    note_idle(pcpu, is_idle_vcpu(packed));
    if (!is_idle_vcpu(packed) && allows(pcpu) && ++wait_->taken_count <= Wait::most_kept)
        wait_->taken.push_back({.when = scene_.now(),
                                .pcpu = pcpu,
                                .taken = packed,
                                .waiting_since = waiting_since,
                                .priority = scene_.vcpu(packed)->priority});
    if (scene_.vcpu(vcpu_)->pcpu == pcpu)
        hold(pcpu);
}

// Records that say more about the wait than who runs where.
void WaitFinder::follow(Record const& record)
{
    if (is(record, Event::switch_infnext) && record.word_count >= 4)
        slices_[record.pcpu] = record.word_store[3];
    if (!is_open_)
        return;
    Scene::Vcpu const& vcpu = *scene_.vcpu(vcpu_);
    if (vcpu.pcpu && vcpu.pcpu != waits_for_)
        hold(*vcpu.pcpu);
    waits_for_ = vcpu.pcpu;
    if (is_waking_) { // What the wake-up makes of it belongs to it.
        wait_->priority = vcpu.priority;
        wait_->credit = vcpu.credit;
    }
    if (is(record, Event::tickle) && record.word_count != 0 && is_waking_ && record.pcpu == wait_->woken_on)
        wait_->asked.push_back(record.word_store[0]);
    bool const ends_waking = is(record, Event::schedule) || is(record, Event::wake) || is(record, Event::block);
    if (ends_waking && record.pcpu == wait_->woken_on)
        is_waking_ = false;
    if (!wait_->holds.empty() && record.pcpu == wait_->holds.back().pcpu) {
        WaitHold& hold = wait_->holds.back();
        if (is(record, Event::schedule))
            is_limited_ = false;
        if (is(record, Event::ratelimit)) {
            is_limited_ = true;
            hold.rate_limited = hold.rate_limited.value_or(scene_.now());
        }
    }
    if (is(record, Event::stolen_vcpu) && record.word_count >= 3 &&
        (record.word_store[1] << 16 | record.word_store[2]) == vcpu_)
        wait_->was_stolen = true;
}

// The time asked for is reached: which rule holds now.
void WaitFinder::ask()
{
    is_asked_ = true;
    Scene::Vcpu const& vcpu = *scene_.vcpu(vcpu_);
    wait_->priority_asked = vcpu.priority;
    wait_->credit_asked = vcpu.credit;
    if (wait_->holds.empty())
        return;
    wait_->hold_asked = wait_->holds.size() - 1;
    wait_->rule = rule_at(wait_->holds.back());
}

WaitRule WaitFinder::rule_at(WaitHold const& hold) const
{
    if (!hold.holder)
        return WaitRule::not_known;
    if (is_idle_vcpu(*hold.holder))
        return WaitRule::on_its_way;
    if (is_limited_)
        return WaitRule::rate_limit;
    Scene::Vcpu const* const holder = scene_.vcpu(*hold.holder);
    std::optional<std::int32_t> const mine = scene_.vcpu(vcpu_)->priority;
    if (holder == nullptr || !holder->priority || !mine)
        return WaitRule::not_known;
    if (*mine == *holder->priority)
        return WaitRule::equal_priority;
    return *mine < *holder->priority ? WaitRule::lower_priority : WaitRule::not_asked;
}

void WaitFinder::end(std::optional<std::uint32_t> ran_on)
{
    std::uint64_t const now = scene_.now();
    is_open_ = false;
    wait_->end = now;
    wait_->ran_on = ran_on;
    if (!wait_->holds.empty())
        wait_->holds.back().to = now;
    for (auto const& [pcpu, since] : idle_since_)
        wait_->idle[pcpu].total += now - since;
    idle_since_.clear();
}

std::optional<Wait> WaitFinder::finish()
{
    if (!state_)
        if (Scene::Vcpu const* const last = scene_.vcpu(vcpu_)) {
            state_ = *last;
            if (is_open_)
                ask();
        }
    if (is_open_) {
        end(std::nullopt);
        wait_->has_ended = false;
    }
    return is_asked_ ? std::move(wait_) : std::nullopt;
}

void LongestWait::record(Record const& record)
{
    auto const change = sched::trace::decode_runstate(record.event);
    if (!change || record.word_count == 0 || record.word_store[0] != vcpu_)
        return;
    if (since_ && record.stamp - *since_ >= longest_) {
        longest_ = record.stamp - *since_;
        when_ = *since_ + longest_ / 2;
    }
    since_.reset();
    if (change->to == RunState::runnable)
        since_ = record.stamp;
}

} // namespace hv::nv
