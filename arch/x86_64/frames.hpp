// Page frames for the machine's own needs (tables, stacks, per-pCPU blocks, Env::allocate).
//
// The allocator itself is mm/, which the machine does not know: the composition root hands it in as a PageSource.
// Locking: as the source. Floor: arch/x86_64.
#pragma once

#include "arch/generic/types.hpp"

#include <cstdint>
#include <optional>

namespace hv::arch {

struct PageSource {
    void* self{nullptr};
    // 2^order pages on `node`, or as near to it as there are any; nothing if there are none at all. Content is
    // undefined.
    std::optional<PhysAddr> (*allocate)(void* self, NodeId node, unsigned order) noexcept {nullptr};
    void (*release)(void* self, PhysAddr pages, unsigned order) noexcept {nullptr};
    NodeId (*node_of)(void* self, PhysAddr page) noexcept {nullptr};
};

// Once, while the boot pCPU is alone.
void install_page_source(PageSource const& source) noexcept;
[[nodiscard]] bool has_page_source() noexcept;

[[nodiscard]] std::optional<PhysAddr> allocate_pages(NodeId node, unsigned order) noexcept;
[[nodiscard]] std::optional<PhysAddr> allocate_zeroed_pages(NodeId node, unsigned order) noexcept;
void release_pages(PhysAddr pages, unsigned order) noexcept;
// The node that a page of an installed source lies on.
[[nodiscard]] NodeId node_of_page(PhysAddr page) noexcept;

} // namespace hv::arch
