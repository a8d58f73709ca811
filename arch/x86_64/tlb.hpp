// What the processors remember of page tables, and how they are made to forget it: the machine's side of
// arch/generic/shoot_down.hpp. An inbox lies in each pCPU's block; the interrupt has a vector of its own.
//
// No page is global and no process-context identifiers are used, so a new top table makes a pCPU forget everything.
// Floor: arch/x86_64.
#pragma once

#include "arch/generic/shoot_down.hpp"
#include "arch/generic/types.hpp"

namespace hv::arch {

[[nodiscard]] ShootDown& shoot_down() noexcept;
// The interrupt's handler.
void serve_shoot_down() noexcept;
// Makes a top table the calling pCPU's. It must have the kernel's upper half.
void load_page_tables(PhysAddr root) noexcept;

} // namespace hv::arch
