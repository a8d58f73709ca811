// The free blocks of one order, last in first out. The links live in the first bytes of the free blocks themselves, so
// a list costs no memory, and a seal over them tells when somebody wrote to a page after giving it back.
//
// Locking: the owner's (NodeAllocator). Floor: mm.
#pragma once

#include "mm/types.hpp"

#include <cstdint>
#include <optional>

namespace hv::mm {

class FreeList {
public:
    constexpr FreeList() = default;

    [[nodiscard]] bool empty() const { return head_ == nothing; }
    // The block that was added last. The list must not be empty.
    [[nodiscard]] Pfn front() const
    {
        HV_ASSERT(!empty());
        return head_;
    }

    void push(DirectMap map, Pfn block)
    {
        HV_ASSERT(block != nothing);
        if (!empty()) {
            Links& old = links(map, head_);
            old.prev = block;
            old.seal = seal(old, head_);
        }
        Links& mine = links(map, block);
        mine = {.next = head_, .prev = nothing};
        mine.seal = seal(mine, block);
        head_ = block;
    }

    // Take out a block of this list. False, and nothing has changed, if its links or its neighbours' were overwritten.
    [[nodiscard]] bool remove(DirectMap map, Pfn block)
    {
        if (!is_sealed(map, block))
            return false;
        Links const mine{links(map, block)};
        bool const has_next = mine.next != nothing;
        bool const has_prev = mine.prev != nothing;
        if ((has_next && !is_sealed(map, mine.next)) || (has_prev && !is_sealed(map, mine.prev)))
            return false;
        if (!has_prev)
            HV_ASSERT(head_ == block);
        if (has_next) {
            Links& next = links(map, mine.next);
            next.prev = mine.prev;
            next.seal = seal(next, mine.next);
        }
        if (has_prev) {
            Links& prev = links(map, mine.prev);
            prev.next = mine.next;
            prev.seal = seal(prev, mine.prev);
        } else {
            head_ = mine.next;
        }
        links(map, block).seal = 0; // So that a stale block cannot pass for a free one.
        return true;
    }

    // For checks that walk the list: whether a block's links are as we left them, and the block after it, if any.
    [[nodiscard]] static bool is_intact(DirectMap map, Pfn block) { return is_sealed(map, block); }
    [[nodiscard]] static std::optional<Pfn> next(DirectMap map, Pfn block)
    {
        Pfn const following{links(map, block).next};
        return following == nothing ? std::nullopt : std::optional<Pfn>{following};
    }

private:
    // Frame 0 is never handed out, so its number is free to mean this.
    static constexpr Pfn nothing{};

    struct Links {
        Pfn next;
        Pfn prev;
        std::uint64_t seal{0};
    };

    [[nodiscard]] static Links& links(DirectMap map, Pfn block) { return *map.at<Links>(address_of(block)); }
    // A write to any one of the three words breaks it, and so does a block's seal copied elsewhere; the constant is
    // random.
    [[nodiscard]] static constexpr std::uint64_t seal(Links const& links, Pfn block)
    {
        return (links.next.value() + (links.prev.value() << 7)) ^ (block.value() << 20) ^ 0x9ae16a3b2f90404f;
    }
    [[nodiscard]] static bool is_sealed(DirectMap map, Pfn block)
    {
        Links const& here = links(map, block);
        return here.seal == seal(here, block);
    }

    Pfn head_{nothing};
};

} // namespace hv::mm
