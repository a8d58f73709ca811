#include "tools/nv/page.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/json.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hv::nv {

namespace {

using sched::trace::Event;
using State = Timeline::State;

constexpr std::string_view trace_line = "<!-- the trace -->";
constexpr std::size_t bytes_at_once = 65536;
constexpr double ns_in_second = 1e9;

// Kinds of numbers, as in tools/page/stream.js.
enum Head : std::uint32_t { arrives, leaves_runnable, leaves_blocked, leaves_offline, wakes, changes, loses, marks };
enum MarkKind : std::uint32_t { boost, boost_end, stolen, credit, priority, parked, queue };

// As a positive number with the sign in bit 0.
std::uint64_t zigzag(std::uint32_t word)
{
    auto const value = static_cast<std::int32_t>(word);
    return value < 0 ? ~(static_cast<std::uint64_t>(std::int64_t{value}) << 1) : std::uint64_t{word} << 1;
}

// For a script element of JSON, which may not hold an end tag.
std::string in_script(std::string_view text)
{
    std::string result;
    for (char const c : text)
        result += c == '<' ? "\\u003c" : std::string{c};
    return result;
}

std::string list(std::optional<std::vector<std::uint16_t>> const& numbers)
{
    return numbers ? fmt::format("[{}]", fmt::join(*numbers, ",")) : "null";
}

std::string_view before_mark(std::string_view page)
{
    std::size_t const at = page.find(trace_line);
    if (at == page.npos)
        give_up(fmt::format("the page's template has no line {}; build it anew", trace_line));
    return page.substr(0, at);
}

} // namespace

PageExporter::PageExporter(ByteSink& sink, std::string_view page, TraceFacts const& facts, std::uint64_t hz,
                           std::span<std::uint32_t const> pcpus, PageOptions options)
    : sink_{sink}, page_{page}, facts_{facts}, options_{std::move(options)}, pcpus_{pcpus.begin(), pcpus.end()},
      hz_{hz}, timeline_{hz}, text_{sink, "<script type=\"text/plain\" class=\"stream\">", "</script>\n"}
{
    require_nodes(facts, pcpus);
    sink_.write(before_mark(page));
}

void PageExporter::put(std::uint64_t number)
{
    for (; number > 127; number >>= 7)
        bytes_.push_back(static_cast<std::uint8_t>(number | 0x80));
    bytes_.push_back(static_cast<std::uint8_t>(number));
}

void PageExporter::put_head(std::uint64_t when, std::uint32_t kind)
{
    // Seconds are not exact: what the page begins with may be a little later than the next record.
    when = std::max(when, last_);
    put((when - last_) << 3 | kind);
    last_ = when;
    if (bytes_.size() < bytes_at_once)
        return;
    text_.write(bytes_);
    bytes_.clear();
}

// What is so already where the page begins.
void PageExporter::begin(std::uint64_t when)
{
    is_inside_ = true;
    begin_ = last_ = when;
    std::vector<bool> runs(timeline_.vcpus().size());
    for (std::uint32_t const pcpu : pcpus_) {
        std::size_t const occupant = timeline_.occupant(pcpu);
        if (occupant == Timeline::nobody || timeline_.vcpus()[occupant].state != State::running)
            continue;
        runs[occupant] = true;
        put_head(when, arrives);
        put(occupant);
        put(pcpu);
    }
    for (std::size_t i = 0; i < runs.size(); ++i) {
        Timeline::Vcpu const& vcpu = timeline_.vcpus()[i];
        if (!vcpu.seen || runs[i] || vcpu.state == State::running)
            continue;
        put_head(when, changes);
        put(i);
        put(static_cast<std::uint64_t>(vcpu.state));
    }
}

void PageExporter::put_mark(Timeline::Step const& step, Record const& record)
{
    auto const& word = record.word_store;
    auto const tell = [&](MarkKind kind, unsigned words, auto const& who, std::uint64_t value) {
        if (record.word_count < words)
            return;
        std::uint64_t const subject = who();
        put_head(step.when, marks);
        put(kind);
        put(subject);
        put(value);
    };
    auto const packed = [&] { return timeline_.find(word[0]); };
    auto const pair = [&](unsigned at) {
        return [&, at] {
            return timeline_.find(sched::trace::pack_vcpu(static_cast<std::uint16_t>(word[at]),
                                                          static_cast<std::uint16_t>(word[at + 1])));
        };
    };
    switch (static_cast<Event>(record.event)) {
    case Event::boost_start:
        return tell(boost, 2, pair(0), 0);
    case Event::boost_end:
        return tell(boost_end, 2, pair(0), 0);
    case Event::stolen_vcpu:
        return tell(stolen, 3, pair(1), word[0]);
    case Event::credit:
        return tell(credit, 2, packed, zigzag(word[1]));
    case Event::prio:
        return tell(priority, 3, packed, zigzag(word[2]));
    case Event::cap:
        return tell(parked, 2, packed, word[1]);
    case Event::run_queue:
        return tell(queue, 2, [&] { return word[0]; }, word[1]);
    default:
        return;
    }
}

