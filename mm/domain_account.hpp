// How many pages a domain has, and on which nodes. PageAllocator charges it; anybody may read it at any time.
//
// Nothing is lost or counted twice: total() counts a page from the moment it is granted, which is just before a node is
// searched for it, and never exceeds the limit in force then; pages_on() counts it from the moment it is found. With no
// allocation under way the sum of pages_on() is total().
//
// claim_on() is what the domain was promised on a node and has not taken yet; it changes under that node's lock.
//
// Locking: none, atomics only. They are relaxed, since a counter publishes nothing but itself, except for the decrement
// of the total: see uncharge(). Floor: mm.
#pragma once

#include "arch/generic/mask.hpp"
#include "arch/generic/types.hpp"
#include "mm/page_region.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>

namespace hv::mm {

// Goes round a set of nodes, one step a call.
class InterleaveCursor {
public:
    constexpr InterleaveCursor() = default;

    // The next node of `set`, cyclically, after the one this gave last; at first the lowest. The set must not be empty.
    // Each call is one step, also when several pCPUs call at once.
    [[nodiscard]] NodeId advance(NodeMask set)
    {
        // relaxed: the cursor orders nothing; the exchange alone makes each step count once.
        NodeId::Rep last{last_.load(std::memory_order_relaxed)};
        NodeId next{set.cycle(NodeId{last})};
        while (!last_.compare_exchange_weak(last, next.value(), std::memory_order_relaxed))
            next = set.cycle(NodeId{last});
        return next;
    }

private:
    std::atomic<NodeId::Rep> last_{NodeMask::capacity - 1};
};

class DomainAccount {
public:
    static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

    constexpr explicit DomainAccount(DomainId domain, std::uint64_t max_pages = no_limit)
        : domain_{domain}, owner_bits_{PageEntry::owner_bits(domain)}, max_pages_{max_pages}
    {
    }
    DomainAccount(DomainAccount const&) = delete;
    DomainAccount& operator=(DomainAccount const&) = delete;

    [[nodiscard]] DomainId domain() const { return domain_; }
    [[nodiscard]] std::uint64_t max_pages() const { return max_pages_.load(std::memory_order_relaxed); }
    // May be less than the domain has: then it gets nothing more until it has given enough back.
    void set_max_pages(std::uint64_t pages)
    {
        max_pages_.store(pages, std::memory_order_relaxed);
        update_fast_limit();
    }

    // acquire: pairs with uncharge(); who sees no pages left may destroy the account.
    [[nodiscard]] std::uint64_t total() const { return total_.load(std::memory_order_acquire); }
    [[nodiscard]] std::uint64_t pages_on(NodeId node) const
    {
        return on_node_[node.value()].load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t claim_on(NodeId node) const
    {
        return claims_[node.value()].load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t claimed() const { return claimed_.load(std::memory_order_relaxed); }

    // The domain is being destroyed: from now on what it gives back is zeroed before anybody else gets it. Before its
    // first page is freed, and with no other call for it under way.
    void set_dying() { set_trait(dying); }
    [[nodiscard]] bool is_dying() const { return (traits_.load(std::memory_order_relaxed) & dying) != 0; }

private:
    friend class AccountTable;
    friend class NodeAllocator;
    friend class PageAllocator;
    friend class PageCache;

    // What keeps an account from being served by a pCPU's cache.
    enum Trait : std::uint8_t { detached = 1, dying = 2, claiming = 4 };
    void set_trait(Trait trait)
    {
        traits_.fetch_or(trait, std::memory_order_relaxed);
        update_fast_limit();
    }
    void clear_trait(Trait trait)
    {
        traits_.fetch_and(static_cast<std::uint8_t>(~trait), std::memory_order_relaxed);
        update_fast_limit();
    }
    void update_fast_limit() { fast_limit_.store(is_plain() ? max_pages() : 0, std::memory_order_relaxed); }
    [[nodiscard]] bool is_plain() const { return traits_.load(std::memory_order_relaxed) == 0; }

    // Under the node's lock. An account with claims goes the long way, which uses them up.
    void claim(NodeId node, std::uint64_t pages)
    {
        claims_[node.value()].fetch_add(pages, std::memory_order_relaxed);
        claimed_.fetch_add(pages, std::memory_order_relaxed);
        set_trait(claiming);
    }
    void unclaim(NodeId node, std::uint64_t pages)
    {
        claims_[node.value()].fetch_sub(pages, std::memory_order_relaxed);
        if (claimed_.fetch_sub(pages, std::memory_order_relaxed) == pages)
            clear_trait(claiming);
    }

    // Grant `pages` more, if the limit allows it. Then either charge() or cancel() follows.
    [[nodiscard]] bool grant(std::uint64_t pages)
    {
        std::uint64_t before{total_.load(std::memory_order_relaxed)};
        do {
            std::uint64_t const limit{max_pages()};
            if (before > limit || pages > limit - before)
                return false;
        } while (!total_.compare_exchange_weak(before, before + pages, std::memory_order_relaxed));
        return true;
    }
    // The same, but an account that is not plain gets nothing, nor may somebody who meets another pCPU here: grant()
    // will tell.
    [[nodiscard]] bool grant_fast(std::uint64_t pages)
    {
        std::uint64_t before{total_.load(std::memory_order_relaxed)};
        std::uint64_t const limit{fast_limit_.load(std::memory_order_relaxed)};
        return before <= limit && pages <= limit - before &&
               total_.compare_exchange_strong(before, before + pages, std::memory_order_relaxed);
    }
    void cancel(std::uint64_t pages) { total_.fetch_sub(pages, std::memory_order_release); }
    void charge(NodeId node, std::uint64_t pages)
    {
        on_node_[node.value()].fetch_add(pages, std::memory_order_relaxed);
    }
    void uncharge(NodeId node, std::uint64_t pages)
    {
        on_node_[node.value()].fetch_sub(pages, std::memory_order_relaxed);
        // release: our last access to the account. Who acquires the zero may free it.
        total_.fetch_sub(pages, std::memory_order_release);
    }

    DomainId const domain_;
    PageEntry::Bits const owner_bits_; // as a page's entry has them
    std::atomic<std::uint64_t> max_pages_;
    std::atomic<std::uint64_t> fast_limit_{0}; // max_pages_, or 0 if the account is not plain
    std::atomic<std::uint64_t> total_{0};
    std::atomic<std::uint64_t> claimed_{0}; // the sum of claims_
    std::atomic<std::uint8_t> traits_{detached};
    std::array<std::atomic<std::uint64_t>, NodeMask::capacity> on_node_{};
    std::array<std::atomic<std::uint64_t>, NodeMask::capacity> claims_{};
    InterleaveCursor interleave_;
};

} // namespace hv::mm
