// Counting the instructions of a policy's hooks, and of nothing else.
//
// The core of a benchmark gets a table of hooks, `counted_ops`, that hands every call on to the policy's own. While
// hooks are being counted, callgrind's collection is switched on just round that call. What a case has counted becomes
// a dump of its own, whose title "HOOKS;CASE" says how many hooks each call of the case takes, that is, how many empty
// calls are to be taken off. Single-threaded. Floor: tests.
#pragma once

#include "sched/policy.hpp"

#include <cstdint>
#include <string>

namespace hv::bench {

// Which hooks are counted; those of a set are summed.
enum class Hooks : std::uint8_t { none, schedule, wake, wake_and_enqueue, sleep, pick, tick, account };

inline constexpr unsigned calls_per_case = 500;

// The policy's hooks; to be set before counted_ops is used.
void set_counted_policy(sched::PolicyOps const& ops);
[[nodiscard]] sched::PolicyOps const& counted_ops();
// What counted_ops().create made last.
[[nodiscard]] void* counted_policy();

void start_counting(Hooks hooks);
void stop_counting();
// Forget what was counted so far; give what was counted since a title and write it out.
void begin_case();
void end_case(Hooks hooks, std::string const& name);

// Ends the program, naming the case, if a case is not what its name says: its figure would mean nothing.
void require(bool holds, std::string const& name, char const* what);

// Runs a case: `prepare` brings the machine into the state in question, `act` makes the calls that count, and `check`
// says whether they did what the case is about.
template <typename Prepare, typename Act, typename Check>
void measure(Hooks hooks, std::string const& name, Prepare prepare, Act act, Check check)
{
    begin_case();
    for (unsigned i = 0; i < calls_per_case; ++i) {
        prepare();
        start_counting(hooks);
        act();
        stop_counting();
        require(check(), name, "the decision is not the one that the case is about");
    }
    end_case(hooks, name);
}

// The case "empty call": what counting costs in itself. Before set_counted_policy.
void measure_empty_call();

} // namespace hv::bench
