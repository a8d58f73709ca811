#include "tools/nv/sim.hpp"

#include "boot/scenario/image.hpp"
#include "tools/nv/feed.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/pack.hpp"
#include "tools/nv/simulation.hpp"
#include "tools/nv/table.hpp"
#include "tools/nv/trace_facts.hpp"
#include "tools/nv/xentrace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <unistd.h>

namespace hv::nv {

namespace {

using sched::trace::Event;

// Run states and what workloads report: all that figures need.
constexpr std::uint32_t figures_mask = 0x00031000;
constexpr std::uint32_t decisions_mask = 0x00039000;
constexpr std::size_t trace_bytes = std::size_t{64} << 20;

struct Ears {
    Feed* feed;
    std::string* decisions;
};

void append_vcpu(std::string& text, std::uint32_t domain, std::uint32_t vcpu)
{
    if (domain == idle_domain)
        text += " idle";
    else
        fmt::format_to(std::back_inserter(text), " {}.{}", domain, vcpu);
}

void hear(void* self, CpuId cpu, Instant now, std::uint32_t number, std::span<std::uint32_t const> words) noexcept
{
    auto const& ears = *static_cast<Ears*>(self);
    ears.feed->event(now, cpu.value(), number, words);
    if (ears.decisions == nullptr || number != static_cast<std::uint32_t>(Event::switch_to))
        return;
    fmt::format_to(std::back_inserter(*ears.decisions), "{} {}", now.ns(), cpu.value());
    append_vcpu(*ears.decisions, words[0], words[1]);
    append_vcpu(*ears.decisions, words[2], words[3]);
    *ears.decisions += '\n';
}

scenario::ScenarioView view_of(std::vector<std::byte> const& image)
{
    auto const view = scenario::validate(image);
    if (view)
        return *view;
    std::array<char, 512> buffer{};
    BufferSink text{buffer};
    scenario::describe(view.error(), text);
    give_up(std::string{text.text()});
}

std::vector<Stream> streams_of(sched::trace::Tracer const& tracer)
{
    std::vector<Stream> streams;
    for (std::size_t i = 0; i < tracer.rings().size(); ++i) {
        sched::trace::Ring const& ring{tracer.rings()[i]};
        std::span<std::byte const> const memory{ring.memory()};
        Stream& stream = streams.emplace_back(Stream{static_cast<std::uint32_t>(i), {}});
        sched::trace::RingControl const& control{*ring.control()};
        stream.bytes.reserve(control.head - control.tail);
        for (std::uint64_t at = control.tail; at < control.head;) {
            std::uint64_t const offset{at % memory.size()};
            auto const piece = memory.subspan(offset, std::min(control.head - at, memory.size() - offset));
            stream.bytes.insert(stream.bytes.end(), piece.begin(), piece.end());
            at += piece.size();
        }
    }
    return streams;
}

std::uint64_t lost_in(sched::trace::Tracer const& tracer)
{
    std::uint64_t lost{0};
    for (sched::trace::Ring const& ring : tracer.rings())
        lost += ring.control()->lost_total;
    return lost;
}

struct Outcome {
    std::string text; // for stdout
    std::string json;
    std::vector<std::string> notes; // for stderr
    std::optional<std::vector<Stream>> trace;
    std::string facts;
    std::string run_name;
    std::exception_ptr error;
};

struct Simulated {
    Metrics metrics;
    std::uint64_t events{0};
    std::optional<std::vector<Stream>> trace;
    std::uint64_t last{0}; // stamp before those that close the trace
    std::uint64_t lost{0};
};

Simulated run_one(Scenario const& scenario, std::string* decisions, bool traced)
{
    std::vector<std::byte> const image{pack(scenario)};
    Collector collector{scenario};
    Feed feed{collector};
    Ears ears{&feed, decisions};
    SimulationConfig config;
    config.listener = {.self = &ears, .event = hear};
    if (traced)
        config.trace_bytes_per_pcpu =
            scenario.trace_ring_kib == 0 ? trace_bytes : std::size_t{scenario.trace_ring_kib} << 10;
    if (!traced)
        config.trace_mask = decisions == nullptr ? figures_mask : decisions_mask;
    Simulation simulation{view_of(image), config};
    auto const end = Instant::at_ns(static_cast<std::int64_t>(scenario.warmup_ns + scenario.duration_ns));
    simulation.run_until(end);
    Simulated result{.metrics = collector.finish(), .events = simulation.machine().events_handled(), .trace = {}};
    if (traced) {
        result.last = simulation.machine().trace_clock(CpuId{0});
        simulation.system().core().close_trace(CpuId{0}, end);
        result.trace = streams_of(simulation.system().tracer());
        result.lost = lost_in(simulation.system().tracer());
    }
    return result;
}

std::string latency_text(Latency const& latency)
{
    auto const us = [](std::int64_t ns) { return static_cast<double>(ns) / 1000; };
    return fmt::format("p50 {:.1f} us, p95 {:.1f} us, p99 {:.1f} us, max {:.1f} us", us(latency.p50), us(latency.p95),
                       us(latency.p99), us(latency.max));
}

std::string figures_text(Scenario const& scenario, Metrics const& metrics)
{
    std::string text{fmt::format("{} ({}, seed {}): {:.3f} s\n", scenario.name, scenario.policy, scenario.seed,
                                 static_cast<double>(metrics.window) / 1e9)};
    double const seconds{static_cast<double>(metrics.window) / 1e9};
    for (GroupMetrics const& group : metrics.groups) {
        text += fmt::format("  {}: {} vCPUs, {:.3f} pCPU-s", group.name, group.vcpus,
                            static_cast<double>(group.sums.run()) / 1e9);
        if (group.has_preferred)
            text += fmt::format(", {:.1f} % at home",
                                100.0 * static_cast<double>(group.sums.home) /
                                    static_cast<double>(std::max<std::int64_t>(1, group.sums.placeable)));
        text += fmt::format(", {:.1f} migrations/s ({:.1f} across nodes)\n",
                            static_cast<double>(group.sums.migrations) / seconds,
                            static_cast<double>(group.sums.cross_node) / seconds);
        text += fmt::format("    wake-up {}\n    queue   {}\n", latency_text(group.wake), latency_text(group.wait));
    }
    return text;
}

Outcome simulate_one(std::filesystem::path const& file, Overrides const& overrides, SimOptions const& options)
{
    Outcome outcome;
    try {
        Scenario const scenario{load_scenario(file, overrides)};
        std::string const obstacle{options.trace || options.out ? why_no_xentrace(scenario) : ""};
        if (options.trace && !obstacle.empty())
            refuse(obstacle);
        bool const traced{(options.trace || options.out) && obstacle.empty()};
        Simulated simulated{run_one(scenario, options.decisions ? &outcome.text : nullptr, traced)};
        RecordedRun const run{.scenario = scenario,
                              .source = RecordedRun::Source::simulator,
                              .last = simulated.last,
                              .lost_records = simulated.lost,
                              .events = simulated.events};
        outcome.trace = std::move(simulated.trace);
        outcome.facts = outcome.trace ? facts_json(run) : "";
        outcome.run_name = scenario.run_name();
        outcome.json = run_json(run, {.metrics = simulated.metrics, .lost = simulated.lost});
        outcome.notes = scenario.placement.warnings;
        if (!obstacle.empty())
            outcome.notes.push_back(obstacle + "; the figures are complete");
        else if (simulated.lost != 0)
            outcome.notes.push_back(fmt::format("{}: the trace lost {} records; raise trace.ring_kib. The figures are complete",
                                                outcome.run_name, simulated.lost));
        if (!options.decisions)
            outcome.text = options.json ? outcome.json : figures_text(scenario, simulated.metrics);
    } catch (...) {
        outcome.error = std::current_exception();
    }
    return outcome;
}

// Prints outcomes in the order of the command line as soon as they and all before them are ready.
class Printer {
public:
    Printer(SimOptions const& options, std::size_t count) : options_{options}, outcomes_(count), ready_(count)
    {
        if (options_.json && !options_.decisions)
            fmt::print("[\n");
    }

