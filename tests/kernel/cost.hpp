// What a piece of code costs in instructions: under QEMU's instruction counter a tick of the TSC is one. Interrupts off
// while something is measured, and nothing else runs. Floor: tests (kernel).
#pragma once

#include "arch/x86_64/instructions.hpp"
#include "boot/kernel.hpp"

#include <cstdint>

namespace hv::test {

[[nodiscard]] inline bool counts_instructions() { return boot::kernel().options.khz == 1'000'000; }

inline constexpr unsigned cost_rounds = 64;

// Instructions of `cost_rounds` times `act`, the loop included.
template <typename Act>
[[nodiscard, gnu::always_inline]] inline std::uint64_t ticks_of(Act const& act)
{
    std::uint64_t const start{arch::read_tsc()};
    for (unsigned i = 0; i < cost_rounds; ++i) {
        act();
        asm volatile("" ::: "memory"); // nothing may be kept over a round
    }
    return arch::read_tsc() - start;
}

// Of one call, rounded up, less the loop's own.
template <typename Act>
[[nodiscard, gnu::always_inline]] inline std::uint64_t cost_of(Act const& act)
{
    std::uint64_t const empty{ticks_of([] {})};
    std::uint64_t const all{ticks_of(act)};
    return (all - empty + cost_rounds - 1) / cost_rounds;
}

} // namespace hv::test
