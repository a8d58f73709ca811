// The smallest policy, to copy for a new one: each vCPU stays on the pCPU where it was put, and a pCPU runs what waits
// there first come first served, ten milliseconds each. No stealing, so no work conservation; no weights, no caps.
#include "sched/policy.hpp"

namespace hv::sched {
namespace {

struct WaitingTag;

class Null {
public:
    static constexpr std::string_view name{"null"};
    static constexpr Duration slice{Duration::from_ms(10)};

    struct VcpuData : ListNode<WaitingTag> {
        explicit VcpuData(Vcpu& owner) : vcpu{owner} {}
        Vcpu& vcpu;
    };
    struct PcpuData {
        explicit PcpuData(Pcpu&) {}
        List<VcpuData, WaitingTag> waiting; // the pCPU's lock
    };

    explicit Null(Pool& pool) : pool_{pool} {}

    Decision schedule(CpuId self, Vcpu& current, Instant, bool force_idle) noexcept
    {
        if (!current.is_idle() && current.is_runnable())
            waiting(self).push_back(data(current));
        VcpuData* const first{force_idle ? nullptr : waiting(self).pop_front()};
        if (first == nullptr)
            return {.next = pool_.pcpu(self).idle, .slice = std::nullopt};
        return {.next = &first->vcpu, .slice = slice};
    }

    WakeDecision wake(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        CpuId const home{vcpu.processor()};
        if (data(vcpu).is_linked())
            return {.queue_on = home, .queue = false, .tickle = {}};
        bool const idle{pool_.pcpu(home).current->is_idle()};
        return {.queue_on = home, .tickle = idle ? CpuMask::of(home) : CpuMask{}};
    }

    void enqueue(CpuId, Vcpu& vcpu, Instant) noexcept { waiting(vcpu.processor()).push_back(data(vcpu)); }

    void sleep(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        if (data(vcpu).is_linked())
            waiting(vcpu.processor()).erase(data(vcpu));
    }

    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        CpuMask const allowed{vcpu.hard_affinity & pool_.members()};
        // Empty: the last pCPU of its affinity is leaving, and the core is about to break the affinity and ask again.
        bool const stays{allowed.test(vcpu.processor()) || allowed.empty()};
        return stays ? vcpu.processor() : allowed.cycle(vcpu.processor());
    }

private:
    static VcpuData& data(Vcpu& vcpu) { return *static_cast<VcpuData*>(vcpu.policy_data); }
    List<VcpuData, WaitingTag>& waiting(CpuId cpu)
    {
        return static_cast<PcpuData*>(pool_.pcpu(cpu).policy_data)->waiting;
    }

    Pool& pool_;
};

HV_REGISTER_POLICY(Null);

} // namespace
} // namespace hv::sched
