// The state of the pages of one contiguous piece of a node's memory: 4 bytes a page, kept on the node itself.
//
// Only the first page of a block, free or used, says so; every other page is `none`. So taking or giving back a block
// of any size changes one entry, and a page that is `none` is either within a block, which the entries of the possible
// first pages tell, or not the allocator's at all.
//
// Entries are not initialised at boot, which would mean a write for every page of the machine: they are zeroed 512 at a
// time when the first of them is written, and one bit for each 512 remembers that. Until then they read as `none`.
//
// Locking: the owner's (NodeAllocator). Floor: mm.
#pragma once

#include "mm/misuse.hpp"
#include "mm/types.hpp"

#include <cstddef>
#include <cstdint>

namespace hv::mm {

// Bits 0-1 state, 2-6 order, 16-31 owner plus 1 modulo 2^16. So all zero is: in no block, and never a domain's.
class PageEntry {
public:
    constexpr PageEntry() = default;
    constexpr PageEntry(PageState state, Order order, DomainId owner)
        : bits_{static_cast<std::uint32_t>(state) | (order.value() & order_mask) << order_shift |
                (owner.value() + 1u) << owner_shift}
    {
        static_assert(Order::largest <= order_mask && owner_shift + 16 == 32 && kernel_owner.value() == 0xFFFF);
    }

    [[nodiscard]] constexpr PageState state() const { return static_cast<PageState>(bits_ & state_mask); }
    [[nodiscard]] constexpr Order order() const { return Order{bits_ >> order_shift & order_mask}; }
    [[nodiscard]] constexpr DomainId owner() const
    {
        return DomainId{static_cast<DomainId::Rep>((bits_ >> owner_shift) - 1u)};
    }
    [[nodiscard]] constexpr bool is(PageState state, Order order) const
    {
        return this->state() == state && this->order() == order;
    }

private:
    static constexpr std::uint32_t state_mask = 3;
    static constexpr std::uint32_t order_mask = 31;
    static constexpr unsigned order_shift = 2;
    static constexpr unsigned owner_shift = 16;

    std::uint32_t bits_{0};
};
static_assert(sizeof(PageEntry) == 4);

class PageRegion {
public:
    static constexpr std::uint64_t chunk_pages = 512;

    // Bytes of metadata that a region of `pages` pages needs, a multiple of 8.
    [[nodiscard]] static constexpr std::uint64_t metadata_bytes(std::uint64_t pages)
    {
        return flag_words(pages) * sizeof(std::uint64_t) + round_up(pages * sizeof(PageEntry), sizeof(std::uint64_t));
    }

    // `metadata` is 8-byte aligned, holds metadata_bytes() and need not be initialised.
    PageRegion(PageRange range, std::byte* metadata)
        : range_{range}, is_initialised_{reinterpret_cast<std::uint64_t*>(metadata)},
          entries_{reinterpret_cast<PageEntry*>(metadata + flag_words(range.pages()) * sizeof(std::uint64_t))}
    {
        for (std::uint64_t word = 0; word < flag_words(range.pages()); ++word)
            is_initialised_[word] = 0;
    }

    [[nodiscard]] PageRange range() const { return range_; }
    [[nodiscard]] bool contains(Pfn first, Order order) const
    {
        return first >= range_.first && first.value() + order.pages() <= range_.end.value();
    }

    [[nodiscard]] PageEntry get(Pfn frame) const
    {
        std::uint64_t const at{index(frame)};
        return has_entries(at / chunk_pages) ? entries_[at] : PageEntry{};
    }

    void set(Pfn frame, PageEntry entry)
    {
        std::uint64_t const at{index(frame)};
        if (!has_entries(at / chunk_pages))
            initialise(at / chunk_pages);
        entries_[at] = entry;
    }

    // The next frame after `frame` that may have an entry other than none; at most the end of the region.
    [[nodiscard]] Pfn skip_empty(Pfn frame) const
    {
        std::uint64_t at{index(frame)};
        do
            at = has_entries(at / chunk_pages) ? at + 1 : round_down(at, chunk_pages) + chunk_pages;
        while (at < range_.pages() && at % chunk_pages == 0 && !has_entries(at / chunk_pages));
        return Pfn{range_.first.value() + (at < range_.pages() ? at : range_.pages())};
    }

private:
    static constexpr std::uint64_t flag_bits = 64;
    [[nodiscard]] static constexpr std::uint64_t flag_words(std::uint64_t pages)
    {
        return (pages + chunk_pages * flag_bits - 1) / (chunk_pages * flag_bits);
    }

    [[nodiscard]] std::uint64_t index(Pfn frame) const
    {
        HV_ASSERT(range_.contains(frame));
        return frame.value() - range_.first.value();
    }
    [[nodiscard]] bool has_entries(std::uint64_t chunk) const
    {
        return (is_initialised_[chunk / flag_bits] >> chunk % flag_bits & 1) != 0;
    }
    void initialise(std::uint64_t chunk)
    {
        std::uint64_t const from{chunk * chunk_pages};
        std::uint64_t const to{from + chunk_pages < range_.pages() ? from + chunk_pages : range_.pages()};
        for (std::uint64_t at = from; at < to; ++at)
            entries_[at] = PageEntry{};
        is_initialised_[chunk / flag_bits] |= std::uint64_t{1} << chunk % flag_bits;
    }

    PageRange range_;
    std::uint64_t* is_initialised_;
    PageEntry* entries_;
};

} // namespace hv::mm
