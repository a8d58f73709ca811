#include "tools/nv/process.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <mutex>

namespace hv::nv {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds grace{5'000};

std::sig_atomic_t volatile interrupted_by = 0;

void note_signal(int number) { interrupted_by = number; }

// While one lives, signals that would end us are noted instead. Several threads may have one each: the first changes
// what happens, the last puts it back.
class SignalGuard {
public:
    SignalGuard()
    {
        std::lock_guard const guard{mutex};
        if (count++ > 0)
            return;
        interrupted_by = 0;
        struct sigaction action{};
        action.sa_handler = note_signal;
        for (std::size_t i = 0; i < signals.size(); ++i)
            ::sigaction(signals[i], &action, &before[i]);
    }
    ~SignalGuard()
    {
        std::lock_guard const guard{mutex};
        if (--count > 0)
            return;
        for (std::size_t i = 0; i < signals.size(); ++i)
            ::sigaction(signals[i], &before[i], nullptr);
    }
    SignalGuard(SignalGuard const&) = delete;
    SignalGuard& operator=(SignalGuard const&) = delete;

private:
    static constexpr std::array signals{SIGINT, SIGTERM, SIGHUP};
    static inline std::mutex mutex;
    static inline unsigned count{0};
    static inline std::array<struct sigaction, signals.size()> before{};
};

// The terminal's settings, which a child that is killed leaves as it needed them.
class TerminalGuard {
public:
    TerminalGuard() : known_{::tcgetattr(STDIN_FILENO, &before_) == 0} {}
    ~TerminalGuard()
    {
        if (known_)
            ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    TerminalGuard(TerminalGuard const&) = delete;
    TerminalGuard& operator=(TerminalGuard const&) = delete;

private:
    termios before_{};
    bool known_;
};

struct Pipe {
    int read_end{-1}, write_end{-1};

    explicit Pipe(int flags)
    {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), flags) != 0)
            give_up(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
        read_end = ends[0];
        write_end = ends[1];
    }
    ~Pipe()
    {
        close_end(read_end);
        close_end(write_end);
    }
    Pipe(Pipe const&) = delete;
    Pipe& operator=(Pipe const&) = delete;

    static void close_end(int& end)
    {
        if (end >= 0)
            ::close(end);
        end = -1;
    }
};

// Between fork and exec: only what is safe there. Reports errno through the pipe if exec fails.
[[noreturn]] void become(ProcessSpec const& spec, std::vector<char*> const& arguments, Pipe& out, Pipe& err,
                         Pipe& trouble, pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(127); // The parent died before the line above.
    if (spec.cpu) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(*spec.cpu, &set);
        ::sched_setaffinity(0, sizeof set, &set);
    }
    int const null = ::open("/dev/null", O_RDONLY);
    bool const has_ends = spec.has_terminal ||
                          (null >= 0 && ::dup2(null, STDIN_FILENO) >= 0 && ::dup2(out.write_end, STDOUT_FILENO) >= 0);
    bool const ok = has_ends && ::dup2(err.write_end, STDERR_FILENO) >= 0 && ::chdir(spec.folder.c_str()) == 0;
    if (ok)
        ::execvp(arguments[0], arguments.data());
    int const reason = errno;
    [[maybe_unused]] ssize_t const written = ::write(trouble.write_end, &reason, sizeof reason);
    ::_exit(127);
}

pid_t start(ProcessSpec const& spec, Pipe& out, Pipe& err)
{
    std::vector<std::string> words = spec.words;
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    Pipe trouble{O_CLOEXEC};
    pid_t const parent = ::getpid();
    pid_t const child = ::fork();
    if (child < 0)
        give_up(fmt::format("cannot start {}: {}", spec.words[0], std::strerror(errno)));
    if (child == 0)
        become(spec, arguments, out, err, trouble, parent);
    Pipe::close_end(trouble.write_end);
    Pipe::close_end(out.write_end);
    Pipe::close_end(err.write_end);
    int reason{0};
    if (::read(trouble.read_end, &reason, sizeof reason) == sizeof reason) {
        ::waitpid(child, nullptr, 0);
        give_up(fmt::format("cannot start {}: {}", spec.words[0], std::strerror(reason)));
    }
    return child;
}

// How long the child's threads have stood ready and not got a host CPU, the unluckiest of them; zero where the host
// does not tell. A child that is starved by other load is slow, not silent.
Clock::duration starved(pid_t child)
{
    std::uint64_t longest{0};
    std::error_code error;
    for (auto const& task : std::filesystem::directory_iterator{fmt::format("/proc/{}/task", child), error}) {
        std::ifstream file{task.path() / "schedstat"};
        std::uint64_t ran{0}, waited{0};
        if (file >> ran >> waited)
            longest = std::max(longest, waited);
    }
    return std::chrono::nanoseconds{longest};
}

// Listens to a child until it ends or must end.
class Listener {
public:
    Listener(ProcessSpec const& spec, std::function<void(std::string_view)> const& on_line, pid_t child, Pipe& out,
             Pipe& err)
        : spec_{spec}, on_line_{on_line}, child_{child}, out_{out}, err_{err}
    {
    }

