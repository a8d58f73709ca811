// explorer: all interleavings of small scenarios of the scheduler, up to a number of preemptions (docs/testing.md).
#include "tests/explorer/runtime/places.hpp"
#include "tests/explorer/search.hpp"
#include "tests/explorer/states.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>

namespace {

using namespace hv;
using namespace hv::explorer;

constexpr int found_something{1}, usage{2};

struct Options {
    std::vector<std::string> names, policies{"credit", "numacredit"};
    unsigned preemptions{2}, delays{1};
    std::uint64_t random{0}, seed{1};
    bool list{false}, first{false};
    std::string schedule;
    std::uint64_t one_state_in{0};
};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// A broken list or a stray pointer ends the run, not the search.
void on_fault(int signal)
{
    std::signal(signal, on_fault);
    run().fail(signal == SIGFPE ? "division by zero" : "access to an address that does not exist");
}

void catch_faults()
{
    static std::array<char, 64 * 1024> stack;
    stack_t alternative{};
    alternative.ss_sp = stack.data();
    alternative.ss_size = stack.size();
    sigaltstack(&alternative, nullptr);
    struct sigaction action{};
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    for (int const signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE})
        sigaction(signal, &action, nullptr);
}

void tell(std::string const& name, Finding const& finding)
{
    fmt::print("FOUND {}: {}\n", name, finding.text);
    if (finding.pc != nullptr)
        fmt::print("    at {}\n", place_of(finding.pc));
    if (finding.other_pc != nullptr)
        fmt::print("    before it, {}\n", place_of(finding.other_pc));
    fmt::print("    explorer --replay '{}'\n", schedule_text(name, finding.schedule));
}

// true: nothing was found.
bool explore(Scenario const& scenario, std::string const& policy, Options const& options, Tally& sum)
{
    std::string const name{fmt::format("{}/{}", scenario.name, policy)};
    double const before{cpu_seconds()};
    Search search{scenario, *sched::find_policy(policy)};
    Tally const all{search.all(options.preemptions, options.delays)};
    Tally const random{all.finding ? Tally{} : search.random(options.random, options.seed)};
    fmt::print("{:<28}{:>9} runs, {:>9} of them given up as equal to others, {:>8} at random, {:6.2f} CPU-s\n", name,
               all.runs, all.equal, random.runs, cpu_seconds() - before);
    sum.runs += all.runs + random.runs;
    for (Tally const* const tally : {&all, &random})
        if (tally->finding)
            tell(name, *tally->finding);
    std::fflush(stdout);
    return !all.finding && !random.finding;
}

int replay(std::string const& text)
{
    std::size_t const slash{text.find('/')}, colon{text.find(':')};
    auto const schedule = colon == std::string::npos ? std::nullopt : parse_schedule(text.substr(colon + 1));
    sched::PolicyOps const* const policy{
        slash < colon && schedule ? sched::find_policy(text.substr(slash + 1, colon - slash - 1)) : nullptr};
    for (Scenario const& scenario : scenarios()) {
        if (policy == nullptr || text.substr(0, slash) != scenario.name)
            continue;
        Search search{scenario, *policy};
        Tally const tally{search.again(*schedule)};
        print_steps(run().steps());
        if (!tally.finding)
            return fmt::print("nothing found\n"), 0;
        tell(text.substr(0, colon), *tally.finding);
        return found_something;
    }
    fmt::print(stderr, "explorer: '{}': a schedule is SCENARIO/POLICY:STEP>PCPU,STEP~,... as a finding shows it\n",
               text);
    return usage;
}

bool is_chosen(Scenario const& scenario, std::string const& policy, Options const& options)
{
    if (scenario.only != nullptr && policy != scenario.only)
        return false;
    return options.names.empty() ||
           std::find(options.names.begin(), options.names.end(), scenario.name) != options.names.end();
}

int explore_all(Options const& options)
{
    Tally sum;
    unsigned explored{0}, bad{0};
    double const before{cpu_seconds()};
    for (Scenario const& scenario : scenarios())
        for (std::string const& policy : options.policies)
            if (is_chosen(scenario, policy, options) && (bad == 0 || !options.first)) {
                ++explored;
                bad += explore(scenario, policy, options, sum) ? 0u : 1u;
            }
    fmt::print("{} scenarios, {} runs, {:.1f} CPU-s: {}\n", explored, sum.runs, cpu_seconds() - before,
               bad == 0 ? "nothing found" : fmt::format("something found in {}", bad));
    return bad == 0 ? 0 : found_something;
}

int look_at_all_states(Options const& options)
{
    bool good{true};
    for (std::string const& name : options.policies) {
        sched::PolicyOps const& policy{*sched::find_policy(name)};
        if (policy.work_conserving_within == Duration{})
            continue;
        for (bool const busy : {false, true}) {
            double const before{cpu_seconds()};
            StateTally const tally{look_at_states(policy, busy, options.one_state_in, options.seed)};
            if (!tally.finding.empty())
                fmt::print("FOUND {}: {}\n", name, tally.finding);
            good &= tally.finding.empty();
            fmt::print(
                "{}, {} before: {} states, {:.1f} CPU-s: {}; who waited while a pCPU idled waited {} us at most\n",
                name, busy ? "busy" : "idle", tally.states, cpu_seconds() - before,
                tally.finding.empty() ? "nothing found" : "something found", tally.longest.ns() / 1000);
            std::fflush(stdout);
        }
    }
    return good ? 0 : found_something;
}

} // namespace

int main(int argc, char** argv)
{
    Options options;
    CLI::App app{"Explore all interleavings of small scenarios of the scheduler, up to a number of preemptions"};
    std::vector<std::string> known;
    for (Scenario const& scenario : scenarios())
        known.emplace_back(scenario.name);
    app.add_option("scenario", options.names, "which; all if none is named")->check(CLI::IsMember(known));
    app.add_option("--policy", options.policies, "under which policies")
        ->delimiter(',')
        ->expected(1)
        ->check(CLI::IsMember({"credit", "numacredit"}));
    app.add_option("--preemptions", options.preemptions, "every run with at most so many, delayed stores included")
        ->check(CLI::Range(0, 6))
        ->capture_default_str();
    app.add_option("--delays", options.delays, "so many of them may be delayed stores")
        ->check(CLI::Range(0, 6))
        ->capture_default_str();
    app.add_option("--random", options.random, "then so many runs at random, with any number");
    app.add_option("--seed", options.seed, "of the first one at random")->capture_default_str();
    app.add_flag("--first", options.first, "end with the first finding");
    app.add_flag("--list", options.list, "say what the scenarios are");
    app.add_option("--states", options.one_state_in,
                   "look at work conservation instead, from one in so many of all states of four vCPUs; 1: from all")
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--replay", options.schedule, "run one schedule again and show its steps");
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return app.exit(error) == 0 ? 0 : usage;
    }
    catch_faults();
    if (options.list) {
        for (Scenario const& scenario : scenarios())
            fmt::print("{:<16} {}\n", scenario.name, scenario.text);
        return 0;
    }
    if (options.one_state_in != 0)
        return look_at_all_states(options);
    return options.schedule.empty() ? explore_all(options) : replay(options.schedule);
}
