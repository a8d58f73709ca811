// `nv trace why`: which vCPU and when, and the answer.
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_dump.hpp"
#include "tools/nv/trace_input.hpp"
#include "tools/nv/trace_progress.hpp"
#include "tools/nv/trace_why.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdio>

namespace hv::nv {

namespace {

struct Question {
    std::uint32_t vcpu{0};         // packed
    std::optional<double> seconds; // nothing: its longest wait
};

double parse_seconds(std::string_view text, std::string_view whole)
{
    struct Unit {
        std::string_view name;
        double seconds;
    };
    constexpr std::array units{Unit{"ns", 1e-9}, Unit{"us", 1e-6}, Unit{"ms", 1e-3}, Unit{"s", 1}};
    double scale{1};
    for (Unit const& unit : units)
        if (text.ends_with(unit.name)) {
            text.remove_suffix(unit.name.size());
            scale = unit.seconds;
            break;
        }
    double value{0};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    constexpr double most = 1e9;
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0 && value * scale <= most))
        refuse(fmt::format("{}: the time is not a number with s, ms, us or ns, like 1.234s", whole));
    return value * scale;
}

Question parse_question(std::string_view text)
{
    std::size_t const at = text.find('@');
    std::optional<VcpuName> const name = parse_vcpu_name(text.substr(0, at));
    if (!name || !name->vcpu)
        refuse(fmt::format("{}: is not VCPU@TIME or VCPU, like d2v1@1.234s", text));
    Question question{.vcpu = sched::trace::pack_vcpu(name->domain, *name->vcpu), .seconds = {}};
    if (at != text.npos)
        question.seconds = parse_seconds(text.substr(at + 1), text);
    return question;
}

// What it did instead of waiting.
std::string no_wait(WaitFinder const& finder, Question const& question, std::string_view at)
{
    std::string const name{packed_name(question.vcpu)};
    Scene::Vcpu const* const state = finder.state();
    if (state == nullptr)
        return fmt::format("{} was not seen up to {}", name, at);
    std::string text{fmt::format("{} did not wait at {}: it was {}", name, at, name_of(state->state))};
    if (state->state == RunState::running && state->pcpu)
        text += fmt::format(" on pCPU {}", *state->pcpu);
    if (state->state == RunState::offline && state->parked)
        text += ", parked by its domain's cap";
    return text;
}

// The stamp that the question means; nothing: it never waited.
std::optional<std::uint64_t> stamp_of(Question const& question, MappedFile const& file, std::uint64_t hz,
                                      std::uint64_t& first)
{
    TraceStream stream{file};
    LongestWait longest{question.vcpu};
    std::optional<std::uint64_t> found_first;
    Progress progress{"looking for the longest wait", file.bytes().size()};
    while (std::optional<Record> const record = stream.next()) {
        progress.read(*record);
        if (!found_first && record->has_stamp)
            found_first = record->stamp;
        longest.record(*record);
        if (found_first && question.seconds)
            break;
    }
    first = found_first.value_or(0);
    if (question.seconds)
        return first + static_cast<std::uint64_t>(*question.seconds * static_cast<double>(hz));
    return longest.when();
}

} // namespace

ExitCode trace_why(WhyOptions const& options)
{
    Question const question{parse_question(options.question)};
    TraceFacts facts{facts_of(options.trace)};
    MappedFile const file{options.trace.file};
    std::uint64_t const hz = hertz_of(facts, file, options.trace.file);
    std::uint64_t first{0};
    std::optional<std::uint64_t> const when{stamp_of(question, file, hz, first)};
    if (!when) {
        fmt::print(stderr, "nv: {}: {} never waited\n", options.trace.file, packed_name(question.vcpu));
        return ExitCode::failed;
    }
    TraceStream stream{file};
    require_nodes(facts, stream.pcpus());
    WaitFinder finder{facts, question.vcpu, *when};
    {
        Progress progress{"looking for the wait", file.bytes().size()};
        bool is_open{true};
        while (is_open) {
            std::optional<Record> const record = stream.next();
            if (!record)
                break;
            progress.read(*record);
            is_open = finder.record(*record);
        }
    }
    std::optional<Wait> const wait{finder.finish()};
    if (!wait) {
        double const seconds = static_cast<double>(*when - first) / static_cast<double>(hz);
        fmt::print(stderr, "nv: {}: {}\n", options.trace.file,
                   no_wait(finder, question, fmt::format("{:.9f} s", seconds)));
        return ExitCode::failed;
    }
    WhyContext const context{.facts = facts, .hz = hz, .first = first, .when = *when};
    fmt::print("{}", options.trace.json ? why_json(*wait, context) : why_text(*wait, context));
    return report_damage(stream, options.trace.file);
}

} // namespace hv::nv
