#include "boot/hot_plug.hpp"

#include "arch/x86_64/console.hpp"
#include "arch/x86_64/kernel_space.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/plug_ports.hpp"
#include "arch/x86_64/smp.hpp"
#include "boot/kernel.hpp"

#include <algorithm>

namespace hv::boot {
namespace {

bool is_in_room(acpi::MachineMap const& map, arch::PluggedMemory const& memory)
{
    return std::any_of(map.srat_memory.begin(), map.srat_memory.end(), [&](acpi::SratMemory const& room) {
        return room.hot_pluggable && memory.base >= room.base && memory.length <= room.length &&
               memory.base.value() - room.base.value() <= room.length - memory.length;
    });
}

// Why it is not used; empty: it is.
std::string_view take_into_use(Kernel& k, arch::PluggedMemory const& memory, NodeId node)
{
    if (!is_in_room(k.map, memory))
        return "SRAT has no room for it there";
    if (node.value() >= k.map.node_count)
        return "SRAT does not know its node";
    if (!arch::kernel_space_add({memory.base, memory.length}))
        return "there is no memory for its page tables";
    if (auto const added = k.pages->add_memory({memory.base, memory.length, node}); !added)
        return text_of(added.error());
    return {};
}

// The node of a proximity domain; node_count if there is none.
NodeId node_of(acpi::MachineMap const& map, std::uint32_t pxm)
{
    return NodeId{static_cast<NodeId::Rep>(std::find(map.pxm.begin(), map.pxm.end(), pxm) - map.pxm.begin())};
}

constexpr CpuId id_of(std::size_t index) { return CpuId{static_cast<CpuId::Rep>(index)}; }

} // namespace

void HotPlug::poll(Kernel& k)
{
    if (k.map.pcpus.size() > k.map.present_pcpus)
        poll_pcpus(k);
    if (std::any_of(k.map.srat_memory.begin(), k.map.srat_memory.end(),
                    [](acpi::SratMemory const& memory) { return memory.hot_pluggable; }))
        poll_memory(k);
}

void HotPlug::poll_memory(Kernel& k)
{
    for (std::uint32_t place = 0; place < arch::memory_places; ++place) {
        std::optional<arch::PluggedMemory> const memory{arch::memory_in_place(place)};
        bool const is_new{memory && !has_memory_[place]};
        has_memory_[place] = memory.has_value();
        if (!is_new)
            continue;
        NodeId const node{node_of(k.map, memory->pxm)};
        std::string_view const why_not{take_into_use(k, *memory, node)};
        if (why_not.empty())
            arch::say("{} MiB at {:x} have been plugged in, on node {}", memory->length >> 20, memory->base.value(),
                      node);
        else
            arch::say("warning: {} MiB at {:x} that have been plugged in are not used: {}", memory->length >> 20,
                      memory->base.value(), why_not);
    }
}

void HotPlug::poll_pcpus(Kernel& k)
{
    for (CpuId const cpu : CpuMask{started_}) {
        // acquire: what the pCPU did before it said so is seen.
        if (!arch::percpu(cpu).is_up.load(std::memory_order_acquire))
            continue;
        started_.clear(cpu);
        k.topology->online.set(cpu);
        arch::say("pCPU {} has been plugged in, on node {}", cpu, k.topology->node_of(cpu));
    }
    for (CpuId const cpu : reset_)
        arch::start_pcpu(cpu);
    started_ = started_ | reset_;
    reset_ = {};
    for (std::uint32_t place = 0; place < k.map.pcpus.size(); ++place) {
        arch::PcpuPlace const found{arch::look_at_pcpu_place(place)};
        if (found.is_there && !has_pcpu_[place])
            begin_start(k, arch::apic_id_of_place(place));
        has_pcpu_[place] = found.is_there;
        if (found.shall_go)
            arch::say("warning: a pCPU shall be unplugged, which this kernel cannot do: it stays");
    }
}

void HotPlug::begin_start(Kernel const& k, std::uint32_t apic_id)
{
    for (std::size_t i = 0; i < k.map.pcpus.size(); ++i) {
        if (k.map.pcpus[i].apic_id != apic_id)
            continue;
        if (!k.topology->online.test(id_of(i))) {
            arch::reset_pcpu(id_of(i));
            reset_.set(id_of(i));
        }
        return;
    }
    arch::say("warning: the pCPU with APIC id {} that has been plugged in has no place in SRAT; it is not used",
              apic_id);
}

} // namespace hv::boot
