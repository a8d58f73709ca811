#include "tools/nv/trace_check.hpp"

#include "tools/nv/feed.hpp"
#include "tools/nv/trace_dump.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

namespace hv::nv {

namespace {

using sched::trace::Event;
using sched::trace::RunStateChange;
using State = sched::trace::RunStateCode;

constexpr std::uint32_t limit = 256;                 // xenalyze's arrays of pCPUs and vCPUs
constexpr std::uint32_t known_classes = 0x0ff;       // bits 27..16 of the number
constexpr std::uint32_t scheduler_minimum = 0x21000; // and 15..12
constexpr std::uint32_t lost_end = 0x1f032;
constexpr std::uint32_t pv_class = 0x20;

bool is_idle(std::uint32_t vcpu) { return vcpu >> 16 == idle_domain; }
std::string name_of(std::uint32_t vcpu) { return fmt::format("d{}v{}", vcpu >> 16, vcpu & 0xffff); }
bool is_event(Record const& record, Event event) { return record.event == static_cast<std::uint32_t>(event); }

} // namespace

void Losses::note(Record const& record)
{
    if (!is_event(record, Event::lost_records) || record.word_count != 4 || !record.has_stamp)
        return;
    std::uint64_t const first = record.word_store[2] | static_cast<std::uint64_t>(record.word_store[3]) << 32;
    if (first <= record.stamp)
        losses_[record.pcpu].push_back({first, record.stamp});
}

bool Losses::any(std::optional<std::uint32_t> pcpu, std::uint64_t after, std::uint64_t until) const
{
    for (auto const& [number, of_pcpu] : losses_) {
        if (pcpu && *pcpu != number)
            continue;
        auto const at = std::upper_bound(of_pcpu.begin(), of_pcpu.end(), after,
                                         [](std::uint64_t time, Loss const& loss) { return time < loss.last; });
        if (at != of_pcpu.end() && at->first <= until)
            return true;
    }
    return false;
}

void Checker::breach(Record const& record, std::string_view rule, std::string what)
{
    ++count_;
    if (breaches_.size() < most_breaches)
        breaches_.push_back({record.offset, rule, std::move(what)});
}

Checker::Vcpu const* Checker::known(std::uint32_t vcpu, std::uint64_t now) const
{
    auto const found = vcpus_.find(vcpu);
    if (found == vcpus_.end())
        return nullptr;
    Vcpu const& last = found->second;
    bool const runs = last.state == State::running;
    return losses_.any(runs ? std::optional{last.pcpu} : std::nullopt, last.when, now) ? nullptr : &last;
}

std::optional<std::uint32_t> Checker::current(std::uint32_t pcpu, std::uint64_t now) const
{
    Pcpu const& last = pcpus_.at(pcpu);
    return losses_.any(pcpu, last.when, now) ? std::nullopt : last.current;
}

// What can be said of a record by itself and by the one before it on its pCPU.
void Checker::check_form(Record const& record, Pcpu& pcpu)
{
    std::uint32_t const event_class = record.event >> 16;
    if (!std::has_single_bit(event_class) || (event_class & ~known_classes) != 0)
        breach(record, "class", fmt::format("event {:#010x} is of no class that xenalyze knows", record.event));
    if (record.event == lost_end)
        breach(record, "class", "event 0x0001f032 ends a loss that was not begun");
    bool const is_minimum = (record.event & 0x0fff'f000) == scheduler_minimum;
    if (is_minimum && !sched::trace::decode_runstate(record.event) && !is_event(record, Event::continue_running))
        breach(record, "class", fmt::format("event {:#010x} is neither a change nor a continuation", record.event));
    if (is_minimum && !record.has_stamp)
        breach(record, "stamp", fmt::format("a run state ({:#010x}) without a stamp", record.event));
    if (record.pcpu >= limit)
        breach(record, "limit", fmt::format("pCPU {}: xenalyze takes up to {}", record.pcpu, limit - 1));
    if (record.has_stamp && !started_ && record.stamp == 0)
        breach(record, "stamp", "the first stamp is 0");
    started_ = started_ || record.has_stamp;
    if (record.has_stamp && record.stamp < pcpu.stamp)
        breach(record, "R2", fmt::format("pCPU {}'s stamps go backward by {}", record.pcpu, pcpu.stamp - record.stamp));
    pcpu.stamp = std::max(pcpu.stamp, record.stamp);
    std::optional<std::uint32_t> const runs = current(record.pcpu, record.stamp);
    if (event_class == pv_class && runs && is_idle(*runs))
        breach(record, "idle",
               fmt::format("a guest's event ({:#010x}) while pCPU {} idles", record.event, record.pcpu));
}

void Checker::check_name(Record const& record, std::uint32_t vcpu)
{
    if (is_idle(vcpu) && (vcpu & 0xffff) != record.pcpu)
        breach(record, "R6", fmt::format("the idle vCPU of pCPU {} on pCPU {}", vcpu & 0xffff, record.pcpu));
    if (vcpu >> 16 > idle_domain)
        breach(record, "R6", fmt::format("{}: domains go up to {}, the idle one", name_of(vcpu), idle_domain));
    if (!is_idle(vcpu) && (vcpu & 0xffff) >= limit)
        breach(record, "limit", fmt::format("{}: xenalyze takes vCPUs up to {}", name_of(vcpu), limit - 1));
}

// The first word of a pCPU on who runs there.
void Checker::check_first(Record const& record, Pcpu& pcpu, bool is_good)
{
    if (!pcpu.begun && !is_good && !cut_out_ && !losses_.any(record.pcpu, 0, record.stamp))
        breach(record, "R1",
               fmt::format("pCPU {} begins with neither a continuation nor the arrival of its idle vCPU", record.pcpu));
    pcpu.begun = true;
}

void Checker::record(Record const& record)
{
    Pcpu& pcpu = pcpus_[record.pcpu];
    if (is_event(record, Event::wrap_buffer))
        return;
    check_form(record, pcpu);
    if (is_event(record, Event::lost_records))
        return lost(record, pcpu);
    std::optional<RunStateChange> const to = sched::trace::decode_runstate(record.event);
    bool const arrives = to && to->to == State::running;
    if (pcpu.departing && !arrives)
        breach(record, "R2",
               fmt::format("event {:#010x} between pCPU {}'s departure and arrival", record.event, record.pcpu));
    pcpu.departing = false;
    if (is_event(record, Event::domain_remove))
        domain_removed(record);
    bool const is_continue = is_event(record, Event::continue_running);
    if (!to && !is_continue)
        return;
    if (record.word_count == 0)
        return breach(record, "class", fmt::format("event {:#010x} without its vCPU", record.event));
    check_name(record, record.word_store[0]);
    if (is_continue)
        continued(record, pcpu);
    else
        change(record, pcpu, *to);
}

// Whether a change follows from what the vCPU did last.
void Checker::check_past(Record const& record, std::uint32_t vcpu, RunStateChange to)
{
    bool const is_odd = to.from == to.to || (to.from == State::blocked && to.to == State::running) ||
                        (to.from == State::runnable && to.to == State::blocked);
    if (is_odd)
        breach(record, "transition",
               fmt::format("{} goes from {} to {}", name_of(vcpu), name_of(to.from), name_of(to.to)));
    Vcpu const* const past = known(vcpu, record.stamp);
    if (past == nullptr)
        return;
    if (past->state != to.from) {
        bool const is_life = past->state == State::offline || to.from == State::offline;
        breach(record, is_life ? "R4" : "R3",
               fmt::format("{} leaves {}, but is {} since byte {}", name_of(vcpu), name_of(to.from),
                           name_of(past->state), past->offset));
    } else if (to.from == State::running && past->pcpu != record.pcpu) {
        breach(record, "R2",
               fmt::format("{} leaves pCPU {}, but runs on pCPU {} since byte {}", name_of(vcpu), record.pcpu,
                           past->pcpu, past->offset));
    } else if (past->pcpu != record.pcpu && past->when == record.stamp) {
        breach(record, "R3",
               fmt::format("{} changes on pCPU {} at the very stamp of its change on pCPU {} at byte {}", name_of(vcpu),
                           record.pcpu, past->pcpu, past->offset));
    }
}

void Checker::change(Record const& record, Pcpu& pcpu, RunStateChange to)
{
    std::uint32_t const vcpu = record.word_store[0];
    check_past(record, vcpu, to);
    vcpus_[vcpu] = {to.to, record.pcpu, record.stamp, record.offset};
    bool const departs = to.from == State::running && to.to != State::running;
    bool const arrives = to.to == State::running;
    if (!departs && !arrives)
        return;
    std::optional<std::uint32_t> const before = current(record.pcpu, record.stamp);
    check_first(record, pcpu, arrives && is_idle(vcpu));
    if (before && *before != vcpu)
        breach(record, "R2",
               fmt::format("{} {} pCPU {} while {} runs there since byte {}", name_of(vcpu),
                           departs ? "leaves" : "comes to", record.pcpu, name_of(*before), pcpu.offset));
    pcpu.current = arrives ? std::optional{vcpu} : std::nullopt;
    pcpu.when = record.stamp;
    pcpu.offset = record.offset;
    pcpu.departing = departs && to.to != State::offline;
    pcpu.closed = false;
}

void Checker::continued(Record const& record, Pcpu& pcpu)
{
    std::uint32_t const vcpu = record.word_store[0];
    check_first(record, pcpu, true);
    std::optional<std::uint32_t> const before = current(record.pcpu, record.stamp);
    Vcpu const* const past = known(vcpu, record.stamp);
    if (before && *before != vcpu)
        breach(record, "continue",
               fmt::format("{} continues on pCPU {}, where {} runs since byte {}", name_of(vcpu), record.pcpu,
                           name_of(*before), pcpu.offset));
    else if (past != nullptr && past->state != State::running)
        breach(record, "continue",
               fmt::format("{} continues, but is {} since byte {}", name_of(vcpu), name_of(past->state), past->offset));
    else if (past != nullptr && past->pcpu != record.pcpu)
        breach(record, "continue",
               fmt::format("{} continues on pCPU {}, but runs on pCPU {} since byte {}", name_of(vcpu), record.pcpu,
                           past->pcpu, past->offset));
    vcpus_[vcpu] = {State::running, record.pcpu, record.stamp, record.offset};
    pcpu.current = vcpu;
    pcpu.when = record.stamp;
    pcpu.offset = record.offset;
    pcpu.closed = true;
}

void Checker::lost(Record const& record, Pcpu& pcpu)
{
    if (record.word_count != 4 || !record.has_stamp)
        return breach(record, "lost",
                      fmt::format("a LOST record of {} words, {} stamp, needs 4 and a stamp", record.word_count,
                                  record.has_stamp ? "with" : "without"));
    std::uint64_t const first = record.word_store[2] | static_cast<std::uint64_t>(record.word_store[3]) << 32;
    if (first >= record.stamp)
        breach(record, "lost",
               fmt::format("a loss that begins at stamp {}, not before its record's {}", first, record.stamp));
    std::uint32_t const vcpu = record.word_store[1] << 16 | record.word_store[1] >> 16; // the halves are swapped
    Vcpu const* const past = known(vcpu, record.stamp);
    if (past != nullptr && past->state == State::running && past->pcpu != record.pcpu)
        breach(record, "lost",
               fmt::format("names {} as running on pCPU {}, but it runs on pCPU {} since byte {}", name_of(vcpu),
                           record.pcpu, past->pcpu, past->offset));
    vcpus_[vcpu] = {State::running, record.pcpu, record.stamp, record.offset};
    pcpu.current = vcpu;
    pcpu.when = record.stamp;
    pcpu.offset = record.offset;
    pcpu.begun = true;
    pcpu.departing = false;
    pcpu.closed = true; // If nothing follows, what would have closed it is among the lost.
}

void Checker::domain_removed(Record const& record)
{
    for (auto const& [vcpu, last] : vcpus_)
        if (record.word_count != 0 && vcpu >> 16 == record.word_store[0] && last.state != State::offline &&
            known(vcpu, record.stamp) != nullptr)
            breach(record, "R4",
                   fmt::format("domain {} is removed while {} is {} since byte {}", vcpu >> 16, name_of(vcpu),
                               name_of(last.state), last.offset));
}

void Checker::finish()
{
    if (cut_out_)
        return;
    for (auto const& [number, pcpu] : pcpus_) {
        if (!pcpu.current || pcpu.closed)
            continue;
        Record last;
        last.offset = pcpu.offset;
        breach(last, "R5",
               fmt::format("{} runs on pCPU {} to the end, and nothing closes it", name_of(*pcpu.current), number));
    }
}

} // namespace hv::nv
