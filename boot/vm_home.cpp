#include "boot/vm_home.hpp"

#include "arch/x86_64/small_memory.hpp"
#include "boot/kernel.hpp"
#include "boot/vm_memory.hpp"
#include "boot/vm_tasks.hpp"
#include "sched/placement/residents.hpp"
#include "sched/placement/workspace.hpp"

#include <new>

namespace hv::boot {
namespace {

namespace placement = sched::placement;

constexpr std::uint64_t kib_of_a_page = mm::page_size / 1024;

// Too much for a stack.
struct Work {
    placement::Workspace workspace;
    std::array<placement::NodeState, NodeMask::capacity> nodes;
    std::array<std::uint64_t, NodeMask::capacity> mib_on;
};

NodeMask nodes_of(Topology const& topology, CpuMask const& pcpus)
{
    return placement::nodes_of(pcpus, [&](CpuId cpu) { return topology.node_of(cpu); });
}

class Survey {
public:
    Survey(VmMachine& machine, Work& work)
        : topology_{machine.system->core().pool().topology()}, work_{work},
          pool_{machine.system->core().pool().members()}
    {
        count_pcpus();
        for (Vm& vm : machine.vms)
            count(vm);
    }

    [[nodiscard]] std::span<placement::NodeState> nodes() const
    {
        return std::span{work_.nodes}.first(topology_.node_count());
    }

private:
    void count_pcpus()
    {
        CpuMask cores;
        for (CpuId const cpu : pool_) {
            placement::NodeState& node{work_.nodes[topology_.node_of(cpu).value()]};
            CpuId const core{topology_.pcpus[cpu.value()].core};
            ++node.pcpus;
            node.cores += cores.test(core) ? 0u : 1u;
            cores.set(core);
        }
        for (NodeId const node : kernel().pages->usable()) {
            mm::NodeStats const stats{kernel().pages->stats(node)};
            std::uint64_t const room{stats.free + stats.cached};
            work_.nodes[node.value()].free_kib = (room > stats.claimed ? room - stats.claimed : 0) * kib_of_a_page;
        }
    }
    void count(Vm const& vm)
    {
        for (sched::Vcpu const& vcpu : vm.domain.vcpus) {
            CpuMask const hard{vcpu.hard_affinity & pool_};
            CpuMask const soft{vcpu.prefers ? hard & vcpu.soft_affinity : hard};
            placement::add_vcpus(nodes(), 1, nodes_of(topology_, hard),
                                 nodes_of(topology_, soft.empty() ? hard : soft));
        }
        for (NodeId const node : topology_.nodes())
            work_.mib_on[node.value()] = vm.account.pages_on(node) / pages_per_mib;
        placement::add_accesses(nodes(), vm.domain.vcpu_count, std::span{work_.mib_on}.first(nodes().size()));
    }

    Topology const& topology_;
    Work& work_;
    CpuMask const& pool_;
};

} // namespace

VmHome find_home(VmMachine& machine, VmConfig const& config, CpuMask const& allowed)
{
    Topology const& topology{machine.system->core().pool().topology()};
    NodeMask const reachable{nodes_of(topology, allowed)};
    if (config.cpus_soft)
        if (CpuMask const soft{allowed & *config.cpus_soft}; !soft.empty())
            return {.nodes = nodes_of(topology, soft)};
    void* const memory{arch::allocate_memory(NodeId{0}, sizeof(Work), alignof(Work))};
    if (memory == nullptr)
        return {.nodes = reachable};
    Work& work{*::new (memory) Work{}};
    Survey const survey{machine, work};
    auto const chosen = placement::place(
        placement::Rule::numavisor, {.nodes = survey.nodes(), .distances = topology.distances},
        {.vcpus = config.vcpus, .need_kib = placement::need_of_vm_kib(config.memory_mib), .allowed = reachable},
        work.workspace);
    VmHome const home{chosen ? VmHome{.nodes = *chosen, .is_placed = true} : VmHome{.nodes = reachable}};
    arch::release_memory(memory, sizeof(Work), alignof(Work));
    return home;
}

} // namespace hv::boot
