#include "tools/nv/bench_figures.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/scenario.hpp"
#include "tools/nv/simulation.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

namespace hv::nv {

namespace {

// The members by their names on the host channel.
constexpr std::array members{
    std::pair{std::string_view{"work"}, &VcpuWork::work},
    std::pair{std::string_view{"run"}, &VcpuWork::run},
    std::pair{std::string_view{"wait"}, &VcpuWork::wait},
    std::pair{std::string_view{"stall"}, &VcpuWork::stall},
    std::pair{std::string_view{"refill"}, &VcpuWork::refill},
    std::pair{std::string_view{"home"}, &VcpuWork::home},
    std::pair{std::string_view{"local"}, &VcpuWork::local},
    std::pair{std::string_view{"remote"}, &VcpuWork::remote},
    std::pair{std::string_view{"core_moves"}, &VcpuWork::core_moves},
    std::pair{std::string_view{"node_moves"}, &VcpuWork::node_moves},
    std::pair{std::string_view{"phases"}, &VcpuWork::phases},
};

std::uint64_t ns_of(Duration d) { return static_cast<std::uint64_t>(d.ns()); }

// The next word of a line, and the line without it.
std::string_view take_word(std::string_view& line)
{
    std::size_t const end = line.find(' ');
    std::string_view const word = line.substr(0, end);
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
    return word;
}

std::optional<std::uint64_t> number(std::string_view text)
{
    std::uint64_t value{0};
    auto const result = std::from_chars(text.data(), text.data() + text.size(), value);
    return !text.empty() && result.ec == std::errc{} && result.ptr == text.data() + text.size() ? std::optional{value}
                                                                                                : std::nullopt;
}

// "work d3v1 work=... run=... ..."
std::optional<VcpuWork> parse_work(std::string_view line)
{
    if (take_word(line) != "work")
        return std::nullopt;
    std::string_view const who = take_word(line);
    std::size_t const v = who.find('v');
    if (!who.starts_with('d') || v == std::string_view::npos)
        return std::nullopt;
    auto const domain = number(who.substr(1, v - 1)), vcpu = number(who.substr(v + 1));
    if (!domain || !vcpu)
        return std::nullopt;
    VcpuWork result;
    result.domain = static_cast<std::uint32_t>(*domain);
    result.vcpu = static_cast<std::uint32_t>(*vcpu);
    std::size_t known{0};
    while (!line.empty()) {
        std::string_view const word = take_word(line);
        std::size_t const equals = word.find('=');
        for (auto const& [name, member] : members)
            if (auto const value = number(word.substr(equals + 1)); word.substr(0, equals) == name && value) {
                result.*member = *value;
                ++known;
            }
    }
    return known == members.size() ? std::optional{result} : std::nullopt;
}

} // namespace

VcpuWork RunFigures::total() const
{
    VcpuWork sum;
    for (VcpuWork const& vcpu : vcpus)
        for (auto const& [name, member] : members)
            sum.*member += vcpu.*member;
    return sum;
}

double RunFigures::value(BenchRow row) const
{
    double const vms{static_cast<double>(vcpus.size()) / 2};
    auto const time = static_cast<double>(duration);
    if (row != BenchRow::fork)
        return static_cast<double>(total().work) / time / vms;
    // The parent is vCPU 0 and has two phases a cycle.
    double cycles{0};
    for (VcpuWork const& vcpu : vcpus)
        cycles += vcpu.vcpu == 0 ? static_cast<double>(vcpu.phases) / 2 : 0;
    return cycles == 0 ? 0 : time / 1e3 * vms / cycles;
}

RunFigures figures_of(sched::System& system, Instant start, Instant now)
{
    RunFigures result;
    result.duration = ns_of(now - start);
    for (sched::guest::Guest* const guest : system.guests().all()) {
        if (guest->progress == nullptr)
            continue;
        sched::guest::Tally const tally{system.guests().pacer()->tally_of(*guest->progress, now)};
        sched::RunStateClock const& clock{guest->vcpu.run_state};
        Duration wait{clock.spent[static_cast<std::size_t>(sched::RunState::runnable)]};
        if (clock.state == sched::RunState::runnable)
            wait += now - clock.entered;
        result.vcpus.push_back({.domain = guest->vcpu.domain.id.value(),
                                .vcpu = guest->vcpu.index.value(),
                                .work = ns_of(tally.work),
                                .run = ns_of(tally.run),
                                .wait = ns_of(wait),
                                .stall = ns_of(tally.stall),
                                .refill = ns_of(tally.refill),
                                .home = ns_of(tally.home),
                                .local = guest->progress->accesses(tally.local),
                                .remote = guest->progress->accesses(tally.remote),
                                .core_moves = tally.core_moves,
                                .node_moves = tally.node_moves,
                                .phases = guest->phases});
    }
    return result;
}

RunFigures figures_of_channel(std::string_view text, std::uint64_t duration, std::string_view file)
{
    RunFigures result;
    result.duration = duration;
    while (!text.empty()) {
        std::size_t const end = text.find('\n');
        if (std::optional<VcpuWork> const work = parse_work(text.substr(0, end)))
            result.vcpus.push_back(*work);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    if (result.vcpus.empty())
        throw Error{ExitCode::failed, fmt::format("{}: the kernel told nothing of its guests' work; is it of this "
                                                  "version, and did the scenario end?",
                                                  file)};
    return result;
}

RunFigures simulate_cell(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed)
{
    Scenario const scenario{parse_scenario(cell_scenario(cell, setup, seed), cell_name(cell))};
    std::vector<std::byte> const image{pack(scenario)};
    auto const view = scenario::validate(image);
    if (!view)
        give_up("the image of " + scenario.name + " is not valid");
    SimulationConfig config;
    config.trace_mask = 0;
    Simulation simulation{*view, config};
    auto const end = Instant::at_ns(static_cast<std::int64_t>(scenario.warmup_ns + scenario.duration_ns));
    simulation.run_until(end);
    return figures_of(simulation.system(), Instant{}, end);
}

} // namespace hv::nv
