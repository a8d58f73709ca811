// What all exporters of traces rest on, and what each of them makes of small traces by hand. Whole traces of real hosts
// are held to their figures by scripts/run-tests (tests/traces/exports.py, tests/page/page.py).
#include "tests/unit/nv/trace_sample.hpp"
#include "tools/nv/ctf.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/page.hpp"
#include "tools/nv/perfetto.hpp"
#include "tools/nv/perfetto_fields.hpp"
#include "tools/nv/trace_stream.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <map>
#include <string>

namespace hv::nv {
namespace {

using sample::Sample;
using sample::State;
using Kind = Timeline::Kind;
using Octets = std::vector<std::uint8_t>;

constexpr std::uint64_t gigahertz = 1'000'000'000;

Record lost(std::uint64_t stamp, std::uint32_t count, std::uint32_t from)
{
    return sample::make(static_cast<std::uint32_t>(sample::Event::lost_records), stamp, {count, 0, from, 0});
}

template <typename Use>
void for_each_record(Sample const& trace, Use use)
{
    auto const bytes = trace.file();
    TraceStream stream{bytes};
    while (auto const record = stream.next())
        use(*record);
}

std::vector<Timeline::Step> steps_of(Sample const& trace, std::uint64_t hz = gigahertz)
{
    Timeline timeline{hz};
    std::vector<Timeline::Step> steps;
    for_each_record(trace, [&](Record const& record) { steps.push_back(timeline.step(record)); });
    return steps;
}

TEST(TraceTimeline, TellsWhoTookOverFromWhom)
{
    auto const steps = steps_of(Sample{}
                                    .resume(0, 10, 1, 0)
                                    .change(0, 20, 1, 0, State::running, State::blocked)
                                    .change(0, 21, 2, 0, State::runnable, State::running)
                                    .resume(0, 30, 2, 0));
    ASSERT_EQ(steps.size(), 4u);
    EXPECT_EQ(steps[0].kind, Kind::arrival);
    EXPECT_EQ(steps[0].before, Timeline::nobody);
    EXPECT_EQ(steps[1].kind, Kind::departure);
    EXPECT_EQ(steps[1].to, State::blocked);
    EXPECT_EQ(steps[2].kind, Kind::arrival);
    EXPECT_EQ(steps[2].before, steps[1].vcpu);
    EXPECT_EQ(steps[2].when, 21u);
    EXPECT_EQ(steps[3].kind, Kind::other) << "a continuation of who is known to run says nothing";
}

TEST(TraceTimeline, TellsWhoWokeWhom)
{
    auto const steps = steps_of(Sample{}.resume(3, 10, 1, 0).change(3, 20, 2, 5, State::blocked, State::runnable));
    ASSERT_EQ(steps.size(), 2u);
    EXPECT_EQ(steps[1].kind, Kind::wake);
    EXPECT_EQ(steps[1].before, steps[0].vcpu);
    EXPECT_EQ(steps[1].pcpu, 3u);
}

TEST(TraceTimeline, KnowsNobodyAfterALoss)
{
    auto const steps = steps_of(
        Sample{}.resume(0, 10, 1, 0).put(0, lost(40, 7, 15)).change(0, 50, 2, 0, State::runnable, State::running));
    ASSERT_EQ(steps.size(), 3u);
    EXPECT_EQ(steps[1].kind, Kind::loss);
    EXPECT_EQ(steps[1].lost_from, 15u);
    EXPECT_EQ(steps[1].before, steps[0].vcpu);
    EXPECT_EQ(steps[2].before, Timeline::nobody);
}

TEST(TraceTimeline, CountsInNsAndNeverBackward)
{
    auto const steps =
        steps_of(Sample{}.resume(0, 1000, 1, 0).resume(0, 500, 2, 0).resume(0, 3000, 3, 0), 2 * gigahertz);
    ASSERT_EQ(steps.size(), 3u);
    EXPECT_EQ(steps[0].when, 500u);
    EXPECT_EQ(steps[1].when, 500u);
    EXPECT_EQ(steps[2].when, 1500u);
}

// The fields of a message, by number: numbers as they are, messages as bytes.
struct Message {
    std::multimap<std::uint32_t, std::uint64_t> numbers;
    std::multimap<std::uint32_t, Message> messages;
    Octets bytes;

