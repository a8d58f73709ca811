// Hypercalls, as a guest makes them. No state, no locks. Floor: guest.
#pragma once

#include "arch/generic/time.hpp"
#include "boot/hypercall/abi.hpp"

namespace hv::guest {

// Below zero: a hypercall::Error.
inline std::int64_t call(hypercall::Number number, std::uint64_t a = 0, std::uint64_t b = 0)
{
    std::int64_t result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return result;
}

[[noreturn]] inline void shut_down(std::uint64_t exit_code)
{
    static_cast<void>(call(hypercall::Number::shutdown, exit_code));
    __builtin_trap();
}

// For calls that a guest which keeps to the rules cannot be refused.
inline Instant call_for_time(hypercall::Number number, std::uint64_t a = 0)
{
    std::int64_t const result{call(number, a)};
    if (result < 0)
        __builtin_trap();
    return Instant::at_ns(result);
}

} // namespace hv::guest
