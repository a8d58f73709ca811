// What the host's machines give to Env::allocate: zeroed memory of the host, counted exactly by the node it was asked
// for on. What was not given back when the machine ends is freed with it.
//
// Locking: a mutex of the host's; allocation is not a matter of the scheduler's orders. Floor: arch/host.
#pragma once

#include "arch/generic/types.hpp"

#include <array>
#include <cstddef>
#include <mutex>
#include <unordered_map>

namespace hv::arch {

class HostMemory {
public:
    HostMemory() = default;
    HostMemory(HostMemory const&) = delete;
    HostMemory& operator=(HostMemory const&) = delete;
    ~HostMemory();

    // nullptr: the host has none left.
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align);
    // Bytes as they were asked for.
    void release(void* memory, std::size_t bytes);
    [[nodiscard]] std::size_t in_use(NodeId node) const;

private:
    struct Block {
        NodeId node;
        std::size_t bytes;
    };

    mutable std::mutex lock_;
    std::unordered_map<void*, Block> blocks_;
    std::array<std::size_t, 64> in_use_{}; // by node
};

} // namespace hv::arch
