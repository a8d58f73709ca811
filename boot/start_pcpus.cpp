// pCPUs: their topology, their blocks and stacks on their own nodes, and their start.
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/machine.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/smp.hpp"
#include "arch/x86_64/stacks.hpp"
#include "boot/kernel.hpp"
#include "boot/refuse.hpp"

#include <bit>
#include <new>

namespace hv::boot {
namespace {

constexpr CpuId cpu_id(std::size_t index) { return CpuId{static_cast<CpuId::Rep>(index)}; }

// An array of `count` for as long as the kernel runs, on the boot pCPU's node.
template <typename T>
std::span<T> make_array(Kernel const& k, std::size_t count)
{
    void* const memory{arch::allocate_memory(k.map.pcpus[k.map.boot_pcpu.value()].node, count * sizeof(T), alignof(T))};
    if (memory == nullptr)
        refuse("memory: no {} bytes for the topology; give the machine more memory", count * sizeof(T));
    T* const first{static_cast<T*>(memory)};
    for (std::size_t i = 0; i < count; ++i)
        ::new (first + i) T{};
    return {first, count};
}

unsigned order_of_bytes(std::size_t bytes)
{
    return static_cast<unsigned>(
        std::countr_zero(std::bit_ceil(bytes > arch::page_size ? bytes : arch::page_size) / arch::page_size));
}

std::uint64_t stack_for(NodeId node, CpuId cpu)
{
    Result<arch::Stack, arch::StackError> const stack{arch::allocate_stack(node)};
    if (!stack)
        refuse("pCPU {}: {}; give node {} more memory", cpu, arch::text_of(stack.error()), node);
    return stack->top();
}

std::span<std::byte> trace_ring_for(Kernel const& k, NodeId node, CpuId cpu)
{
    std::size_t const bytes{std::size_t{k.options.trace_kib} * 1024};
    if (bytes == 0)
        return {};
    std::optional<PhysAddr> const pages{arch::allocate_pages(node, order_of_bytes(bytes))};
    if (!pages) {
        arch::say("warning: pCPU {}: no memory for a trace ring of {} KiB, it has none; give trace=KIB less", cpu,
                  k.options.trace_kib);
        return {};
    }
    return {arch::direct_map<std::byte>(*pages), bytes};
}

arch::Percpu& build_block(Kernel const& k, CpuId cpu)
{
    acpi::MapPcpu const& described{k.map.pcpus[cpu.value()]};
    std::optional<PhysAddr> const pages{
        arch::allocate_zeroed_pages(described.node, order_of_bytes(sizeof(arch::Percpu)))};
    if (!pages)
        refuse("pCPU {}: no memory for its block; give node {} more memory", cpu, described.node);
    arch::Percpu& block{*::new (arch::direct_map<void>(*pages)) arch::Percpu{cpu, described.node, described.apic_id}};
    block.stack_top = stack_for(described.node, cpu);
    for (std::uint64_t& top : block.own_stacks)
        top = stack_for(described.node, cpu);
    block.trace = trace_ring_for(k, described.node, cpu);
    return block;
}

} // namespace

void build_topology(Kernel& k)
{
    std::size_t const count{k.map.pcpus.size()};
    std::size_t sockets{0}, cores{0};
    for (acpi::MapPcpu const& pcpu : k.map.pcpus) {
        sockets = pcpu.socket + 1u > sockets ? pcpu.socket + 1u : sockets;
        cores = pcpu.core + 1u > cores ? pcpu.core + 1u : cores;
    }
    std::span<PcpuTopology> const pcpus{make_array<PcpuTopology>(k, count)};
    std::span<CpuMask> const by_node{make_array<CpuMask>(k, k.map.node_count)};
    std::span<CpuMask> const by_socket{make_array<CpuMask>(k, sockets)};
    std::span<CpuMask> const by_core{make_array<CpuMask>(k, cores)};
    for (std::size_t i = 0; i < count; ++i) {
        acpi::MapPcpu const& pcpu{k.map.pcpus[i]};
        pcpus[i] = {.node = pcpu.node, .socket = pcpu.socket, .core = pcpu.core};
        by_node[pcpu.node.value()].set(cpu_id(i));
        by_socket[pcpu.socket].set(cpu_id(i));
        by_core[pcpu.core].set(cpu_id(i));
    }
    k.topology = make_array<Topology>(k, 1).data();
    k.topology->pcpus = pcpus;
    k.topology->by_node = by_node;
    k.topology->by_socket = by_socket;
    k.topology->by_core = by_core;
    k.topology->distances = k.map.distance_table();
    k.topology->online.set(k.map.boot_pcpu);
    arch::install_topology(*k.topology);
}

void build_percpu_blocks(Kernel& k)
{
    for (std::size_t i = 0; i < k.map.pcpus.size(); ++i) {
        if (k.map.pcpus[i].apic_id >= arch::max_pcpus)
            refuse("pCPU {}: APIC id {} needs x2APIC, which this kernel lacks; give maxcpus={}", i,
                   k.map.pcpus[i].apic_id, i);
        arch::percpu_publish(cpu_id(i), build_block(k, cpu_id(i)));
    }
    arch::Percpu& own{arch::percpu(k.map.boot_pcpu)};
    own.is_up.store(true, std::memory_order_relaxed); // Nobody else looks yet.
    arch::percpu_adopt(own);
}

void start_pcpus(Kernel& k)
{
    constexpr std::uint64_t real_mode_limit = 0xA0000;
    unsigned const present{k.map.present_pcpus};
    if (k.map.pcpus.size() > 1) {
        std::optional<PhysAddr> const page{find_low_memory(k.info, arch::trampoline_bytes, PhysAddr{real_mode_limit})};
        if (!page)
            refuse("pCPUs: no {} free bytes below 640 KiB to start them from; give maxcpus=1", arch::trampoline_bytes);
        arch::log("starting {} other pCPUs", present - 1);
        if (std::optional<std::uint32_t> const missing{arch::start_other_pcpus(*page, present)})
            refuse("pCPU with APIC id {} did not start; give maxcpus= to leave it out", *missing);
    }
    k.topology->online = CpuMask::first_n(present);
}

} // namespace hv::boot
