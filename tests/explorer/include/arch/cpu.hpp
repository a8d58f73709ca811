// The explorer's flavour of <arch/cpu.hpp>: "the pCPU" is a fiber of tests/explorer, and relax() is where a fiber that
// spins lets the others go on. The rest of the port is the host's.
#pragma once

#include "arch/generic/lock_order.hpp"

#include <cstdint>

namespace hv::explorer {
// Until somebody changes what was looked at since the last call or change of one's own.
void spin();
} // namespace hv::explorer

namespace hv::arch {

inline constexpr unsigned cache_line = 64;

inline void relax() { explorer::spin(); }

// For words that only this pCPU writes; a fiber is never interrupted.
[[nodiscard]] inline bool local_compare_exchange(std::uint64_t& word, std::uint64_t expected, std::uint64_t desired)
{
    if (word != expected)
        return false;
    word = desired;
    return true;
}
// Returns what the word was before.
inline std::uint64_t local_add(std::uint64_t& word, std::uint64_t amount)
{
    std::uint64_t const before{word};
    word += amount;
    return before;
}

// The locks that the fiber holds.
[[nodiscard]] HeldLocks& held_locks();

} // namespace hv::arch
