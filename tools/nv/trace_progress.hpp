// How far a long reading of a trace has come, in percent on stderr: on a terminal only, and only from one second on.
// The line is gone at the end. Host only. Floor: tools.
#pragma once

#include "tools/nv/xentrace.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace hv::nv {

class Progress {
public:
    // `bytes`: of all that will be read. `what`: what is being done, a few words.
    Progress(std::string_view what, std::uint64_t bytes);
    ~Progress();
    Progress(Progress const&) = delete;
    Progress& operator=(Progress const&) = delete;

    // Costs an addition, and a look at the clock every 65536th time.
    void read(Record const& record)
    {
        done_ += 4u + (record.has_stamp ? 8u : 0u) + 4u * record.word_count;
        if ((++records_ & 0xffff) == 0 && is_terminal_)
            show();
    }

private:
    void show();

    std::string what_;
    std::uint64_t bytes_, done_{0}, records_{0};
    bool is_terminal_, is_shown_{false};
    std::chrono::steady_clock::time_point begin_;
};

} // namespace hv::nv
