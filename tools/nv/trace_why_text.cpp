// The answer of `nv trace why` as text and as JSON.
#include "tools/nv/json.hpp"
#include "tools/nv/trace_why.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hv::nv {

namespace {

constexpr std::size_t most_lines = 12; // of each kind

class WhyText {
public:
    WhyText(Wait const& wait, WhyContext const& context) : wait_{wait}, context_{context} {}

    [[nodiscard]] std::string run()
    {
        put("{} waited {} from {} to {}, {}\n", packed_name(wait_.vcpu), span(wait_.begin, wait_.end), at(wait_.begin),
            at(wait_.end), wait_.has_ended ? ending() : "where the trace ends; it waits on");
        put("  {}{}\n", beginning(), detail(wait_.priority, wait_.credit));
        put("\nwhy, at {}:\n", at(context_.when));
        reason();
        holds();
        idle();
        taken();
        help();
        return std::move(text_);
    }

    [[nodiscard]] std::string at(std::uint64_t stamp) const
    {
        return fmt::format("{:.9f} s", static_cast<double>(stamp - context_.first) / static_cast<double>(context_.hz));
    }
    [[nodiscard]] std::vector<std::string> advice() const;

private:
    template <typename... Values>
    void put(fmt::format_string<Values...> format, Values&&... values)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    }

    [[nodiscard]] double us(std::uint64_t ticks) const
    {
        return static_cast<double>(ticks) * 1e6 / static_cast<double>(context_.hz);
    }
    [[nodiscard]] std::string span(std::uint64_t from, std::uint64_t to) const
    {
        return fmt::format("{:.1f} us", us(to - from));
    }
    [[nodiscard]] static std::string detail(std::optional<std::int32_t> priority, std::optional<std::int32_t> credit)
    {
        std::string text;
        if (priority)
            text += ", " + priority_name(*priority);
        if (credit)
            text += fmt::format(", credit {}", *credit);
        return text;
    }
    [[nodiscard]] std::string place(std::uint32_t pcpu) const
    {
        bool const is_known = pcpu < context_.facts.node_of.size();
        std::string text{is_known ? fmt::format("pCPU {} (node {}", pcpu, context_.facts.node_of[pcpu])
                                  : fmt::format("pCPU {}", pcpu)};
        std::optional<std::vector<std::uint16_t>> const home = context_.facts.home_of(
            static_cast<std::uint16_t>(wait_.vcpu >> 16), static_cast<std::uint16_t>(wait_.vcpu));
        if (is_known && home)
            text += std::ranges::binary_search(*home, context_.facts.node_of[pcpu]) ? ", its home" : ", away";
        return text + (is_known ? ")" : "");
    }

    [[nodiscard]] std::string beginning() const
    {
        if (!wait_.after_wake)
            return fmt::format("it had to leave pCPU {}, and stayed able to run",
                               wait_.pcpu ? fmt::format("{}", *wait_.pcpu) : "?");
        return fmt::format("woken on pCPU {}{}", wait_.woken_on,
                           wait_.waker ? fmt::format(", where {} ran", packed_name(*wait_.waker)) : ", which idled");
    }
    [[nodiscard]] std::string ending() const
    {
        if (!wait_.ran_on)
            return "when it could not run any more";
        if (wait_.was_stolen)
            return fmt::format("when pCPU {} stole it", *wait_.ran_on);
        return fmt::format("when it ran on pCPU {}", *wait_.ran_on);
    }

    void reason()
    {
        if (wait_.holds.empty()) {
            put("  nobody was seen on the pCPU that it waited for\n");
            return;
        }
        WaitHold const& hold = wait_.holds[wait_.hold_asked];
        if (!hold.holder) {
            put("  it waited for {}, where nobody was seen to run yet\n", place(hold.pcpu));
            return;
        }
        put("  it waited for {}; {} had run there since {}{}\n", place(hold.pcpu), packed_name(*hold.holder),
            at(hold.running_since), detail(hold.priority, hold.credit));
        put("  rule: {}: {}\n", name_of(wait_.rule), rule_text(hold));
    }

