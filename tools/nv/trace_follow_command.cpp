// `nv trace follow`: looks at a growing file every second.
#include "tools/nv/trace_answers.hpp"
#include "tools/nv/trace_follow.hpp"
#include "tools/nv/trace_input.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace hv::nv {

namespace {

constexpr std::uint64_t usual_hertz = 1'000'000'000;
constexpr unsigned held_back_in_second = 10; // a tenth of a second

class GrowingFile {
public:
    explicit GrowingFile(std::string path) : path_{std::move(path)}
    {
        descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        if (descriptor_ < 0)
            refuse(fmt::format("{}: cannot read: {}; start the run first, with --live", path_, std::strerror(errno)));
    }
    ~GrowingFile() { ::close(descriptor_); }
    GrowingFile(GrowingFile const&) = delete;
    GrowingFile& operator=(GrowingFile const&) = delete;

    // Appends what was written since the last time; false if it is no longer the file of that name.
    bool read(std::vector<std::byte>& to)
    {
        std::array<std::byte, 65536> buffer{};
        for (;;) {
            ssize_t const got = ::pread(descriptor_, buffer.data(), buffer.size(), static_cast<off_t>(done_));
            if (got <= 0)
                break;
            to.insert(to.end(), buffer.begin(), buffer.begin() + got);
            done_ += static_cast<std::uint64_t>(got);
        }
        struct stat open_file{}, named{};
        bool const known = ::fstat(descriptor_, &open_file) == 0 && ::stat(path_.c_str(), &named) == 0;
        return known && open_file.st_ino == named.st_ino && static_cast<std::uint64_t>(named.st_size) >= done_;
    }

private:
    std::string path_;
    int descriptor_{-1};
    std::uint64_t done_{0};
};

std::size_t terminal_lines()
{
    winsize size{};
    constexpr std::size_t usual = 24;
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 ? size.ws_row : usual;
}

class Follower {
public:
    Follower(TraceFacts facts, std::string const& file)
        : facts_{std::move(facts)}, file_{file}, is_terminal_{::isatty(STDOUT_FILENO) == 1}
    {
    }

    // Everything that was written; false: there is nothing to show yet.
    bool take(std::vector<std::byte>& bytes, bool is_last)
    {
        std::size_t const whole = whole_passes(bytes, is_last);
        if (!summariser_ && whole != 0)
            begin(std::span{bytes}.first(whole));
        if (!summariser_)
            return false;
        for (Record const& record : merger_->add(std::span{bytes}.first(whole)))
            summariser_->record(record);
        if (is_last)
            for (Record const& record : merger_->finish())
                summariser_->record(record);
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole));
        return true;
    }

    void show()
    {
        Summariser copy{*summariser_};
        TraceFigures now{copy.finish(0)};
        if (now.duration() == shown_.duration() && shown_.hz != 0)
            return;
        Moment const moment{moment_between(shown_, now)};
        shown_ = std::move(now);
        if (is_terminal_)
            fmt::print("\x1b[H\x1b[J{}", moment_screen(moment, file_, terminal_lines()));
        else
            fmt::print("{}", moment_line(moment));
        std::fflush(stdout);
    }

private:
    void begin(std::span<std::byte const> windows)
    {
        TraceStream stream{windows};
        std::vector<std::uint32_t> const pcpus{stream.pcpus()};
        require_nodes(facts_, pcpus);
        std::uint64_t hz = facts_.clock_hz.value_or(usual_hertz);
        while (std::optional<Record> const record = stream.next())
            if (!facts_.clock_hz && record->event == static_cast<std::uint32_t>(sched::trace::Event::hello) &&
                record->word_count >= 2 && record->word_store[1] != 0)
                hz = std::uint64_t{record->word_store[1]} * 1000;
        merger_.emplace(hz / held_back_in_second);
        summariser_.emplace(facts_, hz, pcpus);
        shown_.hz = 0;
    }

    TraceFacts facts_;
    std::string file_;
    bool is_terminal_;
    std::optional<RecordMerger> merger_;
    std::optional<Summariser> summariser_;
    TraceFigures shown_;
};

} // namespace

ExitCode trace_follow(FollowOptions const& options)
{
    if (!(options.interval >= 0.05 && options.interval <= 3600))
        refuse(fmt::format("--interval {}: allowed is 0.05 to 3600 seconds", options.interval));
    GrowingFile file{options.trace.file};
    Follower follower{facts_of(options.trace), options.trace.file};
    std::vector<std::byte> bytes;
    for (unsigned looks = 0; options.looks == 0 || looks < options.looks; ++looks) {
        if (looks != 0)
            std::this_thread::sleep_for(std::chrono::duration<double>{options.interval});
        bool const goes_on = file.read(bytes);
        bool const is_last = !goes_on || looks + 1 == options.looks;
        if (follower.take(bytes, is_last))
            follower.show();
        if (!goes_on) {
            fmt::print(stderr, "nv: {}: the run is over; nv trace summary has its figures\n", options.trace.file);
            break;
        }
    }
    return ExitCode::good;
}

} // namespace hv::nv
