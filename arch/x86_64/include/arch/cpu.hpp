// x86_64 flavour of <arch/cpu.hpp>.
#pragma once

#include "arch/generic/lock_order.hpp"

#include <cstdint>

namespace hv::arch {

inline constexpr unsigned cache_line = 64;

inline void relax() { asm volatile("pause" ::: "memory"); }

// For words that only this pCPU writes: one instruction each, so whole against its own interrupts and NMIs, and without
// the cost of being whole against other pCPUs.
[[nodiscard]] inline bool local_compare_exchange(std::uint64_t& word, std::uint64_t expected, std::uint64_t desired)
{
    bool done{false};
    asm volatile("cmpxchgq %[desired], %[word]"
                 : "=@ccz"(done), [word] "+m"(word), "+a"(expected)
                 : [desired] "r"(desired)
                 : "memory");
    return done;
}
// Returns what the word was before.
inline std::uint64_t local_add(std::uint64_t& word, std::uint64_t amount)
{
    asm volatile("xaddq %[amount], %[word]" : [amount] "+r"(amount), [word] "+m"(word)::"memory", "cc");
    return amount;
}

// The locks that the calling pCPU holds. Kept in the pCPU's own block, which GS points to.
[[nodiscard]] HeldLocks& held_locks() noexcept;

} // namespace hv::arch