    [[nodiscard]] std::string rule_text(WaitHold const& hold) const
    {
        std::string const me{packed_name(wait_.vcpu)}, holder{packed_name(*hold.holder)};
        switch (wait_.rule) {
        case WaitRule::not_known:
            return "the trace does not tell both priorities (event class 0x00022000)";
        case WaitRule::on_its_way:
            return fmt::format(
                "pCPU {} idled and was to decide next{}", hold.pcpu,
                std::ranges::find(wait_.asked, hold.pcpu) != wait_.asked.end() ? "; the wake-up had asked it to" : "");
        case WaitRule::rate_limit:
            return fmt::format("{} may not be preempted before it ran for sched_ratelimit_us; decided at {}", holder,
                               at(*hold.rate_limited));
        case WaitRule::equal_priority:
            return fmt::format("both are {}, equals take turns; {}", priority_name(*wait_.priority_asked),
                               hold.slice_ns
                                   ? fmt::format("its slice is {:.1f} ms", static_cast<double>(*hold.slice_ns) / 1e6)
                                   : "a turn is a time slice");
        case WaitRule::lower_priority:
            return fmt::format("{} is {}, {} had a better priority", me, priority_name(*wait_.priority_asked), holder);
        case WaitRule::not_asked:
            return fmt::format("{} is {}, better than {}, but pCPU {} had not decided again{}", me,
                               priority_name(*wait_.priority_asked), holder, hold.pcpu, asked_others());
        }
        return "";
    }

    [[nodiscard]] std::string asked_others() const
    {
        if (wait_.asked.empty())
            return "";
        return fmt::format("; the wake-up asked pCPU {} instead", fmt::join(wait_.asked, ", "));
    }

    void holds()
    {
        if (wait_.holds.empty())
            return;
        put("\nwho held it up:\n");
        for (std::size_t i = 0; i < std::min(wait_.holds.size(), most_lines); ++i) {
            WaitHold const& hold = wait_.holds[i];
            put("  pCPU {:<3} {:<8} from {} for {}{}{}\n", hold.pcpu, hold.holder ? packed_name(*hold.holder) : "?",
                at(hold.from), span(hold.from, hold.to), detail(hold.priority, hold.credit),
                hold.rate_limited ? ", kept by the rate limit" : "");
        }
        more(wait_.holds.size());
    }

    void more(std::uint64_t count)
    {
        if (count > most_lines)
            put("  and {} more\n", count - most_lines);
    }

    void idle()
    {
        put("\nidle meanwhile, and allowed:{}\n", has_idle(true) ? "" : " no pCPU");
        idle_lines(true);
        if (!has_idle(false))
            return;
        put("idle meanwhile, but forbidden by hard affinity:\n");
        idle_lines(false);
    }
    [[nodiscard]] bool has_idle(bool is_allowed) const
    {
        return std::ranges::any_of(wait_.idle, [&](auto const& of) { return of.second.is_allowed == is_allowed; });
    }
    void idle_lines(bool is_allowed)
    {
        std::size_t count{0};
        for (auto const& [pcpu, idle] : wait_.idle)
            if (idle.is_allowed == is_allowed && ++count <= most_lines)
                put("  {} for {}, first at {}\n", place(pcpu), span(0, idle.total), at(idle.first));
        more(count);
    }

    void taken()
    {
        put("\ntaken instead, where it may run: {} times\n", wait_.taken_count);
        for (std::size_t i = 0; i < std::min(wait_.taken.size(), most_lines); ++i) {
            WaitTaken const& other = wait_.taken[i];
            put("  {} {} on pCPU {}{}, which began to wait {}\n", at(other.when), packed_name(other.taken), other.pcpu,
                detail(other.priority, {}),
                other.waiting_since > wait_.begin ? fmt::format("{} later", span(wait_.begin, other.waiting_since))
                                                  : fmt::format("{} earlier", span(other.waiting_since, wait_.begin)));
        }
        more(wait_.taken_count);
    }

    void help()
    {
        std::vector<std::string> const lines{advice()};
        put("\nwhat would have helped:{}\n", lines.empty() ? " less to do on the pCPUs where it may run" : "");
        for (std::string const& line : lines)
            put("  {}\n", line);
    }

    [[nodiscard]] WaitIdle const* earliest(bool is_allowed, bool at_home) const
    {
        WaitIdle const* found{nullptr};
        for (auto const& [pcpu, idle] : wait_.idle)
            if (idle.is_allowed == is_allowed && (!at_home || idle.is_home.value_or(false)) &&
                (found == nullptr || idle.first < found->first))
                found = &idle;
        return found;
    }

    Wait const& wait_;
    WhyContext const& context_;
    std::string text_;
};

