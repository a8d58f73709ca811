#include "tools/nv/feed.hpp"

#include "tools/nv/metrics_json.hpp"

#include <algorithm>

namespace hv::nv {

namespace {

using namespace sched::trace;

constexpr std::int64_t farthest = std::int64_t{1} << 61; // ns

} // namespace

void Feed::event(Instant when, std::uint16_t pcpu, std::uint32_t number, std::span<std::uint32_t const> words)
{
    if (number == static_cast<std::uint32_t>(Event::lost_records) && !words.empty())
        lost_ += words[0];
    if (number == static_cast<std::uint32_t>(Event::phase_end) ||
        number == static_cast<std::uint32_t>(Event::event_missed)) {
        guest_event(when, number, words);
        return;
    }
    std::optional<RunStateChange> const change = decode_runstate(number);
    if (!change || words.empty())
        return;
    auto const domain = static_cast<std::uint16_t>(words[0] >> 16);
    auto const vcpu = static_cast<std::uint16_t>(words[0]);
    // Every decision that changes something ends with one arrival, of a vCPU or of the idle one.
    if (change->to == RunState::running)
        collector_.switched(when, domain != idle_domain);
    if (domain == idle_domain)
        return;
    if (std::optional<std::size_t> const index = collector_.find(domain, vcpu))
        collector_.change(when, *index, change->from, change->to, pcpu);
    else
        ++strangers_;
}

// What a workload did, in our own events: other producers have none.
void Feed::guest_event(Instant when, std::uint32_t number, std::span<std::uint32_t const> words)
{
    if (words.empty())
        return;
    std::optional<std::size_t> const index =
        collector_.find(static_cast<std::uint16_t>(words[0] >> 16), static_cast<std::uint16_t>(words[0]));
    if (!index)
        return;
    if (number == static_cast<std::uint32_t>(Event::event_missed)) {
        collector_.job_missed(when, *index);
        return;
    }
    if (words.size() < 3)
        return;
    auto const response = static_cast<std::int64_t>(words[1] | std::uint64_t{words[2]} << 32);
    collector_.job_done(when, *index, response < 0 ? std::nullopt : std::optional{Duration::from_ns(response)});
}

RunMeter::RunMeter(RecordedRun const& run)
    : run_{run},
      collector_{run.scenario, run.source == RecordedRun::Source::kernel ? kernel_conservation_grain : Duration{}},
      feed_{collector_}, time_{run.start}
{
}

// Negative before the start, when vCPUs are being made: that gives states, but no figures.
Instant RunMeter::time_of(std::uint64_t stamp)
{
    bool const stands = run_.source == RecordedRun::Source::simulator && stamp == stamp_ + 1;
    stamp_ = stamp;
    time_ = stands ? time_ : stamp;
    // A damaged trace may say anything; what is further away than any scenario is long stays far from overflows.
    return Instant::at_ns(std::clamp(static_cast<std::int64_t>(time_ - run_.start), -farthest, farthest));
}

void RunMeter::record(Record const& record)
{
    ++records_;
    Instant const when{time_of(record.stamp)};
    if (record.stamp <= run_.last)
        feed_.event(when, static_cast<std::uint16_t>(record.pcpu), record.event, record.words());
}

Measured RunMeter::finish()
{
    return {.metrics = collector_.finish(),
            .records = records_,
            .lost = std::max(feed_.lost(), run_.lost_records),
            .strangers = feed_.strangers()};
}

Measured measure(RecordedRun const& run, TraceStream& trace)
{
    RunMeter meter{run};
    while (std::optional<Record> const record = trace.next())
        meter.record(*record);
    return meter.finish();
}

std::string run_json(RecordedRun const& run, Measured const& measured)
{
    return metrics_json(measured.metrics, {.scenario = run.scenario.name,
                                           .policy = run.scenario.policy,
                                           .seed = run.scenario.seed,
                                           .source = run.source == RecordedRun::Source::kernel ? "kernel" : "simulator",
                                           .lost_records = measured.lost,
                                           .events = run.events});
}

} // namespace hv::nv
