// A policy's parameter, which may be changed while decisions are made. relaxed: a decision takes the old or the new
// value, and no two of them have to fit. Floor: sched.
#pragma once

#include <atomic>

namespace hv::sched {

template <typename T>
class Tunable {
public:
    constexpr explicit Tunable(T initial) : value_{initial} {}
    [[nodiscard]] operator T() const
    {
        return value_.load(std::memory_order_relaxed);
    } // NOLINT(google-explicit-constructor)
    Tunable& operator=(T value)
    {
        value_.store(value, std::memory_order_relaxed);
        return *this;
    }

private:
    std::atomic<T> value_;
};

} // namespace hv::sched