// In the order of what it would have saved.
std::vector<std::string> WhyText::advice() const
{
    std::vector<std::string> lines;
    WaitIdle const* const home = earliest(true, true);
    WaitIdle const* const any = earliest(true, false);
    for (WaitIdle const* const idle : {home, any == home ? nullptr : any})
        if (idle != nullptr)
            lines.push_back(fmt::format("taking it to {}, idle at {}: {} of waiting instead of {}", place(idle->pcpu),
                                        at(idle->first), span(wait_.begin, idle->first), span(wait_.begin, wait_.end)));
    WaitIdle const* const forbidden = earliest(false, false);
    if (any == nullptr && forbidden != nullptr)
        lines.push_back(
            fmt::format("hard affinity that allows {}, idle at {}", place(forbidden->pcpu), at(forbidden->first)));
    if (wait_.rule == WaitRule::rate_limit)
        lines.push_back(fmt::format("a shorter sched_ratelimit_us: its pCPU decided at {}, and kept {}",
                                    at(*wait_.holds[wait_.hold_asked].rate_limited),
                                    packed_name(*wait_.holds[wait_.hold_asked].holder)));
    if (wait_.rule == WaitRule::equal_priority)
        lines.emplace_back("a shorter time slice: turns among equals come sooner");
    if (wait_.rule == WaitRule::lower_priority)
        lines.push_back(fmt::format("more weight for d{}, or less for the others: its credit was {}", wait_.vcpu >> 16,
                                    wait_.credit_asked ? fmt::format("{}", *wait_.credit_asked) : "spent"));
    if (wait_.rule == WaitRule::not_asked)
        lines.emplace_back(wait_.after_wake ? "asking its own pCPU to reschedule when it woke up, too"
                                            : "a decision of its pCPU when the other's priority fell; a shorter slice");
    return lines;
}

std::string number_or_null(std::optional<std::int64_t> value) { return value ? fmt::format("{}", *value) : "null"; }

std::string name_or_null(std::optional<std::uint32_t> packed)
{
    return packed ? "\"" + packed_name(*packed) + "\"" : "null";
}

} // namespace

std::string why_text(Wait const& wait, WhyContext const& context) { return WhyText{wait, context}.run(); }

std::string why_json(Wait const& wait, WhyContext const& context)
{
    auto const us = [&](std::uint64_t stamp) {
        return fmt::format("{:.3f}", static_cast<double>(stamp) * 1e6 / static_cast<double>(context.hz));
    };
    auto const since = [&](std::uint64_t stamp) { return us(stamp - context.first); };
    std::vector<std::string> holds, idle, taken, help;
    for (WaitHold const& hold : wait.holds)
        holds.push_back(fmt::format("  {{\"pcpu\": {}, \"holder\": {}, \"from_us\": {}, \"to_us\": {}, "
                                    "\"priority\": {}, \"credit\": {}, \"rate_limited\": {}}}",
                                    hold.pcpu, name_or_null(hold.holder), since(hold.from), since(hold.to),
                                    number_or_null(hold.priority), number_or_null(hold.credit),
                                    hold.rate_limited.has_value()));
    for (auto const& [pcpu, of] : wait.idle)
        idle.push_back(fmt::format("  {{\"pcpu\": {}, \"first_us\": {}, \"total_us\": {}, \"allowed\": {}, "
                                   "\"home\": {}}}",
                                   pcpu, since(of.first), us(of.total), of.is_allowed,
                                   of.is_home ? fmt::format("{}", *of.is_home) : "null"));
    for (WaitTaken const& other : wait.taken)
        taken.push_back(fmt::format("  {{\"at_us\": {}, \"pcpu\": {}, \"vcpu\": \"{}\", \"waiting_since_us\": {}, "
                                    "\"priority\": {}}}",
                                    since(other.when), other.pcpu, packed_name(other.taken),
                                    since(std::max(other.waiting_since, context.first)),
                                    number_or_null(other.priority)));
    for (std::string const& line : WhyText{wait, context}.advice())
        help.push_back(json_string(line));
    return fmt::format(
        "{{\n \"vcpu\": \"{}\", \"asked_us\": {}, \"begin_us\": {}, \"end_us\": {}, \"has_ended\": {}, \"after\": "
        "\"{}\",\n \"woken_on\": {}, \"waker\": {}, \"priority\": {}, \"credit\": {}, \"ran_on\": {}, \"stolen\": {},\n"
        " \"rule\": \"{}\", \"held_by\": {},\n \"holds\": [\n{}\n ],\n \"idle\": [\n{}\n ],\n \"taken_count\": {}, "
        "\"taken\": [\n{}\n ],\n \"would_have_helped\": [{}]\n}}\n",
        packed_name(wait.vcpu), since(context.when), since(wait.begin), since(wait.end), wait.has_ended,
        wait.after_wake ? "wake-up" : "preemption", wait.woken_on, name_or_null(wait.waker),
        number_or_null(wait.priority), number_or_null(wait.credit), number_or_null(wait.ran_on), wait.was_stolen,
        name_of(wait.rule), wait.holds.empty() ? "null" : name_or_null(wait.holds[wait.hold_asked].holder),
        fmt::join(holds, ",\n"), fmt::join(idle, ",\n"), wait.taken_count, fmt::join(taken, ",\n"),
        fmt::join(help, ", "));
}

} // namespace hv::nv
