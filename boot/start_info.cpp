// What the loader and the firmware say, before there is any memory management.
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/acpi/rsdp.hpp"
#include "boot/kernel.hpp"
#include "boot/refuse.hpp"

namespace hv::boot {
namespace {

// The first 4 GiB: start.S maps them, and kernel_space_init() all of them that firmware and loader may have written to.
std::span<std::byte const> window(void const*, PhysAddr base, std::size_t length) noexcept
{
    if (base.value() >= arch::boot_map_limit || length > arch::boot_map_limit - base.value())
        return {};
    return {arch::direct_map<std::byte const>(base), length};
}

} // namespace

PhysicalMemory physical_memory() { return {nullptr, window}; }

void read_boot_info(Kernel& k, std::uint32_t magic, PhysAddr info)
{
    if (Status<ParseError> const parsed{parse_multiboot(magic, info, physical_memory(), k.info)}; !parsed)
        refuse_because(parsed.error());
}

void read_options(Kernel& k)
{
    Result<Options, OptionError> const options{parse_options(k.info.command_line)};
    if (!options)
        refuse_because(options.error());
    k.options = *options;
    arch::console_set_quiet(k.options.quiet);
    if (k.options.khz != 0)
        arch::clock_set_rate(k.options.khz);
}

void map_machine(Kernel& k)
{
    acpi::Tables const tables{acpi::load_tables(physical_memory(), k.info.rsdp)};
    arch::ApicIdShifts const shifts{arch::apic_id_shifts()};
    acpi::CpuidTopology const cpuid{.smt_shift = static_cast<std::uint8_t>(shifts.smt),
                                    .package_shift = static_cast<std::uint8_t>(shifts.package),
                                    .boot_apic_id = arch::cpuid(1).ebx >> 24};
    acpi::MapFlags const flags{.numa = k.options.numa, .max_pcpus = k.options.maxcpus};
    build_machine_map(tables, cpuid, flags, k.info.regions.span(), k.map);
}

} // namespace hv::boot
