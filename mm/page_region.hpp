// The state of the pages of one contiguous piece of a node's memory: 4 bytes a page, kept on the node itself.
//
// Only the first page of a block says what the block is; every other page is `none`. So taking or giving back a block
// of any size changes one entry, and a page that is `none` is either within a block, which the entries of the possible
// first pages tell, or not the allocator's at all.
//
// Entries are not initialised at boot, which would mean a write for every page of the machine: they are zeroed a chunk
// (2 MiB of memory) at a time when the first of them is written, and one byte a chunk remembers that. Until then they
// read as `none`. Debug builds also keep, for each page, who gave it back last.
//
// Locking: entries are atomic words. Whoever owns a block may change its entry: the node's lock owns what is free,
// dirty or none, a pCPU's cache what is cached, and a used block passes on by a compare-and-exchange, so that of two
// who free it at once only one succeeds. Chunks are initialised under the node's lock. Floor: mm.
#pragma once

#include "mm/misuse.hpp"
#include "mm/types.hpp"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

namespace hv::mm {

#ifdef HV_DEBUG
inline constexpr bool is_debug = true;
#else
inline constexpr bool is_debug = false;
#endif

// Bits 0-2 state, 3-7 order, 8 poisoned, 9 defective, 16-31 owner plus 1 modulo 2^16. So all zero is: in no block, and
// never a domain's.
class PageEntry {
public:
    using Bits = std::uint32_t;

    constexpr PageEntry() = default;
    constexpr PageEntry(PageState state, Order order, DomainId owner)
        : bits_{head_bits(state, order) | owner_bits(owner)}
    {
        static_assert(Order::largest <= order_mask && owner_shift + 16 == 32 && kernel_owner.value() == 0xFFFF);
    }
    [[nodiscard]] static constexpr PageEntry from_bits(Bits bits)
    {
        PageEntry entry;
        entry.bits_ = bits;
        return entry;
    }
    // The two halves of an entry, for those who put one together in a hurry.
    [[nodiscard]] static constexpr Bits head_bits(PageState state, Order order)
    {
        return static_cast<Bits>(state) | (order.value() & order_mask) << order_shift;
    }
    [[nodiscard]] static constexpr Bits owner_bits(DomainId owner) { return (owner.value() + 1u) << owner_shift; }

    [[nodiscard]] constexpr Bits bits() const { return bits_; }
    [[nodiscard]] constexpr PageState state() const { return static_cast<PageState>(bits_ & state_mask); }
    [[nodiscard]] constexpr Order order() const { return Order{bits_ >> order_shift & order_mask}; }
    [[nodiscard]] constexpr DomainId owner() const
    {
        return DomainId{static_cast<DomainId::Rep>((bits_ >> owner_shift) - 1u)};
    }
    // Index into the table of accounts: 0 is the kernel, d + 1 domain d.
    [[nodiscard]] constexpr unsigned owner_slot() const { return bits_ >> owner_shift; }
    [[nodiscard]] constexpr bool is(PageState state, Order order) const
    {
        return (bits_ & head_mask) == head_bits(state, order);
    }
    // The same page as part of no block: its last owner stays readable.
    [[nodiscard]] constexpr PageEntry without_state() const { return from_bits(bits_ & ~head_mask); }
    [[nodiscard]] constexpr PageEntry with_head(PageState state, Order order) const
    {
        return from_bits((bits_ & ~head_mask) | head_bits(state, order));
    }
    // The state alone changed, from one that it is known to have: in one step, and one instruction.
    [[nodiscard]] constexpr PageEntry with_other_state(PageState from, PageState to) const
    {
        return from_bits(bits_ + static_cast<Bits>(to) - static_cast<Bits>(from));
    }
    // The page is out of use, or will be when the block that it lies in is given back.
    [[nodiscard]] constexpr bool is_defective() const { return (bits_ & defective_bit) != 0; }
    [[nodiscard]] constexpr PageEntry with_defect(bool on) const
    {
        return from_bits(on ? bits_ | defective_bit : bits_ & ~defective_bit);
    }
    [[nodiscard]] constexpr PageEntry with_owner_of(PageEntry other) const
    {
        return from_bits((bits_ & ~owner_mask) | (other.bits_ & owner_mask));
    }
    // Debug builds: the page was filled with the poison when it was given back.
    [[nodiscard]] constexpr bool is_poisoned() const { return (bits_ & poison_bit) != 0; }
    [[nodiscard]] constexpr PageEntry with_poison(bool on) const
    {
        return from_bits(on ? bits_ | poison_bit : bits_ & ~poison_bit);
    }

private:
    static constexpr Bits state_mask = 7;
    static constexpr Bits order_mask = 31;
    static constexpr Bits head_mask = 0xFF;
    static constexpr Bits poison_bit = 0x100;
    static constexpr Bits defective_bit = 0x200;
    static constexpr Bits owner_mask = 0xFFFF0000;
    static constexpr unsigned order_shift = 3;
    static constexpr unsigned owner_shift = 16;

