// The subcommands of `nv trace` that answer a question: what differs, why it waited, what it would do elsewhere. Host
// only. Floor: tools.
#pragma once

#include "tools/nv/errors.hpp"
#include "tools/nv/trace_command.hpp"

#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace hv::nv {

struct DiffOptions {
    TraceOptions trace;             // A, and what is said of both
    std::string other, other_facts; // B
    std::string html;               // a page to write; may be empty
    double tolerance_us{0};
};

// The first record and the first decision that differ, and the figures. `failed` if the traces differ or are damaged.
// Throws (bad_input) for options that make no sense.
[[nodiscard]] ExitCode trace_diff(DiffOptions const& options);

struct WhyOptions {
    TraceOptions trace;
    std::string question; // VCPU@TIME, or VCPU: its longest wait
};

// What kept the vCPU from running then. `failed` if it did not wait then, or the trace is damaged up to there. Throws
// (bad_input) for options that make no sense.
[[nodiscard]] ExitCode trace_why(WhyOptions const& options);

struct ReplayOptions {
    TraceOptions trace;
    std::string output;                        // empty: stdout
    std::string name, policy;                  // empty: after the trace; the run's, else credit
    std::string affinity{"facts"};             // "facts", "none", "hard"
    bool by_turns{false}, side_by_side{false}; // how the host ran its pCPUs; neither: as the trace tells
    std::optional<double> turn_us;             // mean length of a turn; nothing: as the trace tells
};

// A scenario file with what the vCPUs of the trace did. `failed` if the trace is damaged: the file is of what could be
// read. Throws (bad_input) for options that make no sense, and for a trace that no scenario can be made of.
[[nodiscard]] ExitCode trace_replay(ReplayOptions const& options);

struct FollowOptions {
    TraceOptions trace;
    double interval{1}; // s
    unsigned looks{0};  // 0: until the run is over, or for ever
};

// What goes on in a trace that is being written: a line each interval, or a screen on a terminal. Throws (bad_input)
// if the file cannot be read.
[[nodiscard]] ExitCode trace_follow(FollowOptions const& options);

struct TraceAnswers {
    DiffOptions diff;
    WhyOptions why;
    ReplayOptions replay;
    FollowOptions follow;
};

// Puts them under `nv trace`.
void add_trace_answers(CLI::App& trace, TraceAnswers& answers);
// Nothing: the command line has another subcommand.
[[nodiscard]] std::optional<ExitCode> do_trace_answer(CLI::App const& trace, TraceAnswers const& answers);

} // namespace hv::nv
