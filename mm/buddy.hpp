// Free blocks of one node: of 1 to 2^18 pages, aligned to their size, split and merged in halves.
//
// They stand on three shelves, each with a list for every order: memory below 4 GiB (low), memory above it (high), and
// blocks of dead domains that nobody may have before they are zeroed (dirty). Requests are served from the high shelf
// first, and from the upper half of a block that has to be split, which keeps low memory for those who need it.
//
// Invariants: a free or dirty block is in the list of its shelf and order and nowhere else; no two free buddies stay
// apart (dirty blocks are not merged: they come back through put() as soon as they are zeroed); a block never reaches
// over a hole, a reserved page or the node's end. No block lies on both sides of 4 GiB, as that is a multiple of the
// largest.
//
// Locking: the owner's (NodeAllocator). Floor: mm.
#pragma once

#include "mm/free_list.hpp"
#include "mm/misuse.hpp"
#include "mm/page_region.hpp"
#include "mm/types.hpp"

#include <array>
#include <optional>
#include <span>

namespace hv::mm {

enum class Shelf : std::uint8_t { high, low, dirty };
inline constexpr unsigned shelf_count = 3;
inline constexpr std::uint64_t low_memory_limit = std::uint64_t{1} << 32;

// A block of a node, with the region that keeps its entries.
struct BlockRef {
    PageRegion* region{nullptr};
    Pfn first{};

    [[nodiscard]] PageEntry entry() const { return region->get(first); }
    void set(PageEntry entry) const { region->set(first, entry); }
};

class Buddy {
public:
    struct Walk {
        std::uint64_t free{0}, dirty{0}, scrubbing{0}, used{0}, cached{0}, offline{0}; // pages
        std::array<std::array<std::uint64_t, Order::count>, shelf_count> blocks{};
        bool is_sound{true};
    };

    // The reference to `regions` is kept. Nothing is free yet.
    Buddy(NodeId node, PageRegions const& regions, DirectMap map, MisuseHandler on_misuse)
        : node_{node}, map_{map}, on_misuse_{on_misuse}, regions_{regions}
    {
    }

    // Pages of one region, given once and in ascending order; no range touches the next unless a region ends between.
    void add(PageRange range);

    // A block that ends at or below `below`, as the highest-placed part of what it is cut from; nothing if there is
    // none. Its entry still says free: the caller sets it. O(orders), except with a limit that really cuts something
    // off, which is searched for list by list. At least `low_floor` pages stay on the low shelf.
    [[nodiscard]] std::optional<BlockRef> take(Order order, std::uint64_t below, std::uint64_t low_floor);
    // Back to the shelf of its address, merged as far as it goes. The owner in its entry stays readable.
    void put(BlockRef block, Order order);

    void put_dirty(BlockRef block, Order order);
    // A page out of the middle of a free or dirty block, whose rest stays on its shelf. The caller sets its entry.
    [[nodiscard]] BlockRef cut_out(BlockRef block, Pfn page);
    // The largest block that begins at `at` and ends at or below `end`, by alignment and length.
    [[nodiscard]] static Order largest_at(Pfn at, Pfn end);
    // The first page of the block that holds a page, with a state other than none; nothing if no block does.
    [[nodiscard]] static std::optional<Pfn> block_of(PageRegion const& region, Pfn page);
    // A dirty block to be zeroed: the smallest of at least `at_least`, or else the largest there is, cut to `at_most`;
    // nothing if none is dirty. Its entry says scrubbing and its order.
    [[nodiscard]] std::optional<BlockRef> take_dirty(Order at_least, Order at_most);

    [[nodiscard]] std::uint64_t free_pages() const { return pages_[0] + pages_[1]; } // clean ones
    [[nodiscard]] std::uint64_t low_pages() const { return pages_[1]; }
    [[nodiscard]] std::uint64_t dirty_pages() const { return pages_[2]; }

    [[nodiscard]] PageRegion* region_of(Pfn frame) const { return find_region(regions_.all(), frame); }

    // All blocks of the node, by their entries; and whether the lists agree with that.
    [[nodiscard]] Walk walk() const;
    [[nodiscard]] bool lists_agree_with(Walk const& walk) const;

private:
    [[nodiscard]] static Shelf shelf_of(Pfn block)
    {
        return block.value() < low_memory_limit >> page_shift ? Shelf::low : Shelf::high;
    }
    [[nodiscard]] FreeList& list(Shelf shelf, Order order)
    {
        return lists_[static_cast<unsigned>(shelf)][order.value()];
    }

    [[nodiscard]] BlockRef split(BlockRef block, Order from, Order to, std::uint64_t below);
    [[nodiscard]] std::optional<BlockRef> find_below(Shelf shelf, Order order, std::uint64_t below);
    [[nodiscard]] bool has_free_buddy(PageRegion const& region, Pfn first, Order order) const;
    void push(Shelf shelf, BlockRef block, Order order, PageEntry entry);
    void unlink(Shelf shelf, BlockRef block, Order order);
    void walk_block(PageRegion const& region, Pfn first, PageEntry entry, Walk& walk) const;
    [[nodiscard]] bool list_is_sound(Shelf shelf, Order order, std::uint64_t expected) const;
    [[noreturn]] void die_of_corruption(BlockRef block, Order order) const;

    NodeId const node_;
    DirectMap const map_;
    MisuseHandler const on_misuse_;
    PageRegions const& regions_;
    std::array<std::array<FreeList, Order::count>, shelf_count> lists_{};
    std::array<std::uint32_t, shelf_count> non_empty_{}; // bit o: the list of order o has a block
    std::array<std::uint64_t, shelf_count> pages_{};
};

} // namespace hv::mm