    Bits bits_{0};
};
static_assert(sizeof(PageEntry) == 4);

class PageRegion {
public:
    using Slot = std::atomic<PageEntry::Bits>;
    static constexpr unsigned chunk_shift = 9;
    static constexpr std::uint64_t chunk_pages = std::uint64_t{1} << chunk_shift;

    // Bytes of metadata that a region of `pages` pages needs, a multiple of 8.
    [[nodiscard]] static constexpr std::uint64_t metadata_bytes(std::uint64_t pages)
    {
        return flag_bytes(pages) + slot_bytes(pages) + (is_debug ? pages * sizeof(Caller) : 0);
    }

    // `metadata` is 8-byte aligned, holds metadata_bytes() and need not be initialised.
    PageRegion(PageRange range, std::byte* metadata)
        : base_{address_of(range.first).value()}, pages_{range.pages()},
          is_initialised_{reinterpret_cast<Flag*>(metadata)},
          slots_{reinterpret_cast<Slot*>(metadata + flag_bytes(range.pages()))},
          callers_{reinterpret_cast<Caller*>(metadata + flag_bytes(range.pages()) + slot_bytes(range.pages()))}
    {
        static_assert(sizeof(Flag) == 1 && sizeof(Slot) == sizeof(PageEntry));
        auto* const words = reinterpret_cast<std::uint64_t*>(metadata);
        for (std::uint64_t word = 0; word < flag_bytes(range.pages()) / sizeof(std::uint64_t); ++word)
            words[word] = 0;
    }

    [[nodiscard]] PageRange range() const { return {first(), Pfn{first().value() + pages_}}; }
    [[nodiscard]] bool contains(Pfn first, Order order) const
    {
        return first >= range().first && first.value() + order.pages() <= range().end.value();
    }

    // relaxed: an entry publishes nothing but itself; the content of pages is ordered by the locks and by whoever
    // passes them on.
    [[nodiscard]] PageEntry get(Pfn frame) const
    {
        std::uint64_t const at{index(frame)};
        return has_entries(at >> chunk_shift) ? load(slots_[at]) : PageEntry{};
    }
    void set(Pfn frame, PageEntry entry) { slot(frame).store(entry.bits(), std::memory_order_relaxed); }
    // In one step each, since one does not keep the other from happening.
    void clear_poison(Pfn frame)
    {
        slot(frame).fetch_and(~PageEntry{}.with_poison(true).bits(), std::memory_order_relaxed);
    }
    void set_defect(Pfn frame, bool on)
    {
        PageEntry::Bits const bit{PageEntry{}.with_defect(true).bits()};
        if (on)
            slot(frame).fetch_or(bit, std::memory_order_relaxed);
        else
            slot(frame).fetch_and(~bit, std::memory_order_relaxed);
    }
    // Put `entry` in if `expected` is still there.
    [[nodiscard]] bool replace(Pfn frame, PageEntry expected, PageEntry entry)
    {
        return replace(slot(frame), expected, entry);
    }
    [[nodiscard]] static bool replace(Slot& slot, PageEntry expected, PageEntry entry)
    {
        PageEntry::Bits bits{expected.bits()};
        return slot.compare_exchange_strong(bits, entry.bits(), std::memory_order_relaxed);
    }
    [[nodiscard]] static PageEntry load(Slot const& slot)
    {
        return PageEntry::from_bits(slot.load(std::memory_order_relaxed));
    }

    // The place of a page's entry, initialised. Under the node's lock, unless it is known to be initialised.
    [[nodiscard]] Slot& slot(Pfn frame)
    {
        std::uint64_t const at{index(frame)};
        if (!has_entries(at >> chunk_shift))
            initialise(at >> chunk_shift);
        return slots_[at];
    }
    // The places of the entries of a block, one after the other.
    [[nodiscard]] Slot* slots(Pfn block, Order order)
    {
        for (std::uint64_t chunk = index(block) >> chunk_shift;
             chunk <= (index(block) + order.pages() - 1) >> chunk_shift; ++chunk)
            if (!has_entries(chunk))
                initialise(chunk);
        return &slots_[index(block)];
    }
    // The number of a page of ours whose entry is initialised; false if this is no such address.
    [[nodiscard]] bool find(PhysAddr address, std::uint64_t& at) const
    {
        // Rotated, the bits below a page's size make the number too large as well.
        at = std::rotr(address.value() - base_, int{page_shift});
        return at < pages_ && has_entries(at >> chunk_shift);
    }
    [[nodiscard]] Slot& slot_at(std::uint64_t at) const { return slots_[at]; }

