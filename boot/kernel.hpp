// What the kernel knows of its machine, gathered by the start-up steps in their order. There is one, kernel(); each
// step fills its part in once, before the other pCPUs run, and nobody changes it afterwards, except that `topology`
// follows pCPUs that come and go. Floor: boot.
#pragma once

#include "arch/generic/topology.hpp"
#include "boot/acpi/machine_map.hpp"
#include "boot/info/command_line.hpp"
#include "boot/info/multiboot.hpp"
#include "mm/early_allocator.hpp"
#include "mm/page_allocator.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace hv::boot {

inline constexpr std::string_view kernel_version{"0.1"};

struct Kernel {
    BootInfo info;
    Options options;
    acpi::MachineMap map;
    mm::EarlyAllocator early;
    mm::PageAllocator* pages{nullptr};
    Topology* topology{nullptr};
};

[[nodiscard]] Kernel& kernel();

// The steps, in their order. Each ends the boot with one line if it cannot do its work.
void read_boot_info(Kernel& k, std::uint32_t magic, PhysAddr info);
void read_options(Kernel& k);
void map_machine(Kernel& k);  // ACPI: pCPUs, memory, distances
void start_memory(Kernel& k); // the kernel's address space, the page allocator
void start_apic_and_clock(Kernel& k);
void build_topology(Kernel& k);
void build_percpu_blocks(Kernel& k); // leaves the boot pCPU on its own block
void start_pcpus(Kernel& k);

// The boot log's view of the machine.
void log_banner(Kernel const& k);
void log_machine(Kernel const& k);

// The highest whole pages below `limit` (a multiple of 4096) that are usable and that the loader left nothing in. They
// are not taken: memory below 1 MiB belongs to no allocator.
[[nodiscard]] std::optional<PhysAddr> find_low_memory(BootInfo const& info, std::uint64_t bytes, PhysAddr limit);

// Physical memory as the parsers see it: what start.S, later the direct map, has mapped.
[[nodiscard]] PhysicalMemory physical_memory();

} // namespace hv::boot
