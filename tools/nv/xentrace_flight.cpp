#include "tools/nv/xentrace_flight.hpp"

#include "tools/nv/feed.hpp"

#include <algorithm>
#include <optional>

namespace hv::nv {

namespace {

using sched::trace::Event;
using sched::trace::RunStateChange;

// What a record says of its pCPU.
struct Hint {
    std::optional<std::uint32_t> before, after; // the vCPU that runs there, if it says so
};

std::optional<Hint> hint_of(Record const& record)
{
    if (record.word_count == 0)
        return std::nullopt;
    std::uint32_t const vcpu = record.word_store[0];
    if (record.event == static_cast<std::uint32_t>(Event::continue_running))
        return Hint{vcpu, vcpu};
    if (record.event == static_cast<std::uint32_t>(Event::lost_records) && record.word_count == 4)
        return Hint{{}, record.word_store[1] << 16 | record.word_store[1] >> 16}; // the halves are swapped
    std::optional<RunStateChange> const change = sched::trace::decode_runstate(record.event);
    if (change && change->to == RunState::running)
        return Hint{{}, vcpu};
    if (change && change->from == RunState::running)
        return Hint{vcpu, {}};
    return std::nullopt;
}

// A departure is followed by an arrival, unless its vCPU goes offline: then the trace is being closed.
bool is_midst_of_switch(Record const& record)
{
    std::optional<RunStateChange> const change = sched::trace::decode_runstate(record.event);
    return change && change->from == RunState::running && change->to != RunState::running &&
           change->to != RunState::offline;
}

// The earliest time from `from` on at which the stream tells what runs.
std::uint64_t told_from(std::vector<Record> const& records, std::uint64_t from)
{
    bool is_told{false}, in_switch{false};
    std::uint64_t stamp{from};
    for (Record const& record : records) {
        if (record.stamp > from && is_told && !in_switch)
            break;
        std::optional<Hint> const hint = hint_of(record);
        if (!hint)
            continue;
        if (!is_told && hint->before && record.stamp > from)
            break; // It ran there at `from`.
        is_told = true;
        in_switch = is_midst_of_switch(record);
        stamp = std::max(from, record.stamp);
    }
    return stamp;
}

void append_change(std::vector<std::byte>& bytes, std::uint64_t stamp, std::uint32_t vcpu, RunState from, RunState to)
{
    Record record;
    record.event = sched::trace::runstate_event(from, to);
    record.stamp = stamp;
    record.has_stamp = true;
    record.word_count = 1;
    record.word_store[0] = vcpu;
    std::vector<std::byte> const more = encode(record);
    bytes.insert(bytes.end(), more.begin(), more.end());
}

// The idle vCPU comes and, if another runs, makes way for it at once. A continuation of the other would do, too, but
// xenalyze has a line to say about each.
std::vector<std::byte> begin_with(std::uint32_t pcpu, std::uint32_t current, std::uint64_t stamp)
{
    std::uint32_t const idle = sched::trace::pack_vcpu(idle_domain, static_cast<std::uint16_t>(pcpu));
    std::vector<std::byte> bytes;
    append_change(bytes, stamp, idle, RunState::runnable, RunState::running);
    if (current == idle)
        return bytes;
    append_change(bytes, stamp, idle, RunState::running, RunState::runnable);
    append_change(bytes, stamp, current, RunState::runnable, RunState::running);
    return bytes;
}

// The stream from after `start` on, behind records that say what runs.
void begin_at(Stream& stream, std::vector<Record> const& records, std::uint64_t start)
{
    std::optional<std::uint32_t> current;
    bool is_told{false};
    auto const is_later = [&](Record const& record) { return record.stamp > start; };
    auto const first = std::ranges::find_if(records, is_later);
    for (auto record = records.begin(); record != records.end() && (record < first || !is_told); ++record)
        if (std::optional<Hint> const hint = hint_of(*record)) {
            current = record < first ? hint->after : hint->before;
            is_told = true;
        }
    std::vector<std::byte> bytes;
    if (current)
        bytes = begin_with(stream.pcpu, *current, start);
    std::size_t const kept = first == records.end() ? stream.bytes.size() : static_cast<std::size_t>(first->offset);
    bytes.insert(bytes.end(), stream.bytes.begin() + static_cast<std::ptrdiff_t>(kept), stream.bytes.end());
    stream.bytes = std::move(bytes);
}

} // namespace

void start_together(std::vector<Stream>& streams)
{
    std::vector<std::vector<Record>> records;
    std::uint64_t start{0};
    for (Stream const& stream : streams) {
        records.push_back(records_of(stream));
        for (Record const& record : records.back())
            if (record.has_stamp) {
                start = std::max(start, record.stamp);
                break;
            }
    }
    // Each round puts it off to a later record's time, until all are content.
    for (std::uint64_t before = start + 1; before != start;) {
        before = start;
        for (std::vector<Record> const& one : records)
            start = std::max(start, told_from(one, start));
    }
    for (std::size_t i = 0; i < streams.size(); ++i)
        begin_at(streams[i], records[i], start);
}

} // namespace hv::nv