    explicit Message(std::span<std::uint8_t const> from) : bytes{from.begin(), from.end()}
    {
        for (std::size_t at = 0; at < bytes.size();) {
            std::uint64_t const tag = varint(at);
            if (tag == 0 || (tag & 7) > 2)
                return; // text
            if ((tag & 7) == 0) {
                numbers.emplace(tag >> 3, varint(at));
                continue;
            }
            std::uint64_t const size = (tag & 7) == 1 ? 8 : varint(at);
            if (size > bytes.size() - at)
                return;
            messages.emplace(tag >> 3, Message{std::span{bytes}.subspan(at, size)});
            at += size;
        }
    }
    std::uint64_t varint(std::size_t& at)
    {
        std::uint64_t value{0};
        for (unsigned shift = 0; at < bytes.size() && shift < 64; shift += 7) {
            value |= std::uint64_t{bytes[at] & 127u} << shift;
            if (bytes[at++] < 128)
                break;
        }
        return value;
    }
};

TEST(ProtoWriter, WritesMessagesOfAnyLengthInPlace)
{
    for (std::size_t const length : {0u, 1u, 123u, 124u, 125u, 126u, 127u, 128u, 16380u, 16384u, 40000u}) {
        ProtoWriter out;
        std::string const text(length, 'x');
        out.message(2, [&] {
            out.number(1, 300);
            out.message(3, [&] { out.text(5, text); });
        });
        out.number(4, 7);
        Message const all{out.bytes()};
        ASSERT_EQ(all.messages.count(2), 1u) << length;
        EXPECT_EQ(all.numbers.find(4)->second, 7u);
        Message const& inner = all.messages.find(2)->second;
        EXPECT_EQ(inner.numbers.find(1)->second, 300u);
        EXPECT_EQ(inner.messages.find(3)->second.messages.find(5)->second.bytes.size(), length);
    }
}

TEST(Perfetto, SaysInTheNextBundleThatRecordsAreLost)
{
    MemorySink sink;
    TraceFacts const facts;
    std::vector<std::uint32_t> const pcpus{0};
    PerfettoExporter exporter{sink, facts, gigahertz, pcpus};
    for_each_record(
        Sample{}.resume(0, 10, 1, 0).put(0, lost(40, 7, 15)).change(0, 50, 2, 0, State::runnable, State::running),
        [&](Record const& record) { exporter.record(record); });
    exporter.finish();
    std::vector<std::size_t> lost_flags;
    Message const file{sink.bytes()};
    for (auto const& [field, packet] : file.messages)
        for (auto [at, end] = packet.messages.equal_range(1); at != end; ++at)
            lost_flags.push_back(at->second.numbers.count(3));
    EXPECT_EQ(lost_flags, (std::vector<std::size_t>{0, 1}));
}

// d1v0 runs at home and wakes d2v0, for which it makes room; d2v0 runs away from home until the trace ends.
TEST(Perfetto, MatchesSlicesFlowsAndSwitches)
{
    namespace fields = perfetto;
    TraceFacts facts;
    facts.node_of = {0, 1};
    facts.domains[1].home = {{0}};
    facts.domains[2].home = {{1}};
    MemorySink sink;
    std::vector<std::uint32_t> const pcpus{0, 1};
    PerfettoExporter exporter{sink, facts, gigahertz, pcpus};
    for_each_record(Sample{}
                        .resume(0, 10, 1, 0)
                        .change(0, 20, 2, 0, State::blocked, State::runnable)
                        .change(0, 30, 1, 0, State::running, State::blocked)
                        .change(0, 31, 2, 0, State::runnable, State::running),
                    [&](Record const& record) { exporter.record(record); });
    exporter.finish();
    std::vector<std::string> slices, flows;
    std::vector<std::uint64_t> left;
    auto const text = [](Message const& of, std::uint32_t field) {
        auto const found = of.messages.find(field);
        return found == of.messages.end() ? "" : std::string{found->second.bytes.begin(), found->second.bytes.end()};
    };
    Message const file{sink.bytes()};
    for (auto const& [field, packet] : file.messages) {
        for (auto [at, end] = packet.messages.equal_range(fields::packet::track_event); at != end; ++at) {
            Message const& event = at->second;
            std::uint64_t const type = event.numbers.find(fields::event::type)->second;
            std::uint64_t const when = packet.numbers.find(fields::packet::timestamp)->second;
            if (type == fields::event::slice_begin || type == fields::event::slice_end)
                slices.push_back(fmt::format("{} {}", when, text(event, fields::event::categories)));
            if (event.messages.contains(fields::event::flow_ids))
                flows.push_back("begins " + text(event, fields::event::flow_ids));
            if (event.messages.contains(fields::event::terminating_flow_ids))
                flows.push_back("ends " + text(event, fields::event::terminating_flow_ids));
        }
        for (auto [at, end] = packet.messages.equal_range(fields::packet::ftrace_events); at != end; ++at)
            for (auto [event, last] = at->second.messages.equal_range(fields::bundle::event); event != last; ++event)
                if (auto const found = event->second.messages.find(fields::ftrace::sched_switch);
                    found != event->second.messages.end())
                    left.push_back(found->second.numbers.find(fields::sched_switch::prev_state)->second);
    }
    EXPECT_EQ(slices, (std::vector<std::string>{"10 home", "30 ", "31 away", "31 "}));
    ASSERT_EQ(flows.size(), 2u);
    EXPECT_EQ(flows[0].substr(7), flows[1].substr(5)) << "the end of another flow";
    EXPECT_EQ(left, (std::vector<std::uint64_t>{0, 1, 0})); // the idle vCPU, d1v0 blocked, the idle vCPU
}

TEST(Ctf, CountsWhatIsLostInThePacketsAfterwards)
{
    std::map<std::string, Octets> files;
    CtfExporter exporter{[&](std::string const& name, std::span<std::uint8_t const> bytes) {
                             files[name].insert(files[name].end(), bytes.begin(), bytes.end());
                         },
                         {},
                         gigahertz};
    for_each_record(
        Sample{}.resume(4, 10, 1, 0).put(4, lost(40, 7, 15)).change(4, 50, 2, 0, State::runnable, State::running),
        [&](Record const& record) { exporter.record(record); });
    exporter.finish();
    std::vector<std::vector<std::uint64_t>> packets; // begin, end, discarded
    Octets const& file = files["pcpu4"];
    for (std::size_t at = 0; at + 68 <= file.size();) {
        std::uint64_t context[5];
        std::memcpy(context, file.data() + at + 24, sizeof context);
        packets.push_back({context[0], context[1], context[4]});
        at += context[2] / 8;
    }
    EXPECT_EQ(packets, (std::vector<std::vector<std::uint64_t>>{{10, 15, 0}, {50, 50, 7}}));
    EXPECT_EQ(files.size(), 2u);
}

// -------------------------------------------------------------------------------------------------------------------
// page

Octets unpack(std::string_view page)
{
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr std::string_view open = "class=\"stream\">";
    Octets packed;
    for (std::size_t at = page.find(open); at != page.npos; at = page.find(open, at + 1)) {
        std::uint32_t bits{0}, count{0};
        for (char const c : page.substr(at + open.size(), page.find('<', at) - at - open.size())) {
            if (c == '=')
                break;
            bits = bits << 6 | static_cast<std::uint32_t>(digits.find(c));
            if ((count += 6) >= 8)
                packed.push_back(static_cast<std::uint8_t>(bits >> (count -= 8)));
        }
    }
    Octets bytes(std::size_t{4} << 20);
    uLongf size = bytes.size();
    EXPECT_EQ(uncompress(bytes.data(), &size, packed.data(), packed.size()), Z_OK);
    bytes.resize(size);
    return bytes;
}

std::string page_of(Sample const& trace, PageOptions const& options, TraceFacts const& facts = {})
{
    MemorySink sink;
    auto const bytes = trace.file();
    TraceStream stream{bytes};
    PageExporter exporter{sink, "before<!-- the trace -->after", facts, gigahertz, stream.pcpus(), options};
    while (auto const record = stream.next())
        exporter.record(*record);
    exporter.finish();
    return std::string{sink.text()};
}

Sample three_steps()
{
    return Sample{}
        .resume(0, 100, 1, 0)
        .change(0, 105, 1, 0, State::running, State::blocked)
        .change(1, 109, 1, 0, State::blocked, State::runnable)
        .change(1, 110, 1, 0, State::runnable, State::running);
}

TEST(TracePage, HoldsEveryRunStateAsAStepSinceTheOneBefore)
{
    std::string const page{page_of(three_steps(), {})};
    EXPECT_TRUE(page.starts_with("before<script") && page.ends_with("after"));
    // ns << 3 | kind, vCPU, pCPU
    EXPECT_EQ(unpack(page), (Octets{0 << 3 | 0, 0, 0, 5 << 3 | 2, 0, 0, 4 << 3 | 4, 0, 1, 1 << 3 | 0, 0, 1}));
    EXPECT_NE(page.find(R"("begin":100,"end":110,"first":100,"records":4)"), page.npos) << page;
}

TEST(TracePage, BeginsWithWhatWasSoBeforeWhatIsLeftOut)
{
    // From 8 ns on: vCPU 0 is blocked.
    EXPECT_EQ(unpack(page_of(three_steps(), {.title = "", .from = 8e-9, .to = {}})),
              (Octets{0 << 3 | 5, 0, 2, 1 << 3 | 4, 0, 1, 1 << 3 | 0, 0, 1}));
    // From 3 ns on, to 6 ns: it runs.
    EXPECT_EQ(unpack(page_of(three_steps(), {.title = "", .from = 3e-9, .to = 6e-9})),
              (Octets{0 << 3 | 0, 0, 0, 2 << 3 | 2, 0, 0}));
    EXPECT_THROW(static_cast<void>(page_of(three_steps(), {.title = "", .from = 1.0, .to = {}})), Error);
}

TEST(TracePage, KeepsNamesFromEndingItsScript)
{
    TraceFacts facts;
    facts.names[1] = "</script><b>";
    std::string const page{page_of(three_steps(), {.title = "</script>", .from = {}, .to = {}}, facts)};
    EXPECT_NE(page.find(R"(\u003c/script>)"), page.npos);
    EXPECT_EQ(page.find("</script></script>"), page.npos);
    EXPECT_EQ(page.find("<b>"), page.npos);
}

TEST(TracePage, RefusesATemplateWithoutAPlaceForTheTrace)
{
    MemorySink sink;
    EXPECT_THROW((PageExporter{sink, "no mark", {}, gigahertz, {}, {}}), Error);
}

TEST(PackedText, GivesBackMillionsOfBytes)
{
    MemorySink sink;
    PackedText text{sink, "class=\"stream\">", "<"};
    Octets bytes(3'000'001);
    std::uint32_t random{1};
    for (std::uint8_t& byte : bytes)
        byte = static_cast<std::uint8_t>((random = random * 1664525 + 1013904223) >> 24);
    for (std::size_t at = 0; at < bytes.size(); at += 65536)
        text.write(std::span{bytes}.subspan(at, std::min<std::size_t>(65536, bytes.size() - at)));
    text.finish();
    EXPECT_EQ(unpack(sink.text()), bytes);
}

} // namespace
} // namespace hv::nv
