// A program in ring 3 without a VM, for self-tests: an address space of its own with code that it can execute and not
// write, and a stack that it can write and not execute, on one node.
//
// It runs on the pCPU that calls run(), until it ends; a fault of its own ends it and nothing else. Pages and tables
// are taken by build() and given back by the destructor. Of hypercalls it has null, version and shutdown. Locking:
// none; one pCPU at a time. Interrupts off. Floor: boot.
#pragma once

#include "arch/x86_64/ring3.hpp"
#include "boot/guest_space.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::boot {

class Ring3Guest {
public:
    static constexpr VirtAddr code_at{0x40'0000};
    static constexpr VirtAddr stack_at{0x7000'0000};
    static constexpr VirtAddr stack_end{stack_at.value() + mm::page_size};

    explicit Ring3Guest(NodeId node) : space_{node, nullptr} {}

    // `code`: at most a page; it begins at code_at. Once. Errors: no_memory; nothing is left then that the destructor
    // would not give back.
    [[nodiscard]] Status<mm::MapError> build(std::span<std::byte const> code);
    // Begins at code_at with `argument` in rdi. Only after build().
    [[nodiscard]] arch::Ring3Outcome run(std::uint64_t argument);

    [[nodiscard]] mm::AddressSpace& space() { return space_.space(); }

private:
    GuestSpace space_;
};

} // namespace hv::boot
