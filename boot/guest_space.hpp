// The address space of a VM with the pages that are put into it: its own, which are charged to its account and go back
// with it, and those of the image, which all VMs share.
//
// Locking: the address space's own. Interrupts off. Floor: boot.
#pragma once

#include "arch/generic/types.hpp"
#include "mm/address_space.hpp"

#include <cstddef>
#include <span>

namespace hv::boot {

class GuestSpace {
public:
    // Tables on `node`, or near it. `owner`: null, the kernel pays.
    GuestSpace(NodeId node, mm::DomainAccount* owner);
    // Gives everything back. It must be loaded nowhere.
    ~GuestSpace();
    GuestSpace(GuestSpace const&) = delete;
    GuestSpace& operator=(GuestSpace const&) = delete;

    // Before anything else. Error: no_memory.
    [[nodiscard]] Status<mm::MapError> build();
    // A page of its own, on `node` or near it, that begins with `content` and is zero else. Errors: those of map().
    [[nodiscard]] Status<mm::MapError> add_page(VirtAddr at, NodeId node, std::span<std::byte const> content,
                                                Access access);
    // Whole pages of the kernel image, read-execute. Errors: those of map().
    [[nodiscard]] Status<mm::MapError> share(VirtAddr at, std::span<std::byte const> pages);

    [[nodiscard]] mm::AddressSpace& space() { return space_; }
    [[nodiscard]] NodeId node() const { return space_.node(); }

    // The pCPU leaves one for the other; null: the kernel's own.
    static void switch_between(GuestSpace* from, GuestSpace* to);

private:
    mm::AddressSpace space_;
    mm::DomainAccount* const owner_;
};

} // namespace hv::boot