    // How it ended, if we have to end it; `exited` when both its outputs are closed.
    [[nodiscard]] Ending listen()
    {
        while (out_.read_end >= 0 || err_.read_end >= 0) {
            std::array<pollfd, 2> ends{{{out_.read_end, POLLIN, 0}, {err_.read_end, POLLIN, 0}}};
            ::poll(ends.data(), ends.size(), static_cast<int>(spec_.interval.count()));
            if (interrupted_by != 0)
                return Ending::interrupted;
            if (ends[0].revents != 0 && take(out_, result_.output))
                give_lines();
            if (ends[1].revents != 0)
                take(err_, result_.errors);
            if (spec_.output_limit != 0 && result_.output.size() + result_.errors.size() > spec_.output_limit)
                return Ending::talkative;
            look_for_life();
            if (spec_.meanwhile)
                spec_.meanwhile();
            auto const now = Clock::now();
            if (spec_.total_limit.count() != 0 && now - begin_ >= spec_.total_limit)
                return Ending::overdue;
            if (spec_.silence_limit.count() != 0 && now - last_sign_ >= spec_.silence_limit && is_silent(now))
                return Ending::silent;
        }
        return Ending::exited;
    }

    [[nodiscard]] ProcessResult take_result()
    {
        if (given_ < result_.output.size())
            on_line_(std::string_view{result_.output}.substr(given_)); // A last line without end.
        return std::move(result_);
    }

private:
    bool take(Pipe& pipe, std::string& into)
    {
        std::array<char, 16'384> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): read fills what is used.
        ssize_t const count = ::read(pipe.read_end, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR)
            return false;
        if (count <= 0) {
            Pipe::close_end(pipe.read_end);
            return false;
        }
        into.append(buffer.data(), static_cast<std::size_t>(count));
        note_sign();
        return true;
    }

    void give_lines()
    {
        for (std::size_t end; (end = result_.output.find('\n', given_)) != std::string::npos; given_ = end + 1) {
            std::string_view line = std::string_view{result_.output}.substr(given_, end - given_);
            if (line.ends_with('\r'))
                line.remove_suffix(1);
            on_line_(line);
        }
    }

    // The limit has passed; what the child spent waiting for a host CPU is added to it.
    [[nodiscard]] bool is_silent(Clock::time_point now) const
    {
        return now - last_sign_ >= spec_.silence_limit + (starved(child_) - starved_at_sign_);
    }

    void note_sign()
    {
        last_sign_ = Clock::now();
        starved_at_sign_ = starved(child_);
    }

    void look_for_life()
    {
        if (spec_.life_sign.empty())
            return;
        std::error_code error;
        auto const size = std::filesystem::file_size(spec_.folder / spec_.life_sign, error);
        if (!error && size != life_size_) {
            life_size_ = size;
            note_sign();
        }
    }

    ProcessSpec const& spec_;
    std::function<void(std::string_view)> const& on_line_;
    pid_t child_;
    Pipe& out_;
    Pipe& err_;
    ProcessResult result_;
    std::size_t given_{0};
    std::uintmax_t life_size_{0};
    Clock::time_point begin_{Clock::now()}, last_sign_{begin_};
    Clock::duration starved_at_sign_{};
};

// Its wait status. A child that has closed its outputs gets some time to end by itself.
int reap(pid_t child, std::chrono::milliseconds patience)
{
    int status{0};
    auto const deadline = Clock::now() + patience;
    while (Clock::now() < deadline && interrupted_by == 0) {
        if (::waitpid(child, &status, WNOHANG) == child)
            return status;
        ::poll(nullptr, 0, 1);
    }
    ::kill(child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

} // namespace

ProcessResult run_process(ProcessSpec const& spec, std::function<void(std::string_view)> const& on_line)
{
    SignalGuard const guard;
    std::optional<TerminalGuard> terminal;
    if (spec.has_terminal)
        terminal.emplace();
    Pipe out{O_CLOEXEC}, err{O_CLOEXEC};
    pid_t const child = start(spec, out, err);
    Listener listener{spec, on_line, child, out, err};
    Ending ending = listener.listen();
    int const status = reap(child, ending == Ending::exited ? grace : std::chrono::milliseconds{0});
    ProcessResult result = listener.take_result();
    if (ending == Ending::exited && WIFSIGNALED(status))
        ending = interrupted_by != 0 ? Ending::interrupted : Ending::killed_by_signal;
    result.ending = ending;
    result.status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    if (ending == Ending::interrupted)
        result.status = interrupted_by;
    return result;
}

std::vector<unsigned> allowed_cpus()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cpus;
    if (::sched_getaffinity(0, sizeof set, &set) != 0)
        return cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set))
            cpus.push_back(cpu);
    return cpus;
}

bool program_exists(std::string const& program)
{
    if (program.find('/') != std::string::npos)
        return ::access(program.c_str(), X_OK) == 0;
    char const* const path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nv has one thread.
    std::string_view rest{path == nullptr ? "/usr/bin:/bin" : path};
    while (!rest.empty()) {
        std::size_t const colon = rest.find(':');
        if (::access(fmt::format("{}/{}", rest.substr(0, colon), program).c_str(), X_OK) == 0)
            return true;
        rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
    return false;
}

} // namespace hv::nv
