#include "tools/nv/bench_kernel.hpp"

#include "tools/nv/errors.hpp"
#include "tools/nv/files.hpp"
#include "tools/nv/host_channel.hpp"
#include "tools/nv/qemu.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace hv::nv {

namespace {

// Runs a program with its output in `log`; returns its exit status, or 128 + the signal that ended it.
int run_logged(std::vector<std::string> const& words, std::filesystem::path const& log)
{
    std::vector<char*> arguments;
    for (std::string const& word : words)
        arguments.push_back(const_cast<char*>(word.c_str())); // posix_spawn does not write to them.
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    pid_t child{0};
    int const error{posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ)};
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        give_up(fmt::format("{}: cannot be started: {}", words[0], std::strerror(error)));
    int status{0};
    while (waitpid(child, &status, 0) == -1 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

std::string last_complaint(std::string text)
{
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    std::size_t const newline = text.rfind('\n');
    text.erase(0, newline == std::string::npos ? 0 : newline + 1);
    constexpr std::string_view own_name{"nv: "}; // It will be said again.
    return text.starts_with(own_name) ? text.substr(own_name.size()) : text;
}

RunFigures KernelRunner::run(BenchCell const& cell, BenchSetup const& setup, std::uint64_t seed,
                             unsigned host_cpu) const
{
    std::string const name{fmt::format("{}-{}-{}", cell_name(cell), cell.column.policy, seed)};
    std::filesystem::create_directories(out);
    std::filesystem::path const file{out / (name + ".json")}, log{out / (name + ".log")};
    write_text(file, cell_scenario(cell, setup, seed));
    int const status{
        run_logged({self.string(), "run", file.string(), "--kernel", kernel.string(), "--out", out.string(), "--cpu",
                    std::to_string(host_cpu), "--timeout", std::to_string(limit.count()), "--silence",
                    fmt::format("{:.3f}", static_cast<double>(silence.count()) / 1000), "--json"},
                   log)};
    if (status != 0) {
        std::string const complaint{last_complaint(read_text(log))}; // Mostly it names the run itself.
        throw Error{status < 5 ? static_cast<ExitCode>(status) : ExitCode::failed,
                    complaint.starts_with(name) ? complaint : fmt::format("{}: {}", name, complaint)};
    }
    std::filesystem::path const channel_file{out / name / host_channel_file};
    std::string const text{read_text(channel_file)};
    HostChannel const channel{parse_host_channel(text)};
    if (!channel.scenario_start || !channel.scenario_end)
        throw Error{ExitCode::failed, fmt::format("{}: no `scenario start=` line", channel_file.string())};
    return figures_of_channel(text, *channel.scenario_end - *channel.scenario_start, channel_file.string());
}

} // namespace hv::nv
