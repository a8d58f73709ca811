// A guest in ring 3: an address space of its own with code that it can execute and not write, and a stack that it can
// write and not execute, on one node.
//
// It runs on the pCPU that calls run(), until it ends; a fault of its own ends it and nothing else. Pages and tables
// are taken by build() and given back by the destructor. Locking: none; one pCPU at a time. Interrupts off. Floor:
// boot.
#pragma once

#include "arch/x86_64/ring3.hpp"
#include "mm/address_space.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::boot {

class Ring3Guest {
public:
    static constexpr VirtAddr code_at{0x40'0000};
    static constexpr VirtAddr stack_at{0x7000'0000};
    static constexpr VirtAddr stack_end{stack_at.value() + mm::page_size};

    explicit Ring3Guest(NodeId node);
    ~Ring3Guest();
    Ring3Guest(Ring3Guest const&) = delete;
    Ring3Guest& operator=(Ring3Guest const&) = delete;

    // `code`: at most a page; it begins at code_at. Once. Errors: no_memory; nothing is left then that the destructor
    // would not give back.
    [[nodiscard]] Status<mm::MapError> build(std::span<std::byte const> code);
    // Begins at code_at with `argument` in rdi. Only after build().
    [[nodiscard]] arch::Ring3Outcome run(std::uint64_t argument);

    [[nodiscard]] mm::AddressSpace& space() { return space_; }

private:
    // A page at `at` that begins with `content`.
    [[nodiscard]] Status<mm::MapError> add_page(VirtAddr at, std::span<std::byte const> content, Access access);

    mm::AddressSpace space_;
};

} // namespace hv::boot
