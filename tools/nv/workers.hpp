// Independent jobs on several threads, and the line on a terminal that says how far they are. Host only. Floor: tools.
#pragma once

#include <fmt/format.h>

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hv::nv {

// A line of stderr that is written over, on a terminal only; gone at the end. Any thread may say that a job is done.
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
        if (shown_)
            fmt::print(stderr, "\r\x1b[K{}/{} {}", done_, count_, what);
    }

private:
    std::mutex mutex_;
    std::size_t count_, done_{0};
    bool shown_;
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
