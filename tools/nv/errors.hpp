// How nv ends: one exception type that carries the exit code and one line that names the thing, the place and the fix.
// Host only. Floor: tools.
#pragma once

#include <stdexcept>
#include <string>

namespace hv::nv {

// The exit status of every subcommand. Values are what scripts test for.
enum class ExitCode : int {
    good = 0,
    failed = 1,    // the thing measured failed
    bad_input = 2, // usage, or a file that says something impossible
    timed_out = 3,
    own_failure = 4 // ours: a program is missing, a file cannot be written
};

class Error : public std::runtime_error {
public:
    Error(ExitCode code, std::string const& line) : std::runtime_error{line}, code_{code} {}

    [[nodiscard]] ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

[[noreturn]] inline void refuse(std::string const& line) { throw Error{ExitCode::bad_input, line}; }
[[noreturn]] inline void give_up(std::string const& line) { throw Error{ExitCode::own_failure, line}; }

} // namespace hv::nv
