#include "tools/nv/shrink_fault.hpp"

#include "tools/nv/bench_kernel.hpp"
#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/process.hpp"
#include "tools/nv/scenario_edit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace hv::nv {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_said{std::size_t{512} << 20};
constexpr std::array<std::string_view, 5> relations{"<=", ">=", "==", "<", ">"};

fs::path candidate_file(ShrinkPrograms const& programs, Json const& scenario)
{
    fs::path file{programs.work / "scenario.json"};
    write_text(file, json_line(scenario) + "\n");
    return file;
}

struct Said {
    std::string output;
    std::string crash{}; // why there is no output
};

// A scenario that was parsed can still be refused, by a policy that does not know a parameter: then the scenario does
// not fail, it is none.
std::optional<Said> ask(ShrinkPrograms const& programs, fs::path const& program, std::vector<std::string> words)
{
    words.insert(words.begin(), program.string());
    ProcessSpec spec{.words = std::move(words), .folder = "."};
    spec.silence_limit = programs.timeout;
    spec.total_limit = {};
    spec.output_limit = most_said;
    ProcessResult result{run_process(spec, [](std::string_view) {})};
    std::string const complaint{last_complaint(result.errors)};
    switch (result.ending) {
    case Ending::interrupted:
        give_up("interrupted");
    case Ending::silent:
    case Ending::overdue:
        return Said{.output = {}, .crash = "hangs"};
    case Ending::talkative:
        return Said{.output = {}, .crash = "prints without end"};
    case Ending::killed_by_signal:
        return Said{.output = {},
                    .crash = complaint.empty() ? fmt::format("{} (signal {})", strsignal(result.status), result.status)
                                               : complaint};
    case Ending::exited:
        break;
    }
    if (result.status == static_cast<int>(ExitCode::bad_input))
        return std::nullopt;
    if (result.status == 127)
        give_up(fmt::format("{}: {}", program.string(), complaint));
    if (result.status != 0)
        return Said{.output = {}, .crash = complaint};
    return Said{.output = std::move(result.output)};
}

std::optional<Said> simulate_with(ShrinkPrograms const& programs, fs::path const& program, Json const& scenario,
                                  std::string const& what)
{
    return ask(programs, program, {"sim", "--jobs", "1", what, candidate_file(programs, scenario).string()});
}

std::string_view next_line(std::string_view& text)
{
    std::string_view const line{text.substr(0, text.find('\n'))};
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
}

std::optional<std::uint64_t> time_of_line(std::string_view line)
{
    std::uint64_t time{0};
    auto const read = std::from_chars(line.data(), line.data() + line.size(), time);
    return read.ec == std::errc{} ? std::optional{time} : std::nullopt;
}

std::optional<ShrinkFailure> divergence_of(std::string_view sound, std::string_view suspect)
{
    ShrinkFailure failure{.way = "decides differently"};
    for (std::size_t number = 1; sound != suspect; ++number) {
        std::string_view const a{next_line(sound)}, b{next_line(suspect)};
        if (a == b)
            continue;
        auto const time_a = time_of_line(a), time_b = time_of_line(b);
        failure.at_ns = time_a && time_b ? std::min(*time_a, *time_b) : time_a ? time_a : time_b;
        failure.detail =
            fmt::format("decision {}, at {} ns: \"{}\" for \"{}\"", number, failure.at_ns.value_or(0), b, a);
        return failure;
    }
    return std::nullopt;
}

double total_of(Json const& run, std::string_view key)
{
    Json const* const groups{run.find("groups")};
    double sum{0};
    for (auto const& [name, group] : groups == nullptr ? Json{}.members : groups->members)
        if (Json const* const rate{group.find(key)})
            sum += as_double(*rate);
    return sum;
}

} // namespace

ShrinkBar ShrinkBar::parse(std::string_view text)
{
    for (std::string_view const relation : relations) {
        std::size_t const at{text.find(relation)};
        if (at == std::string_view::npos || at == 0)
            continue;
        std::string_view const number{text.substr(at + relation.size())};
        ShrinkBar bar{.figure = std::string{text.substr(0, at)}, .relation = std::string{relation}};
        auto const read = std::from_chars(number.data(), number.data() + number.size(), bar.value);
        if (!number.empty() && read.ec == std::errc{} && read.ptr == number.data() + number.size() &&
            std::isfinite(bar.value))
            return bar;
    }
    refuse(fmt::format("bar \"{}\": give FIGURE<NUMBER, like guests.max_wait_ms<100; also >, <=, >=, ==", text));
}

std::string ShrinkBar::text() const { return fmt::format("{}{}{}", figure, relation, value); }

std::optional<double> ShrinkBar::figure_of(Json const& run) const
{
    Json copy{run};
    Json const* const found{at_path(copy, "$." + figure)};
    bool const is_number{found != nullptr && (found->kind == Json::Kind::integer || found->kind == Json::Kind::real)};
    return is_number ? std::optional{as_double(*found)} : std::nullopt;
}

