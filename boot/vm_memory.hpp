// Memory of VMs: each domain of a scenario gets its pages, from the nodes it names, before its vCPUs exist.
//
// Pages come in 2 MiB blocks as far as there are any, else singly; they are really taken from the allocator, counted
// per node in the domain's account, and stay until the machine ends. A VM is nobody's business but the boot pCPU's
// while this runs; the allocator has its own locks. Floor: boot.
#pragma once

#include "arch/generic/result.hpp"
#include "boot/scenario/homes.hpp"
#include "mm/page_allocator.hpp"

#include <span>

namespace hv::boot {

inline constexpr std::uint64_t pages_per_mib = (std::uint64_t{1} << 20) / mm::page_size;

struct VmMemoryError {
    std::string_view domain;
    std::string_view reason; // the allocator's
    std::uint64_t missing_mib;
};

void describe(VmMemoryError const& error, Sink& sink);

// One account a domain, in the scenario's order; they lie on node 0's memory and live as long as the machine.
using VmAccounts = std::span<mm::DomainAccount* const>;

// The homes of all domains, in the scenario's order; they live as long as the machine. Says on the console which VMs
// could not be placed. Ends the boot where there is no memory for homes, or where a strict placement fails.
[[nodiscard]] std::span<scenario::Home const> find_homes(scenario::ScenarioView scenario);

// Interrupts off. An error takes everything back, also from the VMs before.
[[nodiscard]] Result<VmAccounts, VmMemoryError>
give_memory_to_vms(mm::PageAllocator& pages, scenario::ScenarioView scenario, std::span<scenario::Home const> homes);

} // namespace hv::boot