    void put(std::size_t index, Outcome outcome)
    {
        std::lock_guard const guard{mutex_};
        outcomes_[index] = std::move(outcome);
        ready_[index] = true;
        ++done_;
        while (next_ < ready_.size() && ready_[next_])
            print(outcomes_[next_++]);
        if (isatty(STDERR_FILENO) != 0 && ready_.size() > 1)
            fmt::print(stderr, "\r{} of {} simulated{}", done_, ready_.size(), done_ == ready_.size() ? "\n" : "");
    }

    [[nodiscard]] ExitCode finish()
    {
        if (options_.json && !options_.decisions)
            fmt::print("\n]\n");
        return code_;
    }

private:
    void print(Outcome& outcome)
    {
        try {
            if (outcome.error)
                std::rethrow_exception(outcome.error);
            if (options_.json && !options_.decisions && printed_++ > 0)
                fmt::print(",\n");
            fmt::print("{}", outcome.text);
            for (std::string const& note : outcome.notes)
                fmt::print(stderr, "nv: {}\n", note);
            if (options_.trace)
                write_trace(*options_.trace, outcome);
            if (options_.out) {
                std::filesystem::path const folder{*options_.out / outcome.run_name};
                std::filesystem::create_directories(folder);
                write_text(folder / "metrics.json", outcome.json);
                write_trace(folder / "trace.xentrace", outcome);
            }
        } catch (Error const& error) {
            fmt::print(stderr, "nv: {}\n", error.what());
            code_ = code_ == ExitCode::good ? error.code() : code_;
        }
        outcome = {};
    }

