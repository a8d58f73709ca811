// A policy that the product does not have, to show that one new file is all it takes: each pCPU serves first
// come first, five milliseconds each. Linked into build/extra-policy.elf only.
#include "sched/policy.hpp"

namespace hv::sched {
namespace {

struct FifoTag;

class Fifo {
public:
    static constexpr std::string_view name{"fifo"};

    struct VcpuData : ListNode<FifoTag> {
        explicit VcpuData(Vcpu& owner) : vcpu{owner} {}
        Vcpu& vcpu;
    };
    struct PcpuData {
        explicit PcpuData(Pcpu&) {}
        List<VcpuData, FifoTag> waiting;
    };

    explicit Fifo(Pool& pool) : pool_{pool} {}

    Decision schedule(CpuId self, Vcpu& current, Instant, bool) noexcept
    {
        if (!current.is_idle() && current.is_runnable())
            queue(self).push_back(data(current));
        if (VcpuData* const first = queue(self).pop_front())
            return {.next = &first->vcpu, .slice = Duration::from_ms(5)};
        return {.next = pool_.pcpu(self).idle, .slice = std::nullopt};
    }
    WakeDecision wake(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        CpuId const home{vcpu.processor()};
        return {.queue_on = home, .queue = !data(vcpu).is_linked(), .tickle = CpuMask::of(home)};
    }
    void enqueue(CpuId, Vcpu& vcpu, Instant) noexcept { queue(vcpu.processor()).push_back(data(vcpu)); }
    void sleep(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        if (data(vcpu).is_linked())
            queue(vcpu.processor()).erase(data(vcpu));
    }
    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        return (vcpu.hard_affinity & pool_.members()).cycle(vcpu.processor());
    }

private:
    static VcpuData& data(Vcpu& vcpu) { return *static_cast<VcpuData*>(vcpu.policy_data); }
    List<VcpuData, FifoTag>& queue(CpuId cpu) { return static_cast<PcpuData*>(pool_.pcpu(cpu).policy_data)->waiting; }

    Pool& pool_;
};

HV_REGISTER_POLICY(Fifo);

} // namespace
} // namespace hv::sched
