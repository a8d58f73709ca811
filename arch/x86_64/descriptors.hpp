// Segments, task state and interrupt descriptors: the tables that a 64-bit kernel must have and does not otherwise use.
//
// Each pCPU has its own segments and task state (Descriptors, part of its Percpu block); all share one interrupt table.
// Double fault, NMI and machine check run on stacks of their own, so that an overflown stack can still be reported.
// Written once by each pCPU for itself; no locks. Floor: arch/x86_64.
#pragma once

#include <array>
#include <cstdint>

namespace hv::arch {

inline constexpr std::uint16_t kernel_code_selector = 0x08;
inline constexpr std::uint16_t kernel_data_selector = 0x10;
// The order that sysret wants: data, then code.
inline constexpr std::uint16_t user_data_selector = 0x18 | 3;
inline constexpr std::uint16_t user_code_selector = 0x20 | 3;
inline constexpr std::uint16_t task_state_selector = 0x28;

// Numbers in the interrupt stack table, 1-based as the hardware counts.
inline constexpr unsigned double_fault_stack = 1;
inline constexpr unsigned nmi_stack = 2;
inline constexpr unsigned machine_check_stack = 3;
inline constexpr unsigned own_stack_count = 3;

struct [[gnu::packed]] TaskState {
    std::uint32_t reserved0{0};
    std::array<std::uint64_t, 3> ring_stacks{};
    std::uint64_t reserved1{0};
    std::array<std::uint64_t, 7> interrupt_stacks{};
    std::uint64_t reserved2{0};
    std::uint16_t reserved3{0};
    std::uint16_t io_map_base{sizeof(TaskState)}; // beyond the limit: no port is allowed to ring 3
};
static_assert(sizeof(TaskState) == 104);

struct Descriptors {
    alignas(16) std::array<std::uint64_t, 7> segments{};
    alignas(16) TaskState task_state;
};

// Tops of the stacks for double fault, NMI and machine check.
using OwnStacks = std::array<std::uint64_t, own_stack_count>;

// Makes `descriptors` the calling pCPU's. The GS base survives.
void descriptors_load(Descriptors& descriptors, OwnStacks const& stacks) noexcept;
// Fills the interrupt table: once, before the first descriptors_load_idt().
void descriptors_build_idt() noexcept;
void descriptors_load_idt() noexcept;

} // namespace hv::arch
