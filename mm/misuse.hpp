// What is said when memory is given back wrongly, or was written to after it had been given back. Such misuse is caught
// in every build, before it changes anything, and handed to a handler: the kernel's prints the report and stops the
// machine, a test's remembers it and returns.
//
// Plain values; no state, no locks. Floor: mm.
#pragma once

#include "arch/generic/format.hpp"
#include "mm/types.hpp"

#include <cstdint>
#include <string_view>

namespace hv::mm {

// The owner of pages that no account is charged for: the kernel itself. No domain has this number.
inline constexpr DomainId kernel_owner{0xFFFF};

// Of a block; its first page has it. none: not the first page of a block.
enum class PageState : std::uint8_t {
    none,
    free,
    used,
    cached,    // in a pCPU's cache: as good as free, but the node's lists do not have it
    dirty,     // free, and still full of what a dead domain left there
    scrubbing, // free, and somebody is zeroing it right now
    retiring,  // used, and some of its pages are to be taken out of use as soon as it is given back
    offline,   // out of use: a single page that nobody gets
};

enum class MisuseKind : std::uint8_t {
    double_free,      // the page is free already, alone or within a larger free block
    wrong_order,      // the block was allocated with another order
    middle_page,      // the page lies within a block and is not its first
    never_allocated,  // reserved memory: it is not the allocator's to take back
    out_of_use,       // the page was taken out of use
    no_memory,        // no node has memory at this address
    misaligned,       // not the address of a page
    corrupt_links,    // the list links kept in a free page were overwritten: somebody wrote after free
    write_after_free, // debug builds: any other part of a free page was
};

struct MisuseReport {
    MisuseKind kind{};
    PhysAddr address{};           // as the caller gave it
    Order order{};                // as the caller gave it
    NodeId node{};                // meaningless if kind is no_memory
    PageState state{};            // of the block that holds the page; none if no block does
    PhysAddr block{};             // its first byte
    Order block_order{};          // its recorded order
    DomainId owner{kernel_owner}; // of a used block, its owner; of a free page, its last owner as far as remembered
    std::uintptr_t caller{0};     // who called us; for write_after_free who gave the page back; 0: not known
};

using MisuseHandler = void (*)(MisuseReport const& report);

[[nodiscard]] constexpr bool is_in_use(PageState state)
{
    return state == PageState::used || state == PageState::retiring;
}

[[nodiscard]] constexpr std::string_view name_of(MisuseKind kind)
{
    switch (kind) {
    case MisuseKind::double_free:
        return "double free";
    case MisuseKind::wrong_order:
        return "free with the wrong order";
    case MisuseKind::middle_page:
        return "free of a page in the middle of a block";
    case MisuseKind::never_allocated:
        return "free of a page that was never allocated";
    case MisuseKind::out_of_use:
        return "free of a page that is out of use";
    case MisuseKind::no_memory:
        return "free of an address without memory";
    case MisuseKind::misaligned:
        return "free of an address that is not a page's";
    case MisuseKind::corrupt_links:
    case MisuseKind::write_after_free:
        return "write after free";
    }
    return "?";
}

[[nodiscard]] constexpr std::string_view name_of(PageState state)
{
    switch (state) {
    case PageState::none:
        return "in no block";
    case PageState::free:
        return "free";
    case PageState::used:
        return "used";
    case PageState::cached:
        return "cached";
    case PageState::dirty:
        return "dirty";
    case PageState::scrubbing:
        return "being scrubbed";
    case PageState::retiring:
        return "used, to be taken out of use";
    case PageState::offline:
        return "out of use";
    }
    return "?";
}

// One line without an end of line.
inline void describe(Sink& sink, MisuseReport const& report)
{
    print(sink, "mm: {}: address {:x} order {}", name_of(report.kind), report.address, report.order.value());
    if (report.caller != 0)
        print(sink, ", {} {:x}", report.kind == MisuseKind::write_after_free ? "freed by" : "caller", report.caller);
    if (report.kind == MisuseKind::no_memory)
        return;
    print(sink, ", node {}, {}", report.node, name_of(report.state));
    if (report.state == PageState::none)
        return;
    print(sink, ", block {:x} order {}, {} ", report.block, report.block_order.value(),
          is_in_use(report.state) ? "owner" : "last owner");
    if (report.owner == kernel_owner)
        print(sink, "kernel");
    else
        print(sink, "d{}", report.owner);
}

} // namespace hv::mm
