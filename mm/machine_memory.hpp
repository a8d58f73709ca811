// What the builder of a machine tells the allocators about its memory, and what can be wrong with that.
//
// Plain values; the spans need to live only until EarlyAllocator::init() has returned. Floor: mm.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/topology.hpp"
#include "mm/misuse.hpp"
#include "mm/types.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::mm {

// Zeroes `bytes` (whole pages) at `memory`.
using Zeroer = void (*)(void* memory, std::uint64_t bytes);

struct MachineMemory {
    // Usable RAM, in any order. Bytes at either end that do not make a whole page are left alone. Blocks of one node
    // may overlap, blocks of different nodes must not.
    std::span<MemoryBlock const> blocks{};
    // Parts of it that are taken: first megabyte, kernel image, modules. In any order, may overlap or lie outside of
    // RAM.
    std::span<PhysRange const> reserved{};
    unsigned nodes{1};                     // 1 to 64; some of them may have no block
    std::span<Distance const> distances{}; // row-major [from][to], nodes x nodes; empty: 10 to itself, 20 elsewhere
    DirectMap direct_map{};
    MisuseHandler on_misuse{nullptr};          // required
    unsigned max_domains{default_max_domains}; // accounts are for domain numbers below this
    // Pages below 4 GiB that each node keeps for requests with an address limit and for those who want this very node,
    // as long as another node has others.
    std::uint64_t low_reserve{0};
    Zeroer zero{nullptr}; // how a dead domain's pages are zeroed; null: memset
    bool poison{true};    // debug builds: fill pages that are freed, to see writes to them; costs a write a word

    static constexpr unsigned default_max_domains = 4096;
};

enum class BuildFault : std::uint8_t {
    node_count,     // value: how many
    distance_count, // value: how many
    no_handler,
    block_node,        // value: the block's node
    block_range,       // value: the block's base
    block_overlap,     // value: the block's base
    too_many_blocks,   // value: the capacity
    too_many_reserved, // value: the capacity
    no_memory,
};

struct BuildError {
    BuildFault fault{};
    std::size_t index{0}; // which block or reserved range, in the order they were given
    std::uint64_t value{0};
};

// One line without an end of line: what is wrong, where, and what to do.
inline void describe(Sink& sink, BuildError const& error)
{
    switch (error.fault) {
    case BuildFault::node_count:
        return print(sink, "memory: {} nodes: give 1 to {}", error.value, NodeMask::capacity);
    case BuildFault::distance_count:
        return print(sink, "memory: {} distances: give nodes x nodes of them, or none", error.value);
    case BuildFault::no_handler:
        return print(sink, "memory: on_misuse is null: give a handler");
    case BuildFault::block_node:
        return print(sink, "memory block {}: no node {}: give a node below the count", error.index, error.value);
    case BuildFault::block_range:
        return print(sink, "memory block {} at {:x}: ends above 2^52: cut it", error.index, error.value);
    case BuildFault::block_overlap:
        return print(sink, "memory block {} at {:x}: another node has part of it: cut one of them", error.index,
                     error.value);
    case BuildFault::too_many_blocks:
        return print(sink, "memory block {}: more than {} blocks: join some", error.index, error.value);
    case BuildFault::too_many_reserved:
        return print(sink, "reserved range {}: leaves more than {} pieces: join some", error.index, error.value);
    case BuildFault::no_memory:
        return print(sink, "memory: not even room for the allocator itself: give the machine more");
    }
}

} // namespace hv::mm
