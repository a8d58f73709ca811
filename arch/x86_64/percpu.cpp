#include "arch/x86_64/percpu.hpp"

#include "arch/generic/assert.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/ring3.hpp"

#include <array>

namespace hv::arch {
namespace {

constexpr std::size_t early_stack_bytes = 4096;
using EarlyStack = std::array<std::byte, early_stack_bytes>;

constinit Percpu early_block{CpuId{0}, NodeId{0}, 0};
alignas(16) constinit std::array<EarlyStack, own_stack_count> early_stacks{};
constinit std::array<Percpu*, max_pcpus> blocks{};
constinit unsigned count{0};

void load_tables(Percpu& block)
{
    descriptors_load(block.descriptors, block.own_stacks);
    descriptors_load_idt();
    write_msr(msr_gs_base, reinterpret_cast<std::uint64_t>(&block));
    ring3_enable();
}

} // namespace

HeldLocks& held_locks() noexcept { return this_percpu().held; }

unsigned pcpu_count() noexcept { return count; }

Percpu& percpu(CpuId cpu) noexcept
{
    HV_ASSERT(cpu.value() < count);
    return *blocks[cpu.value()];
}

void percpu_init_early() noexcept
{
    for (unsigned i = 0; i < own_stack_count; ++i)
        early_block.own_stacks[i] = reinterpret_cast<std::uint64_t>(early_stacks[i].data() + early_stack_bytes);
    descriptors_build_idt();
    load_tables(early_block);
}

void percpu_publish(CpuId cpu, Percpu& block) noexcept
{
    HV_ASSERT(cpu.value() == count && count < max_pcpus);
    blocks[count++] = &block;
}

void percpu_adopt(Percpu& block) noexcept { load_tables(block); }

} // namespace hv::arch
