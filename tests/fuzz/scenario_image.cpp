// The kernel's boot module: a scenario of which every number can be relied on, or one line that names the field.
//
// If the input's first byte is odd, its checksum is put right first. The image begins at its 9th byte.
#include "boot/scenario/image.hpp"
#include "tests/fuzz/memory_image.hpp"

namespace {

using namespace hv;

// Reads all that a kernel reads.
void use(scenario::ScenarioView view)
{
    std::size_t const pcpus{view.pcpus().size()}, nodes{view.nodes().size()};
    HV_ASSERT(pcpus >= 1 && nodes >= 1);
    HV_ASSERT(view.distances().empty() || view.distances().size() == nodes * nodes);
    for (scenario::PcpuRecord const& pcpu : view.pcpus())
        HV_ASSERT(pcpu.node < nodes);
    CpuMask const all{CpuMask::first_n(static_cast<unsigned>(pcpus))};
    for (scenario::DomainRecord const& domain : view.domains())
        for (scenario::VcpuRecord const& vcpu : view.vcpus(domain)) {
            CpuMask const hard{view.hard_affinity(domain, vcpu)};
            HV_ASSERT(!hard.empty() && hard.is_subset_of(all));
            HV_ASSERT(vcpu.initial_pcpu < pcpus);
            scenario::WorkloadSpec const w{view.workload(vcpu)};
            for (scenario::StepRecord const& step : w.steps)
                HV_ASSERT(step.kind != sched::guest::StepKind::notify || step.target < view.all_vcpus().size());
            HV_ASSERT(w.run_min <= w.run_max && w.block_min <= w.block_max);
            if (std::optional<CpuMask> const soft{view.soft_affinity(vcpu)})
                HV_ASSERT(soft->is_subset_of(all));
        }
    HV_ASSERT(view.name().size() < sizeof(scenario::NameText));
    static_cast<void>(view.costs());
    static_cast<void>(view.param("tslice"));
}

struct Describable {
    scenario::ImageError error;
};
void describe(Describable const& d, Sink& sink) { scenario::describe(d.error, sink); }

} // namespace

HV_FUZZ_TARGET(scenario_image)
{
    constexpr std::size_t prefix = 8;
    if (input.size() < prefix)
        return;
    std::vector<std::uint64_t> aligned((input.size() - prefix + 7) / 8);
    std::span<std::byte> const image{std::as_writable_bytes(std::span{aligned}).first(input.size() - prefix)};
    if (!image.empty())
        std::memcpy(image.data(), input.data() + prefix, image.size());
    if (input[0] % 2 == 1 && image.size() >= sizeof(scenario::Header)) {
        std::uint32_t const total{boot::load<std::uint32_t>(image, offsetof(scenario::Header, total_bytes))};
        std::uint32_t const sum{scenario::image_checksum(image.first(total <= image.size() ? total : image.size()))};
        std::memcpy(image.data() + offsetof(scenario::Header, checksum), &sum, sizeof sum);
    }
    Result<scenario::ScenarioView, scenario::ImageError> const view{scenario::validate(image)};
    if (view)
        use(*view);
    else
        fuzz::expect_one_line(Describable{view.error()});
}
