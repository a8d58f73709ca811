// What the kernel made of the firmware's description, against that description and against itself.
#include "arch/x86_64/irq_save.hpp"
#include "boot/acpi/rsdp.hpp"
#include "boot/acpi/srat.hpp"
#include "boot/selftest.hpp"
#include "tests/kernel/support.hpp"

#include <array>

namespace hv::test {
namespace {

boot::acpi::MachineMap const& map() { return boot::kernel().map; }
mm::NodeMap const& node_map() { return boot::kernel().pages->node_map(); }

// The slow way: all ranges, one after the other.
std::optional<NodeId> node_by_walk(std::uint64_t address)
{
    for (boot::acpi::MemoryRange const& range : map().memory)
        if (address >= range.base.value() && address < range.end())
            return range.node;
    return std::nullopt;
}

// One page around the boundary: its last byte below, its first byte, and the pages on both sides.
bool agrees_around(std::uint64_t boundary)
{
    constexpr std::uint64_t page = 4096;
    std::array<std::uint64_t, 6> const addresses{boundary - page, boundary - 1,        boundary,
                                                 boundary + 1,    boundary + page - 1, boundary + page};
    for (std::uint64_t const address : addresses)
        if (node_map().node_of(PhysAddr{address}) != node_by_walk(address))
            return false;
    return true;
}

} // namespace

HV_SELFTEST(machine_node_map_agrees_at_every_block_boundary)
{
    HV_CHECK(!map().memory.empty());
    for (boot::acpi::MemoryRange const& range : map().memory) {
        HV_CHECK(agrees_around(range.base.value()));
        HV_CHECK(agrees_around(range.end()));
        HV_CHECK(agrees_around(range.base.value() + range.length / 2));
    }
    for (boot::acpi::SratMemory const& block : map().srat_memory) {
        HV_CHECK(agrees_around(block.base.value()));
        HV_CHECK(agrees_around(block.base.value() + block.length));
    }
    for (boot::MemoryRegion const& region : boot::kernel().info.regions) {
        HV_CHECK(agrees_around(region.base.value()));
        HV_CHECK(agrees_around(region.base.value() + region.length));
    }
}

HV_SELFTEST(machine_hot_pluggable_ranges_are_no_memory)
{
    bool any{false};
    for (boot::acpi::SratMemory const& block : map().srat_memory) {
        if (!block.hot_pluggable)
            continue;
        any = true;
        HV_CHECK(!node_map().node_of(block.base));
        HV_CHECK(!node_map().node_of(PhysAddr{block.base.value() + block.length - 1}));
    }
    if (!any)
        HV_SKIP("the firmware has no hot-pluggable range");
}

// Reads SRAT once more: the first entry of a present pCPU decides, in whatever order nodes were numbered.
HV_SELFTEST(machine_pcpus_are_on_the_nodes_that_srat_names)
{
    if (map().fallback_reason.is_set())
        HV_SKIP("SRAT is not in use");
    boot::acpi::Tables const tables{boot::acpi::load_tables(boot::physical_memory(), boot::kernel().info.rsdp)};
    HV_CHECK(tables.srat && !tables.srat->empty());
    std::array<bool, boot::acpi::max_pcpus> seen{};
    bool right{true};
    Status<boot::ParseError> const walked{boot::acpi::walk_srat(
        *tables.srat,
        [&](boot::acpi::SratCpu const& cpu) {
            for (unsigned i = 0; i < arch::pcpu_count(); ++i) {
                arch::Percpu const& block{arch::percpu(CpuId{static_cast<CpuId::Rep>(i)})};
                if (block.apic_id != cpu.apic_id || seen[i])
                    continue;
                seen[i] = true;
                right = right && map().pxm[block.node.value()] == cpu.pxm;
            }
        },
        [](boot::acpi::SratMemory const&) {})};
    HV_CHECK(walked.ok());
    HV_CHECK(right);
}

HV_SELFTEST(machine_pages_of_each_node_are_those_of_its_blocks)
{
    for (NodeId const node : boot::kernel().pages->usable()) {
        std::uint64_t bytes{0};
        for (boot::acpi::MemoryRange const& range : map().memory)
            bytes += range.node == node ? range.length : 0;
        HV_CHECK(page_stats(node).present == bytes / 4096);
    }
}

} // namespace hv::test
