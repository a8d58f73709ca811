#include "arch/generic/assert.hpp"
#include "arch/host/machine_shape.hpp"
#include "boot/console/affinity_text.hpp"
#include "tests/fuzz/target.hpp"

#include <array>

namespace {

using namespace hv;

std::string_view text_of(CpuMask const& cpus, std::array<char, 256>& buffer)
{
    BufferSink sink{buffer};
    console::write_map(sink, cpus, 16);
    HV_ASSERT(!sink.truncated());
    return sink.text();
}

} // namespace

// Whatever is accepted lies within the machine, and its printed form means the same set.
HV_FUZZ_TARGET(affinity)
{
    static arch::MachineShape const shape{arch::MachineShape::regular(2, 8, 1), 2};
    std::string_view const text{reinterpret_cast<char const*>(input.data()), input.size()};
    CpuMask cpus, again;
    NodeMask nodes;
    if (auto const nodes_are = console::parse_nodes(text, shape.topology(), nodes);
        nodes_are && nodes != NodeMask::all())
        HV_ASSERT(nodes.is_subset_of(NodeMask::first_n(2)));
    auto const parsed = console::parse_affinity(text, shape.topology(), cpus);
    std::array<char, 256> buffer{};
    if (!parsed) {
        HV_ASSERT(!parsed.error().item.empty() && !parsed.error().what.empty());
        return;
    }
    HV_ASSERT(cpus.is_subset_of(CpuMask::first_n(16)));
    if (std::string_view const printed{text_of(cpus, buffer)}; printed != "none") {
        HV_ASSERT(console::parse_affinity(printed, shape.topology(), again).ok());
        HV_ASSERT(again == cpus);
    }
}