bool ShrinkBar::holds(double of_run) const
{
    if (relation == "<")
        return of_run < value;
    if (relation == ">")
        return of_run > value;
    if (relation == "<=")
        return of_run <= value;
    return relation == ">=" ? of_run >= value : !(of_run < value) && !(of_run > value);
}

ShrinkFault crash_fault(ShrinkPrograms const& programs)
{
    return [programs](Json const& scenario) -> std::optional<ShrinkFailure> {
        std::optional<Said> const said{simulate_with(programs, programs.suspect, scenario, "--json")};
        if (!said || said->crash.empty())
            return std::nullopt;
        return ShrinkFailure{.way = said->crash, .detail = said->crash};
    };
}

ShrinkFault bar_fault(ShrinkPrograms const& programs, ShrinkBar const& bar)
{
    return [programs, bar](Json const& scenario) -> std::optional<ShrinkFailure> {
        std::optional<Said> const said{simulate_with(programs, programs.suspect, scenario, "--json")};
        if (!said || !said->crash.empty())
            return std::nullopt;
        Json const runs{parse_json(said->output, programs.suspect.string())};
        std::optional<double> const figure{runs.items.size() == 1 ? bar.figure_of(runs.items[0]) : std::nullopt};
        if (!figure || bar.holds(*figure))
            return std::nullopt;
        return ShrinkFailure{.way = "misses " + bar.text(), .detail = fmt::format("{} is {}", bar.figure, *figure)};
    };
}

ShrinkFault divergence_fault(ShrinkPrograms const& programs)
{
    return [programs](Json const& scenario) -> std::optional<ShrinkFailure> {
        std::optional<Said> const suspect{simulate_with(programs, programs.suspect, scenario, "--decisions")};
        if (!suspect)
            return std::nullopt;
        std::optional<Said> const sound{simulate_with(programs, programs.sound, scenario, "--decisions")};
        if (!sound || !sound->crash.empty())
            return std::nullopt;
        if (!suspect->crash.empty())
            return ShrinkFailure{.way = suspect->crash, .detail = suspect->crash};
        std::optional<ShrinkFailure> failure{divergence_of(sound->output, suspect->output)};
        if (failure)
            failure->decisions = sound->output;
        return failure;
    };
}

ShrinkFault command_fault(ShrinkPrograms const& programs, std::string const& command)
{
    return [programs, command](Json const& scenario) -> std::optional<ShrinkFailure> {
        std::string const file{candidate_file(programs, scenario).string()};
        std::string words{command};
        for (std::size_t at{words.find("{}")}; at != std::string::npos; at = words.find("{}", at + file.size()))
            words.replace(at, 2, file);
        ProcessSpec spec{.words = {"/bin/sh", "-c", words}, .folder = "."};
        spec.silence_limit = {};
        spec.total_limit = programs.timeout;
        spec.output_limit = most_said;
        ProcessResult const result{run_process(spec, [](std::string_view) {})};
        if (result.ending == Ending::interrupted)
            give_up("interrupted");
        if (result.ending == Ending::exited && result.status == 0)
            return std::nullopt;
        std::string const way{result.ending == Ending::exited             ? fmt::format("exit status {}", result.status)
                              : result.ending == Ending::killed_by_signal ? fmt::format("signal {}", result.status)
                                                                          : "does not end"};
        return ShrinkFailure{.way = way, .detail = way};
    };
}

std::optional<ShrinkEvents> count_events(ShrinkPrograms const& programs, Json scenario, std::uint64_t until_ns)
{
    ShrinkEvents events;
    for (Json const& domain : list_of(scenario, "domains")->items)
        events.starts += number_of(domain, "start_ns") <= until_ns ? 1u : 0u;
    if (Json const* const changes{list_of(scenario, "changes")})
        for (Json const& change : changes->items)
            events.changes += number_of(change, "at_ns") <= until_ns ? 1u : 0u;
    if (until_ns == 0)
        return events;
    erase_member(scenario, "warmup_ns");
    scenario.member("duration_ns") = Json::integer(static_cast<std::int64_t>(until_ns));
    std::optional<Said> const said{simulate_with(programs, programs.suspect, scenario, "--json")};
    if (!said || !said->crash.empty())
        return std::nullopt;
    Json const runs{parse_json(said->output, programs.suspect.string())};
    double const seconds{static_cast<double>(until_ns) / 1e9};
    events.wakes = static_cast<std::uint64_t>(std::llround(total_of(runs.items.at(0), "wakes_per_s") * seconds));
    events.phases = static_cast<std::uint64_t>(std::llround(total_of(runs.items.at(0), "jobs_per_s") * seconds));
    return events;
}

} // namespace hv::nv
