// The steps of recorded vCPUs: "r1000 n2.0 s500 w", see docs/scenario-format.md.
#include "tools/nv/scenario_parts.hpp"

#include <charconv>

namespace hv::nv {

namespace {

using namespace hv::scenario;
using sched::guest::StepKind;

constexpr std::size_t most_line = 65'536; // bytes

// `digits` is all of it.
std::optional<std::uint64_t> number_of(std::string_view digits)
{
    std::uint64_t value{0};
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() ? std::optional{value} : std::nullopt;
}

std::optional<std::uint32_t> target_of(std::string_view text)
{
    std::size_t const dot = text.find('.');
    if (dot == text.npos)
        return std::nullopt;
    std::optional<std::uint64_t> const domain = number_of(text.substr(0, dot)), vcpu = number_of(text.substr(dot + 1));
    if (!domain || !vcpu || *domain > max_domain_id || *vcpu >= max_domain_vcpus)
        return std::nullopt;
    return static_cast<std::uint32_t>(*domain << 16 | *vcpu);
}

std::optional<StepRecord> step_of(std::string_view token)
{
    // What the wake-up takes.
    std::size_t const plus = token[0] == 's' || token[0] == 'w' ? token.find('+') : token.npos;
    std::uint64_t const cost = plus == token.npos ? 0 : number_of(token.substr(plus + 1)).value_or(UINT64_MAX);
    if (cost > UINT32_MAX)
        return std::nullopt;
    token = token.substr(0, plus);
    std::string_view const rest{token.substr(1)};
    if (token == "w")
        return StepRecord{StepKind::wait, 0, static_cast<std::uint32_t>(cost), 0};
    if (token[0] == 'n') {
        std::optional<std::uint32_t> const target = target_of(rest);
        return target ? std::optional{StepRecord{StepKind::notify, 0, *target, 0}} : std::nullopt;
    }
    std::optional<std::uint64_t> const ns = number_of(rest);
    if ((token[0] != 'r' && token[0] != 's') || !ns || *ns == 0 || *ns > max_time_ns)
        return std::nullopt;
    return StepRecord{token[0] == 'r' ? StepKind::run : StepKind::sleep, 0, static_cast<std::uint32_t>(cost), *ns};
}

void add_line(Reader const& reader, std::vector<StepRecord>& steps)
{
    std::string const line{reader.text(most_line, true)};
    std::string_view rest{line};
    while (true) {
        rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
        if (rest.empty())
            return;
        std::string_view const token{rest.substr(0, rest.find(' '))};
        std::optional<StepRecord> const step = step_of(token);
        if (!step)
            reader.refuse(fmt::format("{} is not a step, allowed are rNS and sNS with NS from 1 to {}, w, and "
                                      "nDOMAIN.VCPU; s and w may end with +NS, at most 4294967295",
                                      json_string(token.substr(0, 40)), max_time_ns));
        if (steps.size() == max_steps)
            reader.refuse(fmt::format("more than {} steps", max_steps));
        steps.push_back(*step);
        rest.remove_prefix(token.size());
    }
}

} // namespace

std::vector<StepRecord> parse_steps(Reader const& reader)
{
    std::vector<StepRecord> steps;
    for (Reader const& line : reader.list())
        add_line(line, steps);
    return steps;
}

void resolve_steps(Reader const& reader, std::vector<Domain>& domains)
{
    std::vector<std::uint32_t> first_row;
    std::uint32_t rows{0};
    for (Domain const& domain : domains) {
        first_row.push_back(rows);
        rows += static_cast<std::uint32_t>(domain.vcpus.size());
    }
    auto const row_of = [&](std::uint32_t target) -> std::optional<std::uint32_t> {
        auto const domain = std::ranges::find(domains, target >> 16, &Domain::id);
        std::uint32_t const vcpu = target & 0xffff;
        if (domain == domains.end() || vcpu >= domain->vcpus.size() ||
            domain->vcpus[vcpu].workload.kind != WorkloadKind::recorded)
            return std::nullopt;
        return first_row[static_cast<std::size_t>(domain - domains.begin())] + vcpu;
    };
    for (std::size_t d = 0; d < domains.size(); ++d)
        for (std::size_t v = 0; v < domains[d].vcpus.size(); ++v)
            for (StepRecord& step : domains[d].vcpus[v].workload.steps) {
                if (step.kind != StepKind::notify)
                    continue;
                std::optional<std::uint32_t> const row = row_of(step.target);
                if (!row)
                    refuse(fmt::format("{}: {}[{}].vcpus[{}].workload.steps: n{}.{} notifies a vCPU that is not there "
                                       "or is not recorded",
                                       reader.file(), reader.path(), d, v, step.target >> 16, step.target & 0xffff));
                step.target = *row;
            }
}

} // namespace hv::nv
