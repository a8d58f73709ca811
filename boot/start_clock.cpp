// The boot pCPU's interrupt controller, and the rates of the TSC and of the APIC timer.
#include "arch/x86_64/apic.hpp"
#include "arch/x86_64/calibrate.hpp"
#include "arch/x86_64/chopper.hpp"
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/console.hpp"
#include "boot/acpi/hpet.hpp"
#include "boot/acpi/rsdp.hpp"
#include "boot/kernel.hpp"
#include "boot/refuse.hpp"

namespace hv::boot {
namespace {

constexpr acpi::TableKind fadt_kind{"FACP", "FADT, physical address", "FADT, offset"};

std::optional<std::uint16_t> find_pm_timer(Kernel const& k)
{
    constexpr std::size_t pm_timer_block_at = 76; // I/O port, u32
    Result<acpi::Rsdp, ParseError> const rsdp{acpi::find_rsdp(physical_memory(), k.info.rsdp)};
    if (!rsdp)
        return std::nullopt;
    Result<acpi::RootTable, ParseError> const root{acpi::open_root(physical_memory(), *rsdp)};
    if (!root)
        return std::nullopt;
    Result<Bytes, ParseError> const table{acpi::find_table(physical_memory(), *root, fadt_kind)};
    if (!table || !fits(*table, pm_timer_block_at, 4))
        return std::nullopt;
    std::uint32_t const port{load<std::uint32_t>(*table, pm_timer_block_at)};
    if (port == 0 || port > 0xFFFF)
        return std::nullopt;
    return static_cast<std::uint16_t>(port);
}

arch::Reference find_reference(Kernel const& k)
{
    acpi::Tables const tables{acpi::load_tables(physical_memory(), k.info.rsdp)};
    if (tables.hpet && !tables.hpet->empty())
        if (Result<PhysAddr, ParseError> const address{acpi::hpet_address(*tables.hpet)}; address)
            if (arch::Reference const hpet{arch::hpet_reference(*address)}; hpet.kind != arch::ReferenceKind::none)
                return hpet;
    if (std::optional<std::uint16_t> const port{find_pm_timer(k)})
        return arch::pm_timer_reference(*port);
    refuse("clock: neither HPET nor PM timer to measure the TSC with; give its rate: khz=N");
}

void start_chopper(Kernel const& k)
{
    acpi::Tables const tables{acpi::load_tables(physical_memory(), k.info.rsdp)};
    if (!tables.hpet)
        refuse_because(tables.hpet.error());
    if (tables.hpet->empty())
        refuse("option chop={}: the machine has no HPET to chop with; leave it out", k.options.chop_ns);
    Result<PhysAddr, ParseError> const address{acpi::hpet_address(*tables.hpet)};
    if (!address)
        refuse_because(address.error());
    Duration const period{Duration::from_ns(k.options.chop_ns)};
    if (Status<arch::ChopperError> const started{arch::start_chopper(*address, period)}; !started)
        refuse("option chop={}: {}; leave it out", k.options.chop_ns, arch::text_of(started.error()));
    arch::log("chopper: turns end every {} ns", k.options.chop_ns);
}

} // namespace

void start_apic_and_clock(Kernel& k)
{
    arch::apic_map(k.map.local_apic);
    arch::apic_enable();
    std::string_view source{"given by khz="};
    if (k.options.khz != 0) {
        arch::apic_timer_set_rate(arch::measure_apic_timer_khz());
    } else {
        arch::Reference const reference{find_reference(k)};
        arch::Rates const rates{arch::measure_rates(reference)};
        arch::clock_set_rate(rates.tsc_khz);
        arch::apic_timer_set_rate(rates.apic_timer_khz);
        source = reference.kind == arch::ReferenceKind::hpet ? "measured with the HPET" : "measured with the PM timer";
    }
    arch::log("clock: TSC {} kHz, {}; APIC timer {} kHz", arch::clock_khz(), source, arch::apic_timer_khz());
    if (k.options.chop_ns != 0) // Last: measuring uses the HPET, too.
        start_chopper(k);
}

} // namespace hv::boot
