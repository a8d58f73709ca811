#include "tools/nv/ctf.hpp"

#include "sched/trace/events.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace hv::nv {

namespace {

using sched::trace::Event;
using sched::trace::EventInfo;
using sched::trace::Field;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t switch_id = 0, waking_id = 1, first_table_id = 2;
constexpr std::size_t name_bytes = 16;
constexpr std::size_t most_packet_bytes = 65536;
constexpr std::uint32_t magic = 0xc1fc1fc1;
constexpr std::int32_t priority = 120;
// Of the format, not of a trace: two conversions of one trace are the same bytes.
constexpr std::uint8_t uuid[16] = {0x6e, 0x75, 0x6d, 0x61, 0x76, 0x69, 0x73, 0x6f, 0x72, 0x43, 0x54, 0x46, 0, 0, 0, 1};

template <typename Number>
void put(Bytes& bytes, Number number)
{
    std::size_t const at = bytes.size();
    bytes.resize(at + sizeof number);
    std::memcpy(bytes.data() + at, &number, sizeof number); // little-endian, as the host
}

void put_name(Bytes& bytes, std::string_view name)
{
    std::size_t const at = bytes.size(), length = std::min(name.size(), name_bytes - 1);
    bytes.resize(at + name_bytes);
    std::memcpy(bytes.data() + at, name.data(), length);
}

std::string tsdl_name(std::string_view name)
{
    std::string result{name};
    std::ranges::replace(result, ':', '_');
    return result;
}

std::string_view tsdl_field(Field field)
{
    switch (field) {
    case Field::domain:
        return "domain";
    case Field::vcpu:
        return "vcpu";
    case Field::pcpu:
        return "pcpu";
    case Field::packed_vcpu:
        return "domain_vcpu";
    case Field::nanoseconds:
        return "ns";
    case Field::signed_count:
    case Field::count:
        return "count";
    case Field::packed_schedule:
        return "schedule";
    case Field::none:
        break;
    }
    return "word";
}

bool is_signed(Field field) { return field == Field::nanoseconds || field == Field::signed_count; }

// What the run states of the trace are told by, and what says nothing by itself.
bool is_left_out(Event event)
{
    return event == Event::runstate_change || event == Event::continue_running || event == Event::lost_records ||
           event == Event::wrap_buffer || event == Event::cpu_change || event == Event::switch_to;
}

std::uint32_t id_of(EventInfo const& info)
{
    return first_table_id + static_cast<std::uint32_t>(&info - sched::trace::event_table.data());
}

std::string table_metadata()
{
    std::string text;
    for (EventInfo const& info : sched::trace::event_table) {
        if (is_left_out(info.event))
            continue;
        fmt::format_to(std::back_inserter(text), "event {{ name = \"{}\"; id = {}; stream_id = 0; fields := struct {{",
                       tsdl_name(info.name), id_of(info));
        for (unsigned i = 0; i < info.words(); ++i)
            fmt::format_to(std::back_inserter(text), " {} _{}_{};", is_signed(info.fields[i]) ? "int32_t" : "uint32_t",
                           tsdl_field(info.fields[i]), i);
        text += " }; };\n";
    }
    return text;
}

// What people call the domains, as far as their names need no escapes.
std::string names_metadata(TraceFacts const& facts)
{
    std::string text;
    for (auto const& [domain, name] : facts.names)
        if (std::ranges::none_of(name, [](char c) { return c == '"' || c == '\\' || c < ' '; }))
            fmt::format_to(std::back_inserter(text), " d{} = \"{}\";", domain, name);
    return text.empty() ? "" : fmt::format("env {{{} }};\n", text);
}

constexpr std::string_view head_metadata = R"(/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
typealias integer { size = 32; align = 8; signed = true; } := int32_t;
typealias integer { size = 64; align = 8; signed = true; } := int64_t;
typealias integer { size = 8; align = 8; signed = false; encoding = UTF8; } := char_t;

trace {
    major = 1; minor = 8; byte_order = le;
    uuid = "6e756d61-7669-736f-7243-544600000001";
    packet.header := struct { uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; };
};
env {
    domain = "kernel"; tracer_name = "lttng-modules"; tracer_major = 2; tracer_minor = 13;
    sysname = "Linux"; hostname = "numavisor";
};
clock { name = monotonic; freq = 1000000000; offset = 0; };
typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := stamp_t;

stream {
    id = 0;
    packet.context := struct {
        stamp_t timestamp_begin; stamp_t timestamp_end; uint64_t content_size; uint64_t packet_size;
        uint64_t events_discarded; uint32_t cpu_id;
    };
    event.header := struct { uint32_t id; stamp_t timestamp; };
};
event { name = "sched_switch"; id = 0; stream_id = 0; fields := struct {
    char_t _prev_comm[16]; int32_t _prev_tid; int32_t _prev_prio; int64_t _prev_state;
    char_t _next_comm[16]; int32_t _next_tid; int32_t _next_prio; }; };
event { name = "sched_waking"; id = 1; stream_id = 0; fields := struct {
    char_t _comm[16]; int32_t _tid; int32_t _prio; int32_t _target_cpu; }; };
)";

} // namespace

