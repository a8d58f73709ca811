// The two steps in which affinity is tried: first where a vCPU would rather run, then wherever it may. Pure functions
// over the vCPU's masks; its run-queue lock is held wherever they are called. Floor: sched.
#pragma once

#include "sched/vcpu.hpp"

#include <array>
#include <cstdint>

namespace hv::sched {

enum class BalanceStep : std::uint8_t { soft, hard };

inline constexpr std::array balance_steps{BalanceStep::soft, BalanceStep::hard};

// Whether the soft step can make a difference: a preference was asked for, leaves out some of the machine's pCPUs and
// leaves the vCPU something that it may use. (Xen 4.3: __vcpu_has_node_affinity.)
[[nodiscard]] inline bool has_useful_preference(Vcpu const& vcpu, unsigned pcpu_limit)
{
    return vcpu.prefers && vcpu.soft_affinity.count() < pcpu_limit && vcpu.soft_affinity.intersects(vcpu.hard_affinity);
}

// The pCPUs of a step. A preference that leaves nothing is no preference.
[[nodiscard]] inline CpuMask step_mask(Vcpu const& vcpu, BalanceStep step)
{
    if (step == BalanceStep::hard)
        return vcpu.hard_affinity;
    CpuMask const both{vcpu.soft_affinity & vcpu.hard_affinity};
    return both.empty() ? vcpu.hard_affinity : both;
}

// Whether `cpu` is one of them, without building the set.
[[nodiscard]] inline bool step_allows(Vcpu const& vcpu, BalanceStep step, CpuId cpu)
{
    if (!vcpu.hard_affinity.test(cpu))
        return false;
    return step == BalanceStep::hard || vcpu.soft_affinity.test(cpu) ||
           !vcpu.soft_affinity.intersects(vcpu.hard_affinity);
}

} // namespace hv::sched
