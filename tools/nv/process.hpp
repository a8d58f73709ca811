// One child process: started on one host CPU, listened to line by line, never outliving us.
//
// The child has /dev/null as its input (unless it is given our terminal, whose settings are restored behind it), dies
// when we die, and is killed when it says nothing for too long, takes too long, says too much, or somebody interrupts us
// (SIGINT, SIGTERM, SIGHUP). Several threads may have a child each, one of them the terminal; an interruption ends all
// of them. Host only. Floor: tools.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hv::nv {

struct ProcessSpec {
    std::vector<std::string> words;    // the program first; found along PATH
    std::filesystem::path folder;      // where it runs
    std::optional<unsigned> cpu{};     // the host CPU it is bound to
    bool has_terminal{false};          // its stdin and stdout are ours, and nobody listens to its stdout
    std::filesystem::path life_sign{}; // a file of the folder whose growth counts as a sign of life; may be empty
    std::function<void()> meanwhile{}; // called every `interval` or more often while it runs; may be empty
    std::chrono::milliseconds interval{100};
    std::chrono::milliseconds silence_limit{8'000}; // zero: none; time without a host CPU does not count
    std::chrono::milliseconds total_limit{300'000}; // zero: none
    std::size_t output_limit{0};                    // bytes of both outputs; zero: none
};

enum class Ending { exited, killed_by_signal, silent, overdue, talkative, interrupted };

struct ProcessResult {
    Ending ending{Ending::exited};
    int status{0};      // exit status, or the signal
    std::string output; // all of its stdout
    std::string errors; // all of its stderr
};

// `on_line` gets each line of stdout as it comes, without its end. Throws (own_failure) if the program cannot be
// started; the line says so in the words of errno.
[[nodiscard]] ProcessResult run_process(ProcessSpec const& spec, std::function<void(std::string_view)> const& on_line);

// The host CPUs that this process may use, ascending.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

// Whether a program is on PATH (or is a file, if it has a slash).
[[nodiscard]] bool program_exists(std::string const& program);

} // namespace hv::nv
