// Makes allocations fail on purpose, so that tests see what their callers do then: the n-th from now on, all from
// there, or one in so many at random, by a seed.
//
// Every function that allocates on behalf of somebody asks it once a call: pages, claims, objects. The pCPUs' caches
// ask in debug builds only. Off unless somebody turns it on.
//
// Locking: none, atomics; with several pCPUs which call fails depends on who comes first. Floor: mm.
#pragma once

#include <atomic>
#include <cstdint>

namespace hv::mm {

class FailureInjection {
public:
    constexpr FailureInjection() = default;

    // The n-th call from now fails, and no other; n >= 1.
    void fail_nth(std::uint64_t n) { count_down(n, false); }
    // The n-th call from now fails, and each one after it; n >= 1.
    void fail_from(std::uint64_t n) { count_down(n, true); }
    // Each call fails with probability 1/n; n >= 1.
    void fail_one_in(std::uint32_t n, std::uint64_t seed)
    {
        random_.store(seed, std::memory_order_relaxed);
        one_in_.store(n, std::memory_order_relaxed);
        is_on_.store(true, std::memory_order_relaxed);
    }
    void turn_off() { is_on_.store(false, std::memory_order_relaxed); }

    // How many calls were made to fail since the start.
    [[nodiscard]] std::uint64_t injected() const { return injected_.load(std::memory_order_relaxed); }

    // Whether the call that asks is to fail.
    [[nodiscard]] bool strikes() { return is_on_.load(std::memory_order_relaxed) && draw(); }

private:
    void count_down(std::uint64_t n, bool for_good)
    {
        one_in_.store(0, std::memory_order_relaxed);
        fails_for_good_.store(for_good, std::memory_order_relaxed);
        countdown_.store(n, std::memory_order_relaxed);
        is_on_.store(true, std::memory_order_relaxed);
    }
    [[gnu::noinline]] bool draw()
    {
        bool hit{false};
        if (std::uint32_t const n = one_in_.load(std::memory_order_relaxed); n != 0) {
            // splitmix64: each draw is a function of a counter, so that pCPUs need no lock.
            std::uint64_t z{random_.fetch_add(0x9E3779B97F4A7C15, std::memory_order_relaxed)};
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
            z = (z ^ z >> 27) * 0x94D049BB133111EB;
            hit = (z ^ z >> 31) % n == 0;
        } else {
            hit = countdown_.load(std::memory_order_relaxed) != 0
                      ? countdown_.fetch_sub(1, std::memory_order_relaxed) == 1
                      : fails_for_good_.load(std::memory_order_relaxed);
        }
        if (hit)
            injected_.fetch_add(1, std::memory_order_relaxed);
        return hit;
    }

    std::atomic<bool> is_on_{false};
    std::atomic<bool> fails_for_good_{false};
    std::atomic<std::uint32_t> one_in_{0};
    std::atomic<std::uint64_t> countdown_{0};
    std::atomic<std::uint64_t> random_{0};
    std::atomic<std::uint64_t> injected_{0};
};

} // namespace hv::mm
