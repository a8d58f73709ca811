// The memory of a whole domain: promised before anything is taken, then taken in blocks as large as there are, and
// given back as a whole when the domain ends, or when something failed on the way.
//
// Blocks come from the home nodes in turn, 2 MiB before single pages; then, unless the domain is strict, from wherever
// there is room. What is left on a home in splinters is used before anything elsewhere is. Once the promise is given,
// no other builder can take the memory away, so that of two who want the same pages one fails at once and takes
// nothing.
//
// Locking: none of its own; the allocator's. Interrupts off; one call at a time for a domain. Floor: mm.
#pragma once

#include "arch/generic/result.hpp"
#include "mm/page_allocator.hpp"

namespace hv::mm {

struct DomainMemory {
    NodeMask home{}; // not empty
    std::uint64_t pages{0};
    bool is_strict{false}; // nothing from other nodes
    bool spreads{false};   // over the other nodes in turn, instead of those nearest to the lowest home first
};

struct MemoryShortage {
    AllocError why{};
    std::uint64_t missing{0}; // pages
};

// Attaches the account and gives it its pages. An error leaves everything as it was, the account detached.
[[nodiscard]] Status<MemoryShortage> build_memory(PageAllocator& pages, DomainAccount& account,
                                                  DomainMemory const& wanted);

// The end of an attached domain: all its pages go back, to be zeroed before anybody else gets them, and the account is
// detached. Nobody uses the pages any more.
void dismantle_memory(PageAllocator& pages, DomainAccount& account);

} // namespace hv::mm
