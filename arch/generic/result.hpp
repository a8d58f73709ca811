// Result<T, E>: a value, or the reason why there is none. For what can fail at boot, in parsers and on behalf of a
// user; the scheduler's fast path cannot fail and has no use for it. Both T and E are trivially copyable, so that a
// Result needs no destructor. No locks. Floor: arch/generic.
#pragma once

#include "arch/generic/assert.hpp"

#include <type_traits>

namespace hv {

template <typename E>
struct Failure {
    E error;
};

template <typename E>
[[nodiscard]] constexpr Failure<E> fail(E error)
{
    return {error};
}

template <typename T, typename E>
class [[nodiscard]] Result {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_copyable_v<E>);

public:
    constexpr Result(T value) : value_{value}, ok_{true} {}                     // NOLINT(google-explicit-constructor)
    constexpr Result(Failure<E> failure) : error_{failure.error}, ok_{false} {} // NOLINT(google-explicit-constructor)

    [[nodiscard]] constexpr bool ok() const { return ok_; }
    [[nodiscard]] constexpr explicit operator bool() const { return ok_; }

    [[nodiscard]] constexpr T const& value() const
    {
        HV_ASSERT(ok_);
        return value_;
    }
    [[nodiscard]] constexpr T const& operator*() const { return value(); }
    [[nodiscard]] constexpr T const* operator->() const { return &value(); }
    [[nodiscard]] constexpr E const& error() const
    {
        HV_ASSERT(!ok_);
        return error_;
    }

private:
    union {
        T value_;
        E error_;
    };
    bool ok_;
};

struct Unit {};

// Success without a value, or the reason why not.
template <typename E>
using Status = Result<Unit, E>;

inline constexpr Unit done{};

} // namespace hv
