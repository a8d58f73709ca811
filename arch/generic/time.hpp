// Points in time and spans of time, in nanoseconds. The type system knows which sums make sense. No state, no locks.
// A signed 64-bit count of nanoseconds lasts 292 years, so sums of sane operands cannot overflow. Floor: arch/generic.
#pragma once

#include <compare>
#include <cstdint>

namespace hv {

class Duration {
public:
    constexpr Duration() = default;
    [[nodiscard]] static constexpr Duration from_ns(std::int64_t n) { return Duration{n}; }
    [[nodiscard]] static constexpr Duration from_us(std::int64_t n) { return Duration{n * 1'000}; }
    [[nodiscard]] static constexpr Duration from_ms(std::int64_t n) { return Duration{n * 1'000'000}; }

    [[nodiscard]] constexpr std::int64_t ns() const { return ns_; }

    constexpr Duration& operator+=(Duration d)
    {
        ns_ += d.ns_;
        return *this;
    }
    constexpr Duration& operator-=(Duration d)
    {
        ns_ -= d.ns_;
        return *this;
    }

    friend constexpr Duration operator+(Duration a, Duration b) { return Duration{a.ns_ + b.ns_}; }
    friend constexpr Duration operator-(Duration a, Duration b) { return Duration{a.ns_ - b.ns_}; }
    friend constexpr Duration operator-(Duration a) { return Duration{-a.ns_}; }
    friend constexpr Duration operator*(Duration a, std::int64_t n) { return Duration{a.ns_ * n}; }
    friend constexpr Duration operator/(Duration a, std::int64_t n) { return Duration{a.ns_ / n}; }
    friend constexpr std::int64_t operator/(Duration a, Duration b) { return a.ns_ / b.ns_; }
    friend constexpr Duration operator%(Duration a, Duration b) { return Duration{a.ns_ % b.ns_}; }
    friend constexpr auto operator<=>(Duration, Duration) = default;

private:
    constexpr explicit Duration(std::int64_t n) : ns_{n} {}
    std::int64_t ns_{0};
};

// A point on the machine's monotonic clock; zero is boot (kernel) or the start of the run (simulator).
class Instant {
public:
    constexpr Instant() = default;
    [[nodiscard]] static constexpr Instant at(Duration since_start) { return Instant{since_start}; }
    [[nodiscard]] static constexpr Instant at_ns(std::int64_t n) { return Instant{Duration::from_ns(n)}; }

    [[nodiscard]] constexpr Duration since_start() const { return since_start_; }
    [[nodiscard]] constexpr std::int64_t ns() const { return since_start_.ns(); }

    // The first multiple of `period` (counted from zero) that lies after this point. period > 0, this point >= 0.
    [[nodiscard]] constexpr Instant next_multiple(Duration period) const
    {
        return Instant{since_start_ + period - since_start_ % period};
    }

    friend constexpr Instant operator+(Instant t, Duration d) { return Instant{t.since_start_ + d}; }
    friend constexpr Instant operator-(Instant t, Duration d) { return Instant{t.since_start_ - d}; }
    friend constexpr Duration operator-(Instant a, Instant b) { return a.since_start_ - b.since_start_; }
    friend constexpr auto operator<=>(Instant, Instant) = default;

private:
    constexpr explicit Instant(Duration d) : since_start_{d} {}
    Duration since_start_;
};

} // namespace hv
