// The block of each pCPU: what belongs to one pCPU and is used by it, mostly, alone.
//
// It lies on the pCPU's own node and is reached through GS (this_percpu()) or by number (percpu()). A task may move to
// another pCPU at each switch and, with interrupts on, at any time: take this_percpu() anew after either. Members say
// who may touch them. The boot pCPU starts with a static block and moves to its own later. Floor: arch/x86_64.
#pragma once

#include "arch/generic/lock_order.hpp"
#include "arch/generic/shoot_down.hpp"
#include "arch/generic/types.hpp"
#include "arch/x86_64/descriptors.hpp"
#include "arch/x86_64/timer_queue.hpp"
#include "arch/x86_64/watchdog.hpp"

#include <arch/cpu.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hv::arch {

inline constexpr unsigned max_pcpus = 255; // what 8-bit APIC ids can tell apart

struct Call;
struct ExpectedFault;

struct alignas(cache_line) Percpu {
    constexpr Percpu(CpuId cpu, NodeId on_node, std::uint32_t apic) : id{cpu}, node{on_node}, apic_id{apic}, timers{cpu}
    {
    }

    Percpu* self{this};          // at offset 0, for this_percpu()
    std::uint64_t user_stack{0}; // the guest's, while a hypercall finds its own stack (vectors.S)
    Descriptors descriptors;     // the task state has that stack
    CpuId id;
    NodeId node;
    std::uint32_t apic_id;
    HeldLocks held;                         // this pCPU
    ExpectedFault* expected_fault{nullptr}; // this pCPU: set while a self-test provokes an exception
    std::uint64_t stack_top{0};             // where the pCPU starts; set before it does
    OwnStacks own_stacks{};
    std::span<std::byte> trace; // set before the pCPU starts

    alignas(cache_line) std::atomic<bool> asked_to_reschedule{false}; // set by anybody, cleared by this pCPU
    std::atomic<bool> is_up{false};                                   // set by this pCPU when it has started
    std::atomic<Call const*> call{nullptr};                           // filled by anybody, emptied by this pCPU
    ShootDown::Inbox shoot_down;                                      // tlb.hpp
    Watched watched;                                                  // its members say
    alignas(cache_line) TimerQueue timers;                            // has its lock
};
static_assert(offsetof(Percpu, self) == 0);
// As vectors.S has them.
static_assert(offsetof(Percpu, user_stack) == 8);
static_assert(offsetof(Percpu, descriptors) + offsetof(Descriptors, task_state) + offsetof(TaskState, ring_stacks) ==
              84);

// Volatile: the same task may find another block here after a switch.
[[nodiscard]] inline Percpu& this_percpu()
{
    Percpu* block;
    asm volatile("movq %%gs:0, %0" : "=r"(block));
    return *block;
}
[[nodiscard]] inline CpuId this_cpu() { return this_percpu().id; }

[[nodiscard]] unsigned pcpu_count() noexcept;
// cpu < pcpu_count().
[[nodiscard]] Percpu& percpu(CpuId cpu) noexcept;

// Gives the boot pCPU its static block and loads its tables; the first thing that the kernel does.
void percpu_init_early() noexcept;
// Announces the blocks of all pCPUs, in order of their numbers. They stay where they are.
void percpu_publish(CpuId cpu, Percpu& block) noexcept;
// Makes `block` the calling pCPU's: GS, segments, task state, interrupt table. No lock may be held.
void percpu_adopt(Percpu& block) noexcept;

} // namespace hv::arch
