// Zeroed memory of any size on a node, for Env::allocate: blocks of 16 to 2048 bytes are cut from pages of their node
// and kept in free lists by node and size; what is larger is whole pages. Pages once cut are never put together again.
//
// Sizes are rounded up to a power of two, so a block is aligned to its size (to 4 KiB at most). Locking: one lock a
// node, rank 36, below all of mm's, which is called with it held. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstddef>
#include <cstdint>

namespace hv::arch {

// Below the page caches' as well: a node that is exhausted calls back what they have, and waits for their locks.
inline constexpr std::uint16_t small_memory_lock_rank = 36;

// bytes > 0; align a power of two, at most 4096. nullptr: nothing left.
[[nodiscard]] void* allocate_memory(NodeId node, std::size_t bytes, std::size_t align) noexcept;
// `bytes` and `align` as they were asked for.
void release_memory(void* memory, std::size_t bytes, std::size_t align) noexcept;

} // namespace hv::arch
