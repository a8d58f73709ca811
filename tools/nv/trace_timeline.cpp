#include "tools/nv/trace_timeline.hpp"

#include "tools/nv/feed.hpp"
#include "tools/nv/trace_dump.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace hv::nv {

namespace {

using sched::trace::Event;

constexpr std::int32_t threads_of_domain = 1000;
constexpr std::uint64_t ns_in_second = 1'000'000'000;
// A damaged trace may say anything; times stay far from overflows.
constexpr std::uint64_t most_ticks = std::uint64_t{1} << 61;
__extension__ using Wide = unsigned __int128;

} // namespace

bool Timeline::Vcpu::is_idle() const { return domain == idle_domain; }

std::string Timeline::Vcpu::name() const { return vcpu_name(domain, vcpu); }

std::uint64_t Timeline::to_ns(std::uint64_t ticks) const
{
    if (hz_ == ns_in_second)
        return ticks;
    // The slowest clock is one of 1 kHz: 2^62 ticks of it are beyond 64 bits of ns.
    return static_cast<std::uint64_t>(std::min<Wide>(Wide{ticks} * ns_in_second / hz_, Wide{most_ticks} * 2));
}

// Moves the clock on to the record; false if the record cannot be placed in time.
bool Timeline::take_time(Record const& record)
{
    if (!started_ && !record.has_stamp)
        return false;
    if (!started_)
        first_ = now_ = std::min(record.stamp, most_ticks);
    started_ = true;
    now_ = std::max(now_, std::min(record.stamp, first_ + most_ticks));
    return true;
}

std::size_t Timeline::find(std::uint32_t packed)
{
    auto const [at, is_new] = index_of_.try_emplace(packed, vcpus_.size());
    if (is_new)
        vcpus_.push_back({static_cast<std::uint16_t>(packed >> 16), static_cast<std::uint16_t>(packed)});
    return at->second;
}

Timeline::Step Timeline::changed(Record const& record, Step step)
{
    std::optional<sched::trace::RunStateChange> const change = sched::trace::decode_runstate(record.event);
    step.vcpu = find(record.word_store[0]);
    Vcpu& vcpu = vcpus_[step.vcpu];
    step.to = change ? change->to : State::running;
    std::size_t& occupant = occupants_[step.pcpu];
    step.before = occupant;
    if (step.to == State::running) {
        bool const is_known = occupant == step.vcpu && vcpu.state == State::running;
        step.kind = is_known ? Kind::other : Kind::arrival;
        occupant = step.vcpu;
    } else if (change->from == State::running && (occupant == step.vcpu || occupant == nobody)) {
        step.kind = Kind::departure;
        occupant = step.vcpu;
    } else if (step.to == State::runnable && change->from != State::running) {
        step.kind = Kind::wake;
    } else {
        step.kind = Kind::change;
    }
    vcpu.state = step.to;
    vcpu.seen = true;
    return step;
}

Timeline::Step Timeline::lost(Record const& record, Step step)
{
    step.kind = Kind::loss;
    step.before = std::exchange(occupants_[step.pcpu], nobody);
    std::uint64_t const from = record.word_store[2] | static_cast<std::uint64_t>(record.word_store[3]) << 32;
    step.lost_from = record.word_count < 4 ? step.when : to_ns(std::clamp(from, first_, now_));
    return step;
}

Timeline::Step Timeline::step(Record const& record)
{
    Step step;
    step.pcpu = record.pcpu;
    if (record.pcpu >= occupants_.size())
        occupants_.resize(record.pcpu + 1, nobody);
    bool const has_time = take_time(record);
    step.when = to_ns(now_);
    if (!has_time)
        return step;
    if (record.event == static_cast<std::uint32_t>(Event::lost_records))
        return lost(record, step);
    bool const is_change = sched::trace::decode_runstate(record.event).has_value();
    if ((is_change || record.event == static_cast<std::uint32_t>(Event::continue_running)) && record.word_count != 0)
        return changed(record, step);
    return step;
}

std::int32_t process_number(std::uint16_t domain) { return (domain + 1) * threads_of_domain; }

std::int32_t thread_number(Timeline::Vcpu const& vcpu, std::size_t index)
{
    constexpr std::int32_t first_odd{0x4000'0000};
    return vcpu.vcpu < threads_of_domain ? process_number(vcpu.domain) + vcpu.vcpu
                                         : first_odd + static_cast<std::int32_t>(index % first_odd);
}

std::int64_t linux_state(Timeline::State state)
{
    switch (state) {
    case Timeline::State::running: // elsewhere: the record of its departure is lost
    case Timeline::State::runnable:
        return 0;
    case Timeline::State::blocked:
        return 1;
    case Timeline::State::offline:
        break;
    }
    return 4;
}

} // namespace hv::nv
