#include "tools/nv/replay.hpp"

#include "boot/scenario/layout.hpp"

#include <algorithm>
#include <array>

namespace hv::nv {

namespace {

using sched::guest::StepKind;
using sched::trace::Event;
using sched::trace::RunStateChange;

// A waker that blocks within this time has notified and was done: who serves requests, or passes a token on.
constexpr std::uint64_t at_once_ns = 20'000;
// Who is there at fewer than one in so many of a vCPU's wake-ups elsewhere was interrupted by what it has no part in: a
// timer that the vCPU left behind on a pCPU, a device.
constexpr std::uint64_t chance_part = 8;
// A preemption that took longer was not decided at once, as far as the trace does not say when it was.
constexpr std::uint64_t most_cost_ns = 200'000;

bool is(Record const& record, Event event) { return record.event == static_cast<std::uint32_t>(event); }

bool is_wake_up(RunStateChange change)
{
    return change.from == RunState::blocked && (change.to == RunState::runnable || change.to == RunState::offline);
}

std::uint64_t median(WaitSamples samples)
{
    return samples.count() == 0 ? 0 : samples.at(std::array{samples.count() / 2})[0];
}

} // namespace

void WakePairs::record(Record const& record, std::uint64_t hz)
{
    scene_.record(record);
    has_tickle_ = has_tickle_ || is(record, Event::tickle);
    has_schedule_ = has_schedule_ || is(record, Event::schedule);
    std::optional<RunStateChange> const change = sched::trace::decode_runstate(record.event);
    if (!change || record.word_count == 0)
        return;
    std::uint32_t const packed = record.word_store[0];
    if (auto const made = pending_.find(packed); made != pending_.end() && change->from == RunState::running) {
        bool const at_once = scene_.now() - made->second.when <= at_once_ns * hz / 1'000'000'000;
        counts_[{packed, made->second.wakee}].then_blocks += at_once && change->to == RunState::blocked ? 1u : 0u;
        pending_.erase(made);
    }
    Scene::Vcpu const& vcpu = *scene_.vcpu(packed);
    if (!is_wake_up(*change) || !vcpu.waker || *vcpu.waker == packed || !vcpu.pcpu)
        return;
    Counts& counts = counts_[{*vcpu.waker, packed}];
    if (*vcpu.pcpu != record.pcpu) {
        ++counts.elsewhere;
        ++elsewhere_[packed];
    } else {
        ++counts.here;
        pending_[*vcpu.waker] = {packed, scene_.now()};
    }
}

bool WakePairs::is_notification(std::uint32_t waker, std::uint32_t wakee, bool is_elsewhere) const
{
    auto const found = counts_.find({waker, wakee});
    if (found == counts_.end())
        return false;
    Counts const& counts = found->second;
    if (is_elsewhere)
        return counts.elsewhere * chance_part >= elsewhere_.at(wakee);
    return counts.then_blocks * 2 >= counts.here || counts.elsewhere >= counts.here;
}

std::uint64_t Recorder::ns_of(std::uint64_t ticks) const
{
    // A damaged stamp may lie beyond all that 64 bits can say; a scenario of such a length is refused.
    constexpr double most_ns = 1e18;
    double const ns = static_cast<double>(ticks) * 1e9 / static_cast<double>(hz_);
    return static_cast<std::uint64_t>(std::min(ns, most_ns));
}

std::uint64_t Recorder::clock_of(std::uint32_t pcpu) const
{
    return host_.pcpus == HostPcpus::by_turns ? ns_of(turns_.executed(pcpu)) : now();
}

void Recorder::add(Live& vcpu, StepKind kind, std::uint64_t ns, std::uint32_t target)
{
    vcpu.made.steps.push_back({.kind = kind, .reserved = 0, .target = target, .ns = ns});
}

void Recorder::place(Live& vcpu, std::uint32_t pcpu)
{
    if (!vcpu.is_placed)
        vcpu.made.first_pcpu = pcpu;
    vcpu.is_placed = true;
}

// Who is not seen before was in the state that it leaves, since the trace began.
Recorder::Live& Recorder::find(std::uint32_t packed, RunState from, std::uint32_t pcpu)
{
    auto const [at, is_new] = vcpus_.try_emplace(packed);
    if (is_new) {
        at->second.on = pcpu;
        at->second.is_running = from == RunState::running;
        at->second.is_blocked = from == RunState::blocked || from == RunState::offline;
    }
    return at->second;
}

void Recorder::record(Record const& record)
{
    if (record.has_stamp && record.stamp > last_)
        return;
    std::optional<RunStateChange> const change = sched::trace::decode_runstate(record.event);
    bool const goes_on = is(record, Event::continue_running);
    bool const is_idle = record.word_count == 0 || is_idle_vcpu(record.word_store[0]);
    arrives_on_idle_ = scene_.is_idle(record.pcpu);
    if (host_.pcpus == HostPcpus::by_turns)
        turns_.record(record, scene_, next_);
    scene_.record(record);
    request(record);
    if (is(record, Event::ratelimit) || (goes_on && !is_idle))
        end_waits(record.pcpu, std::nullopt);
    if (change && change->from == RunState::running)
        left_runnable_[record.pcpu] = change->to == RunState::runnable && !is_idle;
    if (is_idle || (!change && !goes_on))
        return;
    if (goes_on) {
        place(find(record.word_store[0], RunState::running, record.pcpu), record.pcpu);
        return;
    }
    this->change(record, *change);
}

// What it ran since its last step becomes one.
void Recorder::flush(Live& vcpu)
{
    std::uint64_t const clock = clock_of(vcpu.on);
    std::uint64_t const ran = vcpu.ran + (vcpu.is_running ? clock - vcpu.since : 0);
    vcpu.ran = 0;
    if (vcpu.is_running)
        vcpu.since = clock;
    if (ran != 0)
        add(vcpu, StepKind::run, ran);
}

void Recorder::change(Record const& record, RunStateChange change)
{
    std::uint32_t const packed = record.word_store[0];
    Live& vcpu = find(packed, change.from, record.pcpu);
    bool const creates = change.from == RunState::offline && vcpu.made.steps.empty() && change.to == RunState::runnable;
    if (vcpu.is_blocked && change.to != RunState::blocked && (change.from == RunState::blocked || creates)) {
        woken(packed, vcpu);
        begin_wait(packed, vcpu);
    } else if (vcpu.is_blocked && change.to == RunState::running) {
        // How it woke is lost.
        add(vcpu, StepKind::sleep, std::max<std::uint64_t>(now() - vcpu.since, 1));
        vcpu.is_blocked = false;
    }
    if (vcpu.is_running) {
        vcpu.ran += clock_of(vcpu.on) - vcpu.since;
        vcpu.run += clock_of(vcpu.on) - vcpu.run_since;
    }
    vcpu.is_running = change.to == RunState::running;
    if (vcpu.is_running) {
        place(vcpu, record.pcpu);
        vcpu.on = record.pcpu;
        vcpu.since = vcpu.run_since = clock_of(vcpu.on);
        if (vcpu.woken && arrives_on_idle_ && record.pcpu != vcpu.woken_for)
            moved_.add(clock_of(vcpu.woken_for) - *vcpu.woken);
        end_waits(record.pcpu, packed);
    }
    if (change.to != RunState::blocked || vcpu.is_blocked)
        return;
    flush(vcpu);
    vcpu.longest = std::max(vcpu.longest, vcpu.run);
    vcpu.run = 0;
    vcpu.is_blocked = true;
    vcpu.since = now();
}

void Recorder::begin_wait(std::uint32_t packed, Live& vcpu)
{
    Scene::Vcpu const& seen = *scene_.vcpu(packed);
    if (!seen.pcpu || vcpu.made.steps.empty())
        return;
    vcpu.woken = clock_of(*seen.pcpu);
    vcpu.woken_step = vcpu.made.steps.size() - 1;
    vcpu.woken_for = *seen.pcpu;
    vcpu.woken_here = *seen.pcpu == seen.woken_on;
    vcpu.woken_idle = scene_.is_idle(*seen.pcpu);
    vcpu.is_asked = false;
    vcpu.decided.reset();
    next_[*seen.pcpu].push_back(packed);
    last_woken_[seen.woken_on] = packed;
}

// A pCPU is asked to decide, for who woke up last where the request is from; or it decides.
void Recorder::request(Record const& record)
{
    if (is(record, Event::tickle) && record.word_count != 0) {
        auto const found = last_woken_.find(record.pcpu);
        if (found == last_woken_.end())
            return;
        Live& vcpu = vcpus_.at(found->second);
        vcpu.is_asked = vcpu.is_asked || (vcpu.woken && vcpu.woken_for == record.word_store[0]);
    } else if (is(record, Event::schedule)) {
        for (std::uint32_t const packed : next_[record.pcpu])
            if (Live& vcpu = vcpus_.at(packed); vcpu.is_asked && !vcpu.decided)
                vcpu.decided = clock_of(record.pcpu);
    }
}

// Somebody arrives on the pCPU, or who runs there is left alone: who woke up for it and is not the one has waited for
// more than the wake-up, which was over when the pCPU decided.
void Recorder::end_waits(std::uint32_t pcpu, std::optional<std::uint32_t> arrived)
{
    std::vector<std::uint32_t>& waiting = next_[pcpu];
    for (std::uint32_t const packed : waiting) {
        Live& vcpu = vcpus_.at(packed);
        bool const by_request = !arrived || left_runnable_[pcpu];
        if (packed == arrived && vcpu.woken)
            end_wait(vcpu, clock_of(pcpu) - *vcpu.woken, by_request);
        else if (vcpu.woken && vcpu.decided && by_request)
            learn(vcpu, *vcpu.decided - *vcpu.woken);
        vcpu.woken.reset();
    }
    waiting.clear();
}

// It was the next. If its pCPU idled, or was taken from another as soon as it decided, that was the host's time.
void Recorder::end_wait(Live& vcpu, std::uint64_t took, bool was_preemption)
{
    bool const at_once = pairs_.knows_requests() ? vcpu.decided.has_value() : took <= most_cost_ns;
    if (vcpu.woken_idle || (was_preemption && at_once))
        learn(vcpu, took);
}

void Recorder::learn(Live& vcpu, std::uint64_t took)
{
    (vcpu.woken_here ? here_ : elsewhere_).add(took);
    // Who was woken at the very beginning has no step for it.
    sched::guest::Step& step = vcpu.made.steps[vcpu.woken_step];
    if (took <= UINT32_MAX && (step.kind == StepKind::sleep || step.kind == StepKind::wait))
        step.target = static_cast<std::uint32_t>(took);
}

// By another vCPU, which then gets a step in the midst of its run, or by a timer of its own.
void Recorder::woken(std::uint32_t packed, Live& vcpu)
{
    Scene::Vcpu const& seen = *scene_.vcpu(packed);
    bool const is_elsewhere = seen.pcpu && *seen.pcpu != seen.woken_on;
    vcpu.is_blocked = false;
    if (seen.waker && *seen.waker != packed && pairs_.is_notification(*seen.waker, packed, is_elsewhere)) {
        Live& waker = find(*seen.waker, RunState::running, seen.woken_on);
        flush(waker);
        add(waker, StepKind::notify, 0, packed);
        add(vcpu, StepKind::wait, 0);
        ++notifications_;
        return;
    }
    // One that never slept begins when the trace does.
    if (now() != vcpu.since)
        add(vcpu, StepKind::sleep, now() - vcpu.since);
}

Recording Recorder::finish()
{
    Recording recording{.vcpus = {},
                        .duration_ns = std::max<std::uint64_t>(now(), 1),
                        .wake_ns = median(std::move(here_)),
                        .ipi_ns = median(std::move(elsewhere_.count() != 0 ? elsewhere_ : moved_)),
                        .steps = 0,
                        .notifications = notifications_,
                        .host = host_.pcpus,
                        .turn_ns = std::min(ns_of(host_.silent), scenario::max_time_ns)};
    for (auto& [packed, vcpu] : vcpus_) {
        std::uint64_t const run = vcpu.run + (vcpu.is_running ? clock_of(vcpu.on) - vcpu.run_since : 0);
        flush(vcpu);
        // Who has run for longer than ever, and did not block, runs on: longer than any scenario lasts. Others are in
        // the midst of what they always do.
        if (!vcpu.is_blocked && run >= vcpu.longest)
            add(vcpu, StepKind::run, scenario::max_time_ns);
        recording.steps += vcpu.made.steps.size();
        recording.vcpus.emplace(packed, std::move(vcpu.made));
    }
    return recording;
}

} // namespace hv::nv
