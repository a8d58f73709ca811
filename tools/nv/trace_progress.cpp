#include "tools/nv/trace_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace hv::nv {

Progress::Progress(std::string_view what, std::uint64_t bytes)
    : what_{what}, bytes_{std::max<std::uint64_t>(bytes, 1)}, is_terminal_{::isatty(STDERR_FILENO) == 1},
      begin_{std::chrono::steady_clock::now()}
{
}

Progress::~Progress()
{
    if (is_shown_)
        fmt::print(stderr, "\r\x1b[K");
}

void Progress::show()
{
    constexpr auto patience = std::chrono::seconds{1};
    if (std::chrono::steady_clock::now() - begin_ < patience)
        return;
    is_shown_ = true;
    fmt::print(stderr, "\r{}: {} %\x1b[K", what_, std::min<std::uint64_t>(done_ * 100 / bytes_, 100));
    std::fflush(stderr);
}

} // namespace hv::nv