    // Debug builds: who gave the page back last.
    void set_caller(Pfn frame, std::uintptr_t caller)
    {
        if constexpr (is_debug)
            callers_[index(frame)].store(caller, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uintptr_t caller(Pfn frame) const
    {
        if (!is_debug || !has_entries(index(frame) >> chunk_shift))
            return 0;
        return callers_[index(frame)].load(std::memory_order_relaxed);
    }

    // The next frame after `frame` that may have an entry other than none; at most the end of the region.
    [[nodiscard]] Pfn skip_empty(Pfn frame) const
    {
        std::uint64_t at{index(frame)};
        do
            at = has_entries(at >> chunk_shift) ? at + 1 : round_down(at, chunk_pages) + chunk_pages;
        while (at < pages_ && at % chunk_pages == 0 && !has_entries(at >> chunk_shift));
        return Pfn{first().value() + (at < pages_ ? at : pages_)};
    }

private:
    using Flag = std::atomic<std::uint8_t>;
    using Caller = std::atomic<std::uintptr_t>;

    [[nodiscard]] static constexpr std::uint64_t flag_bytes(std::uint64_t pages)
    {
        return round_up((pages + chunk_pages - 1) >> chunk_shift, sizeof(std::uint64_t));
    }
    [[nodiscard]] static constexpr std::uint64_t slot_bytes(std::uint64_t pages)
    {
        return round_up(pages * sizeof(Slot), sizeof(std::uint64_t));
    }

    [[nodiscard]] Pfn first() const { return pfn_of(PhysAddr{base_}); }
    [[nodiscard]] std::uint64_t index(Pfn frame) const
    {
        HV_ASSERT(range().contains(frame));
        return frame.value() - first().value();
    }
    // acquire: pairs with initialise(); who frees a page of a chunk did not necessarily hold the lock since.
    [[nodiscard]] bool has_entries(std::uint64_t chunk) const
    {
        return is_initialised_[chunk].load(std::memory_order_acquire) != 0;
    }
    void initialise(std::uint64_t chunk)
    {
        std::uint64_t const from{chunk << chunk_shift};
        std::uint64_t const count{from + chunk_pages < pages_ ? chunk_pages : pages_ - from};
        // Nobody reads them before the flag says so; word by word would cost as much as a hundred allocations.
        std::memset(static_cast<void*>(slots_ + from), 0, count * sizeof(Slot));
        if constexpr (is_debug)
            std::memset(static_cast<void*>(callers_ + from), 0, count * sizeof(Caller));
        is_initialised_[chunk].store(1, std::memory_order_release);
    }

    std::uint64_t base_; // the first byte
    std::uint64_t pages_;
    Flag* is_initialised_;
    Slot* slots_;
    Caller* callers_; // debug builds only
};

// The pieces of a node's memory, ascending and disjoint. There may come more, above all others, as long as there is
// room in the array; none goes. Who looks may miss one that comes this moment, in which nobody has a page yet.
class PageRegions {
public:
    // `first` has room for `capacity` of them, of which `count` are there.
    PageRegions(PageRegion* first, std::size_t count, std::size_t capacity)
        : first_{first}, count_{count}, capacity_{capacity}
    {
    }

    // acquire: pairs with add().
    [[nodiscard]] std::span<PageRegion> all() const { return {first_, count_.load(std::memory_order_acquire)}; }
    [[nodiscard]] bool is_full() const { return count_.load(std::memory_order_relaxed) == capacity_; }
    // One caller at a time; not when full. `range` lies above all others.
    void add(PageRange range, std::byte* metadata)
    {
        std::size_t const count{count_.load(std::memory_order_relaxed)};
        HV_ASSERT(count < capacity_ && (count == 0 || first_[count - 1].range().end <= range.first));
        ::new (static_cast<void*>(first_ + count)) PageRegion{range, metadata};
        count_.store(count + 1, std::memory_order_release); // the region is whole
    }

private:
    PageRegion* const first_;
    std::atomic<std::size_t> count_;
    std::size_t const capacity_;
};

// The region that a page frame belongs to; null if none of them. Few: RAM of one node is rarely in more than three
// pieces.
[[nodiscard]] inline PageRegion* find_region(std::span<PageRegion> regions, Pfn frame)
{
    for (PageRegion& region : regions)
        if (region.range().contains(frame))
            return &region;
    return nullptr;
}

} // namespace hv::mm
