#include "tools/nv/trace_formats.hpp"

#include "sched/trace/events.hpp"
#include "tools/nv/trace_dump.hpp"

#include <fmt/format.h>

#include <array>

namespace hv::nv {

namespace {

using sched::trace::Event;
using sched::trace::EventInfo;
using sched::trace::Field;
using sched::trace::RunStateCode;

constexpr std::array states{RunStateCode::running, RunStateCode::runnable, RunStateCode::blocked,
                            RunStateCode::offline};

// What the tool can print of one word, the first being 1.
std::string field_text(Field field, unsigned word)
{
    switch (field) {
    case Field::domain:
        return fmt::format("dom = %({})d", word);
    case Field::vcpu:
        return fmt::format("vcpu = %({})d", word);
    case Field::pcpu:
        return fmt::format("pcpu = %({})d", word);
    case Field::packed_vcpu:
        return fmt::format("dom:vcpu = 0x%({})08x", word);
    case Field::nanoseconds:
        return fmt::format("ns = %({})d", word);
    case Field::packed_schedule:
        return fmt::format("idle:tasklet:pcpu = 0x%({})08x", word);
    case Field::count:
    case Field::signed_count:
    case Field::none:
        break;
    }
    return fmt::format("%({})d", word);
}

std::string line(std::uint32_t number, std::string_view name, EventInfo const& info)
{
    std::string fields;
    for (unsigned i = 0; i < info.words(); ++i)
        fields += (i == 0 ? " [ " : ", ") + field_text(info.fields[i], i + 1);
    return fmt::format("{:#010x} CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  {}{}\n", number, name,
                       fields.empty() ? "" : fields + " ]");
}

} // namespace

std::string formats_file()
{
    std::string text{"# numavisor's events, for xentrace_format\n"
                     "0x00000000 CPU%(cpu)d  %(tsc)d (+%(reltsc)8d)  unknown (0x%(event)016x)  "
                     "[ 0x%(1)08x 0x%(2)08x 0x%(3)08x 0x%(4)08x 0x%(5)08x 0x%(6)08x 0x%(7)08x ]\n"};
    for (EventInfo const& info : sched::trace::event_table) {
        if (info.event != Event::runstate_change) {
            text += line(static_cast<std::uint32_t>(info.event), info.name, info);
            continue;
        }
        for (RunStateCode const from : states)
            for (RunStateCode const to : states)
                text += line(sched::trace::runstate_event(from, to),
                             fmt::format("{}_to_{}", name_of(from), name_of(to)), info);
    }
    return text;
}

} // namespace hv::nv
