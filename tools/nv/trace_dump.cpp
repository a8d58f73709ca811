#include "tools/nv/trace_dump.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/feed.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <iterator>

namespace hv::nv {

namespace {

using sched::trace::Event;
using sched::trace::EventInfo;
using sched::trace::Field;
using sched::trace::RunStateChange;

constexpr std::array state_names{"running", "runnable", "blocked", "offline"};

std::string event_name(std::uint32_t number)
{
    if (std::optional<RunStateChange> const change = sched::trace::decode_runstate(number))
        return fmt::format("{}_to_{}", name_of(change->from), name_of(change->to));
    EventInfo const* const info = sched::trace::find_event(number);
    return info == nullptr ? fmt::format("{:#010x}", number) : std::string{info->name};
}

std::string word_text(Field field, std::uint32_t word, bool halves_swapped)
{
    switch (field) {
    case Field::domain:
        return fmt::format("d{}", word);
    case Field::vcpu:
        return fmt::format("v{}", word);
    case Field::pcpu:
        return fmt::format("pCPU {}", word);
    case Field::packed_vcpu:
        return halves_swapped ? vcpu_name(word & 0xffff, word >> 16) : vcpu_name(word >> 16, word & 0xffff);
    case Field::nanoseconds:
        return fmt::format("{} ns", static_cast<std::int32_t>(word));
    case Field::signed_count:
        return fmt::format("{}", static_cast<std::int32_t>(word));
    case Field::packed_schedule:
        return fmt::format("pCPU {}{}{}", word & 0xffff, (word >> 16 & 0xff) != 0 ? " tasklet" : "",
                           (word >> 24) != 0 ? " idle" : " busy");
    case Field::count:
        return fmt::format("{}", word);
    case Field::none:
        break;
    }
    return fmt::format("{:#x}", word);
}

// Whether some word of the record, or pair of words, names the vCPU.
bool concerns(Record const& record, VcpuName wanted)
{
    EventInfo const* const info = sched::trace::find_event(record.event);
    if (info == nullptr)
        return false;
    bool const swapped = info->event == Event::lost_records;
    for (std::size_t i = 0; i < record.word_count; ++i) {
        std::uint32_t const word = record.word_store[i];
        if (info->fields[i] == Field::packed_vcpu) {
            std::uint32_t const domain = swapped ? word & 0xffff : word >> 16;
            std::uint32_t const vcpu = swapped ? word >> 16 : word & 0xffff;
            if (domain == wanted.domain && (!wanted.vcpu || vcpu == *wanted.vcpu))
                return true;
        }
        if (info->fields[i] != Field::domain || word != wanted.domain)
            continue;
        bool const has_vcpu = i + 1u < record.word_count && info->fields[i + 1] == Field::vcpu;
        if (!wanted.vcpu || (has_vcpu && record.word_store[i + 1] == *wanted.vcpu))
            return true;
    }
    return false;
}

} // namespace

std::string vcpu_name(std::uint32_t domain, std::uint32_t vcpu)
{
    return domain == idle_domain ? fmt::format("idle{}", vcpu) : fmt::format("d{}v{}", domain, vcpu);
}

std::string_view name_of(sched::trace::RunStateCode state) { return state_names[static_cast<std::size_t>(state)]; }

bool DumpFilter::passes(Record const& record, double seconds) const
{
    if ((from && seconds < *from) || (to && seconds > *to) || (pcpu && record.pcpu != *pcpu))
        return false;
    if (any_runstate && !sched::trace::decode_runstate(record.event))
        return false;
    if (!any_runstate && event && record.event != *event)
        return false;
    return !vcpu || concerns(record, *vcpu);
}

void set_event(DumpFilter& filter, std::string_view text)
{
    filter.event.reset();
    filter.any_runstate = false;
    bool const is_hex = text.starts_with("0x");
    std::string_view const digits = is_hex ? text.substr(2) : text;
    std::uint32_t number{0};
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, is_hex ? 16 : 10);
    if (error == std::errc{} && end == digits.data() + digits.size() && number <= 0x0fff'ffff) {
        filter.event = number;
        return;
    }
    filter.any_runstate = text == "runstate_change";
    if (filter.any_runstate)
        return;
    for (EventInfo const& info : sched::trace::event_table)
        if (info.name == text)
            filter.event = static_cast<std::uint32_t>(info.event);
    for (std::uint32_t from = 0; from < 4; ++from)
        for (std::uint32_t to = 0; to < 4; ++to) {
            std::uint32_t const change = static_cast<std::uint32_t>(Event::runstate_change) | from << 8 | to << 4;
            if (event_name(change) == text)
                filter.event = change;
        }
    if (filter.event)
        return;
    std::string names;
    for (EventInfo const& info : sched::trace::event_table)
        fmt::format_to(std::back_inserter(names), " {}", info.name);
    refuse(fmt::format("--event {}: no such event; give a number, running_to_blocked and the like, or one of{}", text,
                       names));
}

std::string dump_line(Record const& record, double seconds)
{
    std::string line = fmt::format("{:14.9f} pCPU {:<3} {}", seconds, record.pcpu, event_name(record.event));
    EventInfo const* const info = sched::trace::find_event(record.event);
    // What fills the end of a ring says nothing.
    if (record.event == static_cast<std::uint32_t>(Event::wrap_buffer))
        return line;
    auto const field_of = [&](std::size_t i) {
        return info == nullptr || i >= sched::trace::max_words ? Field::none : info->fields[i];
    };
    bool const swapped = info != nullptr && info->event == Event::lost_records;
    for (std::size_t i = 0; i < record.word_count; ++i) {
        if (field_of(i) == Field::domain && i + 1u < record.word_count && field_of(i + 1) == Field::vcpu) {
            line += " " + vcpu_name(record.word_store[i], record.word_store[i + 1]);
            ++i;
            continue;
        }
        line += " " + word_text(field_of(i), record.word_store[i], swapped);
    }
    return line;
}

} // namespace hv::nv
