// The kernel's address space (layout.hpp), common to all pCPUs.
//
// Built by the boot pCPU from a few pages that the caller sets aside below 4 GiB, before there is an allocator; later
// tables come from the page source. Locking: once other pCPUs run, stacks are mapped under the lock of stacks.cpp, and
// memory that is plugged in by the one pCPU that looks for it; they have no table in common but the top level, which is
// complete by then. Floor: arch/x86_64.
#pragma once

#include "arch/x86_64/page_tables.hpp"

#include <cstdint>
#include <span>

namespace hv::arch {

struct PhysRange {
    PhysAddr base;
    std::uint64_t length{0};
};

// How many bytes of tables kernel_space_init() needs at most for a direct map of `memory`.
[[nodiscard]] std::uint64_t kernel_space_table_bytes(std::span<PhysRange const> memory) noexcept;
// Builds the tables in `tables` (page-aligned, below 4 GiB, as large as asked for above) and loads them. `memory` is
// what goes into the direct map, in pages that it touches. The lower half is empty afterwards.
void kernel_space_init(std::span<PhysRange const> memory, PhysRange tables) noexcept;
// Before the first address space is made: `memory` may come into the direct map later, as far as that reaches. False:
// no page for a table.
[[nodiscard]] bool kernel_space_reserve(PhysRange memory) noexcept;
// Puts memory that kernel_space_reserve() knows of, in whole pages, into the direct map, for all pCPUs. False: no page
// for a table, or it lies beyond.
[[nodiscard]] bool kernel_space_add(PhysRange memory) noexcept;
// Loads the tables on the calling pCPU.
void kernel_space_load() noexcept;

[[nodiscard]] PageTables& kernel_space() noexcept;

} // namespace hv::arch
