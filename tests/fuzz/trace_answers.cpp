#include "arch/generic/assert.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/support/trace_figures.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/replay.hpp"
#include "tools/nv/trace_diff_report.hpp"
#include "tools/nv/trace_follow.hpp"
#include "tools/nv/trace_why.hpp"

#include <algorithm>

namespace {

using namespace hv::nv;
using Bytes = std::span<std::byte const>;

constexpr std::uint64_t hertz = 1'000'000'000;

// The two halves, or one twice; what differs has a place, and both can be looked at there.
void diff(Bytes a, Bytes b)
{
    DiffReport report;
    report.a = figures_of(a);
    report.b = figures_of(b);
    report.common = Common::of(report.a, report.b);
    TraceStream stream_a{a}, stream_b{b};
    report.comparison = compare({stream_a, hertz}, {stream_b, hertz}, report.common, 0);
    HV_ASSERT(a.data() != b.data() || !report.comparison.records);
    if (std::optional<Divergence> const& at = report.comparison.records) {
        TraceStream again_a{a}, again_b{b};
        report.first = DiffPlace{.divergence = *at,
                                 .a = view_divergence(again_a, hertz, *at, Comparer::Side::a),
                                 .b = view_divergence(again_b, hertz, *at, Comparer::Side::b)};
    }
    report.figures = diff_figures(report.a, report.b);
    report.vcpus = diff_vcpus(report.a, report.b, 5);
    HV_ASSERT(!diff_text(report).empty() && !diff_html(report).empty() && !diff_json(report).empty());
}

// The longest wait of a vCPU lies where it was asked for.
void why(Bytes file, std::uint32_t vcpu)
{
    LongestWait longest{vcpu};
    TraceStream first{file};
    while (std::optional<Record> const record = first.next())
        longest.record(*record);
    TraceFacts const facts;
    std::uint64_t const when = longest.when().value_or(0);
    WaitFinder finder{facts, vcpu, when};
    TraceStream stream{file};
    while (std::optional<Record> const record = stream.next())
        if (!finder.record(*record))
            break;
    std::optional<Wait> const wait{finder.finish()};
    if (wait)
        HV_ASSERT(!why_text(*wait, {.facts = facts, .hz = hertz, .first = wait->begin, .when = when}).empty());
}

// What comes out is a scenario that nv takes.
void replay(Bytes file, HostPcpus how)
{
    WakePairs pairs;
    HostTurns turns{hertz};
    TraceStream first{file};
    while (std::optional<Record> const record = first.next()) {
        pairs.record(*record, hertz);
        turns.record(*record);
    }
    HostModel host{turns.model()};
    host.pcpus = how;
    Recorder recorder{pairs, hertz, host};
    TraceStream stream{file};
    while (std::optional<Record> const record = stream.next())
        recorder.record(*record);
    std::vector<std::uint32_t> const pcpus{stream.pcpus()};
    std::string text;
    try {
        text = replay_scenario(recorder.finish(), {}, pcpus.empty() ? 1 : pcpus.back() + 1,
                               {.name = "r", .policy = "credit"});
    } catch (Error const& error) {
        HV_ASSERT(error.code() == ExitCode::bad_input);
        return;
    }
    HV_ASSERT(!pack(parse_scenario(text, "r")).empty());
}

} // namespace

HV_FUZZ_TARGET(trace_answers)
{
    Bytes const bytes{std::as_bytes(input)};
    diff(bytes, bytes);
    std::size_t const half = whole_passes(bytes, false);
    diff(bytes.first(half), bytes.subspan(half));
    TraceFigures const figures{figures_of(bytes)};
    for (std::size_t i = 0; i < std::min<std::size_t>(figures.vcpus.size(), 3); ++i)
        why(bytes, hv::sched::trace::pack_vcpu(figures.vcpus[i].domain, figures.vcpus[i].vcpu));
    replay(bytes, HostPcpus::side_by_side);
    replay(bytes, HostPcpus::by_turns);
}
