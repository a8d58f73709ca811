// The pCPUs: that they run, where their memory is, that they can be called.
#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/call.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

#include <array>
#include <atomic>

namespace hv::test {
namespace {

struct Roll {
    std::array<std::atomic<unsigned>, arch::max_pcpus> calls{};
    std::atomic<unsigned> wrong{0};
};

void answer(void* argument)
{
    Roll& roll{*static_cast<Roll*>(argument)};
    arch::Percpu const& self{arch::this_percpu()};
    roll.calls[self.id.value()].fetch_add(1);
    if (&arch::percpu(self.id) != &self || arch::apic_own_id() != self.apic_id)
        roll.wrong.fetch_add(1);
}

} // namespace

HV_SELFTEST(smp_every_pcpu_answers_as_itself)
{
    static constinit Roll roll;
    arch::call_on_all(answer, &roll);
    HV_CHECK(roll.wrong.load() == 0);
    for (unsigned i = 0; i < pcpus_up(); ++i)
        HV_CHECK(roll.calls[i].load() == 1);
}

HV_SELFTEST(smp_topology_counts_every_pcpu_once)
{
    Topology const& topology{arch::Env{}.topology()};
    HV_CHECK(topology.pcpus.size() == arch::pcpu_count());
    HV_CHECK(topology.online.count() == boot::kernel().map.present_pcpus);
    CpuMask seen;
    for (NodeId const node : topology.nodes()) {
        HV_CHECK(!seen.intersects(topology.pcpus_of(node)));
        seen |= topology.pcpus_of(node);
    }
    HV_CHECK(seen == CpuMask::first_n(arch::pcpu_count()) && topology.online.is_subset_of(seen));
    for (CpuId const cpu : topology.online) {
        HV_CHECK(topology.node_of(cpu) == arch::percpu(cpu).node);
        HV_CHECK(topology.siblings_of(cpu).test(cpu) &&
                 topology.siblings_of(cpu).is_subset_of(topology.socket_of(cpu)));
    }
}

HV_SELFTEST(smp_blocks_and_rings_lie_on_the_node_of_their_pcpu)
{
    NodeMask const with_memory{boot::kernel().pages->usable()};
    for (unsigned i = 0; i < arch::pcpu_count(); ++i) {
        arch::Percpu const& block{arch::percpu(CpuId{static_cast<CpuId::Rep>(i)})};
        if (!with_memory.test(block.node))
            continue;
        HV_CHECK(arch::node_of_page(arch::physical_of(&block)) == block.node);
        std::span<std::byte> const ring{arch::Env{}.trace_memory(block.id)};
        HV_CHECK(ring.size() == std::size_t{boot::kernel().options.trace_kib} * 1024);
        if (!ring.empty())
            HV_CHECK(arch::node_of_page(arch::physical_of(ring.data())) == block.node);
    }
}

} // namespace hv::test