    static void write_trace(std::filesystem::path const& file, Outcome const& outcome)
    {
        if (!outcome.trace)
            return;
        write_bytes(file, write_xentrace(*outcome.trace));
        write_text(facts_file_of(file), outcome.facts);
    }

    SimOptions const& options_;
    std::mutex mutex_;
    std::vector<Outcome> outcomes_;
    std::vector<bool> ready_;
    std::size_t next_{0}, done_{0}, printed_{0};
    ExitCode code_{ExitCode::good};
};

} // namespace

Metrics simulate(Scenario const& scenario, std::string* decisions, std::uint64_t* events)
{
    Simulated simulated{run_one(scenario, decisions, false)};
    if (events != nullptr)
        *events = simulated.events;
    return std::move(simulated.metrics);
}

ExitCode simulate_scenarios(SimOptions const& options)
{
    struct Job {
        std::filesystem::path file;
        Overrides overrides;
    };
    std::vector<Job> jobs;
    for (auto const& file : options.scenarios) {
        jobs.push_back({file, options.overrides});
        for (std::size_t i = 0; i < options.seeds.size(); ++i) {
            if (i > 0)
                jobs.push_back({file, options.overrides});
            jobs.back().overrides.seed = options.seeds[i];
        }
    }
    if (options.trace && jobs.size() > 1)
        refuse("--trace F: takes one scenario and one seed; for several use --out DIR");
    Printer printer{options, jobs.size()};
    std::atomic<std::size_t> next{0};
    auto const work = [&] {
        for (std::size_t i{next++}; i < jobs.size(); i = next++)
            printer.put(i, simulate_one(jobs[i].file, jobs[i].overrides, options));
    };
    unsigned const threads{options.jobs != 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency())};
    std::vector<std::jthread> pool;
    for (unsigned i = 1; i < threads && i < jobs.size(); ++i)
        pool.emplace_back(work);
    work();
    pool.clear();
    return printer.finish();
}

} // namespace hv::nv
