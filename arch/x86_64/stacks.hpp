// Kernel stacks: 16 KiB each on a chosen node, in an area of their own where an unmapped guard lies below each.
//
// A stack that is given back stays mapped and waits for the next taker on its node: no page is ever unmapped, so no
// other pCPU has to forget one. Locking: one lock, rank 30; the page source is called with it held. Floor: arch/x86_64.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>

namespace hv::arch {

inline constexpr std::uint16_t stack_lock_rank = 30;
inline constexpr std::size_t stack_bytes = 16 * 1024;

struct Stack {
    std::uint64_t bottom{0};
    NodeId node{};

    [[nodiscard]] std::uint64_t top() const { return bottom + stack_bytes; }
};

enum class StackError : std::uint8_t { no_memory, no_address_space };
[[nodiscard]] char const* text_of(StackError error);

// Needs the page source (frames.hpp).
[[nodiscard]] Result<Stack, StackError> allocate_stack(NodeId node) noexcept;
void release_stack(Stack stack) noexcept;

// Whether the address lies on a mapped kernel stack, the boot stack included.
[[nodiscard]] bool is_on_a_stack(std::uint64_t address) noexcept;
// Whether it lies in a guard: where an overflowing stack faults.
[[nodiscard]] bool is_stack_guard(std::uint64_t address) noexcept;

} // namespace hv::arch
