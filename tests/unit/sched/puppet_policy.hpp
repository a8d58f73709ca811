// A policy whose answers a test prescribes: for what the core does with decisions that no real policy of ours makes. It
// is not registered. It queues first come first served and checks that the locks it is promised are held.
#pragma once

#include "sched/policy.hpp"

#include <utility>
#include <vector>

namespace hv::sched::test {

struct PuppetTag;

class Puppet {
public:
    static constexpr std::string_view name{"puppet"};

    struct VcpuData : ListNode<PuppetTag> {
        explicit VcpuData(Vcpu& owner) : vcpu{owner} {}
        Vcpu& vcpu;
    };
    struct PcpuData {
        explicit PcpuData(Pcpu&) {}
        List<VcpuData, PuppetTag> waiting;
    };

    explicit Puppet(Pool& pool) : pool_{pool} {}

    // What the next wakes wish, one after the other; afterwards every vCPU stays at home.
    std::vector<CpuId> places;
    bool pushes_current{false}; // the next wake does
    std::optional<CpuId> picks; // unless it is not allowed there

    // What happened.
    unsigned wakes{0}, yields{0}, picked{0};
    std::vector<CpuId> queued_on;

    Decision schedule(CpuId self, Vcpu& current, Instant, bool force_idle) noexcept
    {
        HV_ASSERT(pool_.pcpu(self).lock.is_locked());
        if (!current.is_idle() && current.is_runnable())
            waiting(self).push_back(data(current));
        VcpuData* const first{force_idle ? nullptr : waiting(self).pop_front()};
        return {.next = first == nullptr ? pool_.pcpu(self).idle : &first->vcpu, .slice = std::nullopt};
    }
    WakeDecision wake(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        HV_ASSERT(pool_.pcpu(vcpu.processor()).lock.is_locked());
        CpuId place{vcpu.processor()};
        if (wakes < places.size())
            place = places[wakes];
        ++wakes;
        bool const pushes{std::exchange(pushes_current, false)};
        bool const tickles{pushes || pool_.pcpu(place).current->is_idle()};
        return {.queue_on = place,
                .queue = !data(vcpu).is_linked(),
                .tickle = tickles ? CpuMask::of(place) : CpuMask{},
                .push_current = pushes};
    }
    void enqueue(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        HV_ASSERT(pool_.pcpu(vcpu.processor()).lock.is_locked());
        queued_on.push_back(vcpu.processor());
        waiting(vcpu.processor()).push_back(data(vcpu));
    }
    void sleep(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        HV_ASSERT(pool_.pcpu(vcpu.processor()).lock.is_locked());
        if (data(vcpu).is_linked())
            waiting(vcpu.processor()).erase(data(vcpu));
    }
    CpuId pick_cpu(CpuId, Vcpu& vcpu, Instant) noexcept
    {
        HV_ASSERT(pool_.pcpu(vcpu.processor()).lock.is_locked());
        ++picked;
        CpuMask const allowed{vcpu.hard_affinity & pool_.members()};
        if (picks && allowed.test(*picks))
            return *picks;
        return allowed.test(vcpu.processor()) ? vcpu.processor() : allowed.cycle(vcpu.processor());
    }
    void yield(CpuId self, Vcpu&) noexcept
    {
        HV_ASSERT(pool_.pcpu(self).lock.is_locked());
        ++yields;
    }

private:
    static VcpuData& data(Vcpu& vcpu) { return *static_cast<VcpuData*>(vcpu.policy_data); }
    List<VcpuData, PuppetTag>& waiting(CpuId c) { return static_cast<PcpuData*>(pool_.pcpu(c).policy_data)->waiting; }

    Pool& pool_;
};

inline constexpr PolicyOps puppet_ops{make_ops<Puppet>()};

} // namespace hv::sched::test
