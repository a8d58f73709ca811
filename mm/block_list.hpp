// A list of page-aligned memory blocks with room for a fixed number of them: ascending, disjoint, and as few as
// possible, because blocks of one node that touch or overlap become one. It is what memory looks like before there is
// an allocator.
//
// No locks: one pCPU uses it at boot. Floor: mm.
#pragma once

#include "mm/types.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace hv::mm {

class BlockList {
public:
    static constexpr std::size_t capacity = 512;
    enum class Answer : std::uint8_t { done, overlaps_other_node, full };

    constexpr BlockList() = default;

    // Add whole pages. `block` is page aligned and below physical_limit. Unless the answer is done, nothing has
    // changed.
    [[nodiscard]] Answer insert(MemoryBlock block);
    // Take bytes [from, to) away, whoever has them; page aligned. False if the list had no room for the piece that this
    // splits off; then nothing has changed.
    [[nodiscard]] bool cut(std::uint64_t from, std::uint64_t to);
    void clear() { size_ = 0; }

    [[nodiscard]] std::span<MemoryBlock const> blocks() const { return {blocks_.data(), size_}; }
    [[nodiscard]] bool is_consistent() const;

private:
    // Replace blocks [first, last) by `with`. The caller has checked that they fit.
    void replace(std::size_t first, std::size_t last, std::span<MemoryBlock const> with);

    std::array<MemoryBlock, capacity> blocks_{};
    std::size_t size_{0};
};

} // namespace hv::mm
