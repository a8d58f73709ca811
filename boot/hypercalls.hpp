// What a guest in ring 3 can ask for, version 1. How it asks is arch/x86_64/ring3.hpp's.
//
//     0  null       gives 0
//     1  version    gives 1
//     2  shutdown   ends the guest; rdi: its exit code
//
// Any other number gives `unknown_hypercall` and does nothing. No state, no locks. Floor: boot.
#pragma once

#include "arch/x86_64/ring3.hpp"

#include <cstdint>

namespace hv::boot {

enum class Hypercall : std::uint64_t { null = 0, version = 1, shutdown = 2 };

inline constexpr std::uint64_t hypercall_version = 1;
inline constexpr std::uint64_t unknown_hypercall = ~std::uint64_t{0};

// For an arch::HypercallHandler: false when the guest has ended.
[[nodiscard]] bool handle_hypercall(arch::TrapFrame& frame) noexcept;

} // namespace hv::boot
