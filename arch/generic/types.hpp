// Strong types for things that are all integers but must never be mixed. No state, no locks. Floor: arch/generic.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace hv {

// An index with a meaning. No arithmetic: ids are compared, stored and used to index one table, nothing else.
template <typename Tag, std::unsigned_integral Representation>
class Id {
public:
    using Rep = Representation;

    constexpr Id() = default;
    constexpr explicit Id(Rep value) : value_{value} {}

    [[nodiscard]] constexpr Rep value() const { return value_; }

    friend constexpr auto operator<=>(Id, Id) = default;

private:
    Rep value_{0};
};

using CpuId = Id<struct CpuTag, std::uint16_t>;       // a pCPU; dense from 0, not the APIC id
using NodeId = Id<struct NodeTag, std::uint8_t>;      // a NUMA node; dense from 0, not the proximity domain
using DomainId = Id<struct DomainTag, std::uint16_t>; // a VM; 32767 is the idle domain
using VcpuIndex = Id<struct VcpuTag, std::uint16_t>;  // a vCPU within its domain
using PoolId = Id<struct PoolTag, std::uint16_t>;     // a set of pCPUs with a policy of its own; 0 is the boot pool

// One of a pCPU's one-shot timers. Floor sched gives the numbers their meaning; a machine only keeps them apart.
using TimerId = Id<struct TimerTag, std::uint32_t>;

// Addresses of the machine the kernel runs on. Physical ones are never dereferenced, virtual ones never handed to
// hardware.
using PhysAddr = Id<struct PhysTag, std::uint64_t>;
using VirtAddr = Id<struct VirtTag, std::uint64_t>;

} // namespace hv
