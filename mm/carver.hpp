// Cuts one stretch of memory into the tables of an allocator, one after the other. Floor: mm.
#pragma once

#include "mm/node_allocator.hpp"
#include "mm/types.hpp"

#include <cstddef>
#include <cstdint>

namespace hv::mm {

class Carver {
public:
    static constexpr std::uint64_t align = 64;

    // Aligned to `align`.
    explicit Carver(std::byte* memory) : at_{memory} {}

    template <typename T>
    [[nodiscard]] T* take(std::uint64_t count)
    {
        static_assert(alignof(T) <= align);
        std::byte* const memory{at_};
        at_ += bytes<T>(count);
        return reinterpret_cast<T*>(memory);
    }
    template <typename T>
    [[nodiscard]] static constexpr std::uint64_t bytes(std::uint64_t count)
    {
        return round_up(count * sizeof(T), align);
    }

private:
    std::byte* at_;
};

// Where the allocator of a node and its regions are to be, and where the memory behind them begins.
struct NodeTables {
    NodeAllocator* place;
    PageRegion* regions;
    std::size_t capacity;
    std::byte* rest;

    NodeTables(std::byte* memory, std::size_t room) : capacity{room}
    {
        Carver carver{memory};
        place = carver.take<NodeAllocator>(1);
        regions = carver.take<PageRegion>(room);
        rest = carver.take<std::byte>(0);
    }
    [[nodiscard]] static constexpr std::uint64_t bytes(std::size_t room)
    {
        return Carver::bytes<NodeAllocator>(1) + Carver::bytes<PageRegion>(room);
    }
};

[[nodiscard]] inline PageRange pages_of(MemoryBlock const& block)
{
    return {.first = pfn_of(block.base), .end = pfn_of(PhysAddr{block.end()})};
}

} // namespace hv::mm