void PageExporter::put_step(Timeline::Step const& step, Record const& record)
{
    switch (step.kind) {
    case Timeline::Kind::arrival:
        put_head(step.when, arrives);
        put(step.vcpu);
        return put(step.pcpu);
    case Timeline::Kind::departure:
        put_head(step.when, step.to == State::runnable  ? leaves_runnable
                            : step.to == State::blocked ? leaves_blocked
                                                        : leaves_offline);
        put(step.vcpu);
        return put(step.pcpu);
    case Timeline::Kind::wake:
        put_head(step.when, wakes);
        put(step.vcpu);
        return put(step.pcpu);
    case Timeline::Kind::change:
        put_head(step.when, changes);
        put(step.vcpu);
        return put(static_cast<std::uint64_t>(step.to));
    case Timeline::Kind::loss:
        put_head(step.when, loses);
        put(step.pcpu);
        put(record.word_count == 0 ? 0 : record.word_store[0]);
        lost_ += record.word_count == 0 ? 0 : record.word_store[0];
        return put(step.when - step.lost_from);
    case Timeline::Kind::other:
        return put_mark(step, record);
    }
}

// Since the first stamp; before that, 0.
double PageExporter::seconds_of(Record const& record) const
{
    std::uint64_t const span =
        !timeline_.has_started() || record.stamp < first_stamp_ ? 0 : record.stamp - first_stamp_;
    return static_cast<double>(span) / static_cast<double>(hz_);
}

void PageExporter::record(Record const& record)
{
    double const seconds = seconds_of(record);
    if (options_.to && seconds > *options_.to)
        return;
    // What was so before this record is what the page begins with.
    if (!is_inside_ && timeline_.has_started() && seconds >= *options_.from)
        begin(std::max(timeline_.now(), first_ + static_cast<std::uint64_t>(*options_.from * ns_in_second)));
    bool const had_started = timeline_.has_started();
    Timeline::Step const step = timeline_.step(record);
    if (!timeline_.has_started())
        return;
    if (!had_started) {
        first_stamp_ = record.stamp;
        first_ = begin_ = last_ = step.when;
        is_inside_ = options_.from.value_or(0) <= 0;
    }
    if (!is_inside_)
        return;
    ++records_;
    end_ = std::max(last_, step.when);
    put_step(step, record);
}

std::string PageExporter::about() const
{
    std::vector<std::string> vcpus, domains;
    std::vector<std::uint16_t> seen;
    for (Timeline::Vcpu const& vcpu : timeline_.vcpus()) {
        seen.push_back(vcpu.domain);
        vcpus.push_back(fmt::format("[{},{},{},{}]", vcpu.domain, vcpu.vcpu,
                                    list(facts_.home_of(vcpu.domain, vcpu.vcpu)),
                                    list(facts_.hard_of(vcpu.domain, vcpu.vcpu))));
    }
    std::ranges::sort(seen);
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (std::uint16_t const domain : seen)
        if (auto const name = facts_.names.find(domain); name != facts_.names.end())
            domains.push_back(fmt::format("\"{}\":{}", domain, in_script(json_string(name->second))));
    return fmt::format("{{\"title\":{},\"begin\":{},\"end\":{},\"first\":{},\"records\":{},\"lost\":{},\"pcpus\":[{}],"
                       "\"nodes\":[{}],\"names\":{{{}}},\"vcpus\":[{}]}}",
                       in_script(json_string(options_.title)), begin_, end_, first_, records_, lost_,
                       fmt::join(pcpus_, ","), fmt::join(facts_.node_of, ","), fmt::join(domains, ","),
                       fmt::join(vcpus, ","));
}

void PageExporter::finish()
{
    if (!is_inside_)
        refuse(fmt::format("--from {}: nothing is left, the trace is {:.3f} s long", options_.from.value_or(0),
                           static_cast<double>(timeline_.now() - first_) / ns_in_second));
    text_.write(bytes_);
    text_.finish();
    sink_.write(fmt::format("<script type=\"application/json\" id=\"about\">{}</script>\n", about()));
    sink_.write(page_.substr(page_.find(trace_line) + trace_line.size()));
}

std::string load_page(std::filesystem::path const& file)
{
    if (!std::filesystem::is_regular_file(file))
        give_up(fmt::format("{}: missing; it belongs beside nv, and `make run` builds both", file.string()));
    return read_text(file);
}

} // namespace hv::nv
