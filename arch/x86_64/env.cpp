// The port that the scheduler stands on (sched/env.hpp), over the machine's parts.
#include <arch/env.hpp>

#include "arch/generic/assert.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/machine.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/timers.hpp"
#include "arch/x86_64/upcalls.hpp"

namespace hv::arch {
namespace {

constinit Topology const* shape{nullptr};

} // namespace

void install_topology(Topology const& topology) noexcept { shape = &topology; }

Topology const& Env::topology() const noexcept
{
    HV_ASSERT(shape != nullptr);
    return *shape;
}

void Env::tickle(CpuId cpu) noexcept { ask_to_reschedule(cpu); }
void Env::arm(CpuId cpu, TimerId timer, Instant when) noexcept { timer_arm(cpu, timer, when); }
void Env::disarm(CpuId cpu, TimerId timer) noexcept { timer_disarm(cpu, timer); }

// Memory is released without its alignment, so the size decides alone: it is rounded up to a power of two, and blocks
// are aligned to that, up to a page.
void* Env::allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept
{
    HV_ASSERT(align <= 16 || align <= bytes);
    return allocate_memory(node, bytes, 1);
}

void Env::release(void* memory, std::size_t bytes) noexcept { release_memory(memory, bytes, 1); }

std::span<std::byte> Env::trace_memory(CpuId cpu) noexcept { return percpu(cpu).trace; }

} // namespace hv::arch
