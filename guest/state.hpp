// The page that each vCPU of a VM starts with: what it is to do, filled in by the kernel, and from then on the guest's
// own. Kernel and guest image are made of the same source, so its layout needs no words. No locks. Floor: guest (the
// kernel includes it, too).
#pragma once

#include "boot/hypercall/abi.hpp"
#include "sched/guest/workload.hpp"

#include <array>
#include <type_traits>

namespace hv::guest {

struct State {
    sched::guest::WorkloadState work; // without the steps of a recording, which are asked for
    std::array<sched::guest::Step, hypercall::max_steps> steps;
};
static_assert(std::is_trivially_copyable_v<State> && sizeof(State) <= 4096);

// Where things are in a VM's address space. The image is read-execute; of each vCPU's stretch one page is its State and
// one its stack, and nothing else is mapped.
inline constexpr std::uint64_t image_at = 0x40'0000;
inline constexpr std::uint64_t vcpus_at = 0x7000'0000;
inline constexpr std::uint64_t vcpu_stride = 0x1'0000;
inline constexpr std::uint64_t stack_offset = 0xe000;
inline constexpr std::uint64_t stack_end_offset = 0xf000;

[[nodiscard]] constexpr std::uint64_t state_at(VcpuIndex vcpu) { return vcpus_at + vcpu.value() * vcpu_stride; }

} // namespace hv::guest
