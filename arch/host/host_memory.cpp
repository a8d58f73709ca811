#include "arch/host/host_memory.hpp"

#include "arch/generic/assert.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace hv::arch {

HostMemory::~HostMemory()
{
    for (auto const& [memory, block] : blocks_)
        std::free(memory);
}

void* HostMemory::allocate(NodeId node, std::size_t bytes, std::size_t align)
{
    std::size_t const unit{std::max(align, sizeof(void*))};
    std::size_t const rounded{(bytes + unit - 1) / unit * unit};
    void* const memory{std::aligned_alloc(unit, rounded)};
    if (memory == nullptr)
        return nullptr;
    std::memset(memory, 0, rounded);
    std::lock_guard const guard{lock_};
    blocks_.emplace(memory, Block{node, bytes});
    in_use_[node.value()] += bytes;
    return memory;
}

void HostMemory::release(void* memory, std::size_t bytes)
{
    {
        std::lock_guard const guard{lock_};
        auto const found = blocks_.find(memory);
        HV_ASSERT(found != blocks_.end() && found->second.bytes == bytes);
        in_use_[found->second.node.value()] -= bytes;
        blocks_.erase(found);
    }
    std::free(memory);
}

std::size_t HostMemory::in_use(NodeId node) const
{
    std::lock_guard const guard{lock_};
    return in_use_[node.value()];
}

} // namespace hv::arch
