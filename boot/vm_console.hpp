// How much a VM may write on the console: a budget in bytes that refills with time, so that one that writes all the
// time keeps nobody else from it. Changed by whichever vCPU writes; two at once may spend a line too much. Floor: boot.
#pragma once

#include "arch/generic/time.hpp"

#include <atomic>
#include <cstdint>

namespace hv::boot {

class ConsoleBudget {
public:
    static constexpr std::int64_t bytes_a_second = 2048;
    static constexpr std::int64_t most = 1024; // at once

    // false: not now.
    [[nodiscard]] bool spend(std::int64_t bytes, Instant now)
    {
        // What has been written counts as time: a byte moves `paid_until_` on by what it takes to refill.
        constexpr Duration of_byte{Duration::from_ns(1'000'000'000 / bytes_a_second)};
        std::int64_t const earliest{(now - of_byte * most).ns()};
        std::int64_t const paid{paid_until_.load(std::memory_order_relaxed)};
        std::int64_t const after{(paid > earliest ? paid : earliest) + (of_byte * bytes).ns()};
        if (after > now.ns())
            return false;
        paid_until_.store(after, std::memory_order_relaxed);
        return true;
    }

private:
    std::atomic<std::int64_t> paid_until_{-(std::int64_t{1} << 60)};
};

} // namespace hv::boot
