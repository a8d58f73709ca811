// Independent jobs on several threads, and the line on a terminal that says how far they are. Host only. Floor: tools.
#pragma once

#include <fmt/format.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hv::nv {

// A line of stderr that is written over, on a terminal only; gone at the end: how many are done, how many a second, how
// long the rest will take at that. Any thread may say that a job is done.
class JobProgress {
public:
    explicit JobProgress(std::size_t count) : count_{count}, shown_{::isatty(STDERR_FILENO) == 1} {}
    ~JobProgress()
    {
        if (shown_)
            fmt::print(stderr, "\r\x1b[K");
    }
    JobProgress(JobProgress const&) = delete;
    JobProgress& operator=(JobProgress const&) = delete;

    void done(std::string const& what)
    {
        std::lock_guard const guard{mutex_};
        ++done_;
        if (!shown_)
            return;
        double const seconds{std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count()};
        double const rate{static_cast<double>(done_) / (seconds > 0 ? seconds : 1)};
        fmt::print(stderr, "\r\x1b[K{}/{}, {:.1f}/s, {} left: {}", done_, count_, rate,
                   time_text(static_cast<double>(count_ - done_) / rate), what);
    }

private:
    static std::string time_text(double seconds)
    {
        auto const whole = static_cast<unsigned long>(seconds + 0.5);
        return whole < 100 ? fmt::format("{} s", whole) : fmt::format("{}:{:02} min", whole / 60, whole % 60);
    }

    std::mutex mutex_;
    std::size_t count_, done_{0};
    bool shown_;
    std::chrono::steady_clock::time_point begun_{std::chrono::steady_clock::now()};
};

// Calls work(job, thread) for the jobs 0 to count - 1 on `threads` threads, this one among them. The first exception
// keeps further jobs from being begun and is thrown again at the end.
template <typename Work>
void run_jobs(std::size_t count, unsigned threads, Work const& work)
{
    std::atomic<std::size_t> next{0};
    std::exception_ptr error;
    std::mutex mutex;
    auto const worker = [&](unsigned number) {
        for (std::size_t i{next++}; i < count; i = next++) {
            try {
                work(i, number);
            } catch (...) {
                std::lock_guard const guard{mutex};
                error = error ? error : std::current_exception();
                next = count;
            }
        }
    };
    std::vector<std::jthread> pool;
    for (unsigned i = 1; i < threads && i < count; ++i)
        pool.emplace_back(worker, i);
    worker(0);
    pool.clear();
    if (error)
        std::rethrow_exception(error);
}

} // namespace hv::nv