CtfExporter::CtfExporter(Append append, TraceFacts const& facts, std::uint64_t hz)
    : append_{std::move(append)}, timeline_{hz}
{
    std::string const text{std::string{head_metadata} + names_metadata(facts) + table_metadata()};
    append_("metadata",
            std::span{static_cast<std::uint8_t const*>(static_cast<void const*>(text.data())), text.size()});
}

CtfExporter::Vcpu& CtfExporter::meet(std::size_t index)
{
    while (vcpus_.size() <= index) {
        Timeline::Vcpu const& met = timeline_.vcpus()[vcpus_.size()];
        vcpus_.push_back({.name = met.name(), .tid = met.is_idle() ? 0 : thread_number(met, vcpus_.size())});
    }
    return vcpus_[index];
}

CtfExporter::Packet& CtfExporter::begin_event(std::uint32_t pcpu, std::uint64_t when, std::uint32_t id)
{
    if (pcpu >= packets_.size())
        packets_.resize(pcpu + 1);
    Packet& packet = packets_[pcpu];
    if (packet.events.size() >= most_packet_bytes)
        flush(pcpu);
    if (packet.events.empty())
        packet.begin = std::max(when, packet.end);
    packet.end = std::max(when, packet.end);
    put(packet.events, id);
    put(packet.events, packet.end);
    return packet;
}

void CtfExporter::flush(std::uint32_t pcpu)
{
    Packet& packet = packets_[pcpu];
    constexpr std::uint64_t head_bytes = 4 + 16 + 4 + 5 * 8 + 4;
    std::uint64_t const bits = 8 * (head_bytes + packet.events.size());
    out_.clear();
    put(out_, magic);
    out_.insert(out_.end(), std::begin(uuid), std::end(uuid));
    put(out_, std::uint32_t{0});
    for (std::uint64_t const number : {packet.begin, packet.end, bits, bits, packet.discarded})
        put(out_, number);
    put(out_, pcpu);
    out_.insert(out_.end(), packet.events.begin(), packet.events.end());
    append_(fmt::format("pcpu{}", pcpu), out_);
    packet.events.clear();
}

void CtfExporter::put_task(Packet& packet, std::uint32_t pcpu, std::size_t vcpu)
{
    bool const is_idle = vcpu == Timeline::nobody || vcpus_[vcpu].tid == 0;
    put_name(packet.events, is_idle ? fmt::format("swapper/{}", pcpu) : vcpus_[vcpu].name);
    put(packet.events, is_idle ? 0 : vcpus_[vcpu].tid);
    put(packet.events, priority);
}

void CtfExporter::switch_to(std::uint64_t when, std::uint32_t pcpu, std::size_t next)
{
    if (pcpu >= packets_.size())
        packets_.resize(pcpu + 1);
    if (next != Timeline::nobody && meet(next).tid == 0)
        next = Timeline::nobody;
    std::size_t const before = std::exchange(packets_[pcpu].running, next);
    if (before == Timeline::nobody && next == Timeline::nobody)
        return;
    Packet& packet = begin_event(pcpu, when, switch_id);
    put_task(packet, pcpu, before);
    put(packet.events, before == Timeline::nobody ? std::int64_t{0} : linux_state(timeline_.vcpus()[before].state));
    put_task(packet, pcpu, next);
}

void CtfExporter::wake(Timeline::Step const& step)
{
    Vcpu const& vcpu = meet(step.vcpu);
    if (vcpu.tid == 0)
        return;
    Packet& packet = begin_event(step.pcpu, step.when, waking_id);
    put_task(packet, step.pcpu, step.vcpu);
    put(packet.events, static_cast<std::int32_t>(vcpu.last_pcpu));
}

void CtfExporter::other(Timeline::Step const& step, Record const& record)
{
    EventInfo const* const info = sched::trace::find_event(record.event);
    if (info == nullptr || is_left_out(info->event))
        return;
    Packet& packet = begin_event(step.pcpu, step.when, id_of(*info));
    for (unsigned i = 0; i < info->words(); ++i)
        put(packet.events, record.word_store[i]); // 0 if the record has fewer
}

void CtfExporter::record(Record const& record)
{
    Timeline::Step const step = timeline_.step(record);
    if (!timeline_.has_started())
        return;
    switch (step.kind) {
    case Timeline::Kind::arrival:
        meet(step.vcpu).last_pcpu = step.pcpu;
        return switch_to(step.when, step.pcpu, step.vcpu);
    case Timeline::Kind::departure:
        return switch_to(step.when, step.pcpu, Timeline::nobody);
    case Timeline::Kind::wake:
        return wake(step);
    case Timeline::Kind::loss:
        switch_to(step.lost_from, step.pcpu, Timeline::nobody);
        if (!packets_[step.pcpu].events.empty())
            flush(step.pcpu);
        packets_[step.pcpu].discarded += record.word_count == 0 ? 0 : record.word_store[0];
        return;
    case Timeline::Kind::change:
        return;
    case Timeline::Kind::other:
        return other(step, record);
    }
}

void CtfExporter::finish()
{
    // An empty packet tells of losses at the end.
    for (std::uint32_t pcpu = 0; pcpu < packets_.size(); ++pcpu) {
        Packet& packet = packets_[pcpu];
        if (packet.events.empty() && packet.discarded == 0)
            continue;
        if (packet.events.empty())
            packet.begin = packet.end = std::max(packet.end, timeline_.now());
        flush(pcpu);
    }
}

} // namespace hv::nv
