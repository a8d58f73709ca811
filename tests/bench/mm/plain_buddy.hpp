// What any kernel has: one lock, a free list for each order, 16 bytes a page. The yardstick of bench-mm, and nothing
// else: it knows of no owners, nodes or caches, keeps no books beyond a counter, and finds no misuse but the grossest.
//
// Page numbers from 0; the memory itself is never touched. Locking: one ticket lock. Floor: tests.
#pragma once

#include "arch/generic/ticket_lock.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace hv::bench {

class PlainBuddy {
public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    explicit PlainBuddy(std::uint32_t pages) : pages_(pages)
    {
        heads_.fill(none);
        for (std::uint32_t at = 0; at + (1u << largest) <= pages; at += 1u << largest)
            push(at, largest);
    }

    // `none` if there is nothing left.
    [[nodiscard]] std::uint32_t allocate(unsigned order)
    {
        Guard guard{lock_, irqs_off};
        unsigned found{order};
        while (found <= largest && heads_[found] == none)
            ++found;
        if (found > largest)
            return none;
        std::uint32_t block{heads_[found]};
        unlink(block, found);
        while (found > order) {
            --found;
            push(block, found);
            block += 1u << found;
        }
        pages_[block].order = static_cast<std::uint8_t>(order);
        free_ -= 1u << order;
        return block;
    }

    void free(std::uint32_t block, unsigned order)
    {
        Guard guard{lock_, irqs_off};
        free_ += 1u << order;
        for (; order < largest; ++order) {
            std::uint32_t const buddy{block ^ 1u << order};
            if (buddy >= pages_.size() || !pages_[buddy].is_free || pages_[buddy].order != order)
                break;
            unlink(buddy, order);
            block &= ~(1u << order);
        }
        push(block, order);
    }

private:
    static constexpr unsigned largest = 18;

    struct Page {
        std::uint32_t next{none};
        std::uint32_t prev{none};
        std::uint8_t order{0};
        bool is_free{false};
    };

    void push(std::uint32_t block, unsigned order)
    {
        pages_[block] = {heads_[order], none, static_cast<std::uint8_t>(order), true};
        if (heads_[order] != none)
            pages_[heads_[order]].prev = block;
        heads_[order] = block;
    }
    void unlink(std::uint32_t block, unsigned order)
    {
        Page& page = pages_[block];
        page.is_free = false;
        if (page.next != none)
            pages_[page.next].prev = page.prev;
        if (page.prev != none)
            pages_[page.prev].next = page.next;
        else
            heads_[order] = page.next;
    }

    TicketLock lock_{LockKey{.rank = 40, .ordinal = 0}};
    std::vector<Page> pages_;
    std::array<std::uint32_t, largest + 1> heads_{};
    std::uint64_t free_{0};
};

} // namespace hv::bench
