#include "boot/scenario/image.hpp"

namespace hv::scenario {

namespace {

constexpr std::uint32_t fnv_basis = 2'166'136'261;
constexpr std::uint32_t fnv_prime = 16'777'619;

} // namespace

std::uint32_t image_checksum(std::span<std::byte const> image)
{
    std::uint32_t hash{fnv_basis};
    for (std::size_t i = 0; i < image.size(); ++i) {
        bool const own = i >= offsetof(Header, checksum) && i < offsetof(Header, checksum) + sizeof(Header::checksum);
        hash = (hash ^ (own ? 0 : std::to_integer<std::uint32_t>(image[i]))) * fnv_prime;
    }
    return hash;
}

void describe(ImageError const& error, Sink& sink)
{
    // "domain.weight" of row 3 reads better as "domain[3].weight".
    std::string_view const field{error.field};
    std::size_t const dot = field.find('.');
    if (dot == std::string_view::npos || field.starts_with("header"))
        print(sink, "scenario image: {}", field);
    else
        print(sink, "scenario image: {}[{}]{}", std::string_view{field.data(), dot}, error.row,
              std::string_view{field.data() + dot, field.size() - dot});
    print(sink, " at byte {:x} is {}, allowed is ", error.offset, error.found);
    if (error.rule != nullptr)
        sink.write(error.rule);
    else if (error.low == error.high)
        print(sink, "{}", error.low);
    else
        print(sink, "{} to {}", error.low, error.high);
}

MachineCosts ScenarioView::costs() const
{
    Header const& h = header();
    return {ns(h.cpu_bringup_stagger_ns), ns(h.ipi_ns),  ns(h.ctxsw_ns),
            ns(h.timer_late_ns),          ns(h.wake_ns), ns(h.turn_ns)};
}

CpuMask ScenarioView::mask(std::uint32_t row) const
{
    auto const words_a_row = mask_words(static_cast<std::uint32_t>(pcpus().size()));
    auto const* const words =
        reinterpret<std::uint64_t>(header().tables[static_cast<std::size_t>(Table::masks)].offset) + row * words_a_row;
    CpuMask result;
    for (std::uint32_t word = 0; word < words_a_row; ++word)
        for (std::uint64_t rest = words[word]; rest != 0; rest &= rest - 1)
            result.set(CpuId{static_cast<CpuId::Rep>(word * 64 + static_cast<unsigned>(std::countr_zero(rest)))});
    return result;
}

CpuMask ScenarioView::hard_affinity(DomainRecord const& domain, VcpuRecord const& vcpu) const
{
    if (vcpu.hard_mask != no_mask)
        return mask(vcpu.hard_mask);
    if (domain.hard_mask != no_mask)
        return mask(domain.hard_mask);
    return CpuMask::first_n(static_cast<unsigned>(pcpus().size()));
}

std::optional<CpuMask> ScenarioView::soft_affinity(VcpuRecord const& vcpu) const
{
    if (vcpu.soft_mask == no_mask)
        return std::nullopt;
    return mask(vcpu.soft_mask);
}

WorkloadSpec ScenarioView::workload(VcpuRecord const& vcpu) const
{
    return {.kind = vcpu.kind,
            .has_token = vcpu.has_token != 0,
            .partner = VcpuIndex{vcpu.partner},
            .run_min = ns(vcpu.run_min_ns),
            .run_max = ns(vcpu.run_max_ns),
            .block_min = ns(vcpu.block_min_ns),
            .block_max = ns(vcpu.block_max_ns),
            .period = ns(vcpu.period_ns),
            .phase = ns(vcpu.phase_ns),
            .grid = ns(vcpu.grid_ns),
            .guard = ns(vcpu.guard_ns),
            .steps = table<StepRecord>(Table::steps).subspan(vcpu.first_step, vcpu.step_count)};
}

std::optional<std::int64_t> ScenarioView::param(std::string_view key) const
{
    for (ParamRecord const& param : params())
        if (text(param.key) == key)
            return param.value;
    return std::nullopt;
}

Status<ImageError> fits(ScenarioView scenario, Topology const& topology)
{
    Header const& h = scenario.header();
    auto const pcpu_table = h.tables[static_cast<std::size_t>(Table::pcpus)];
    auto const node_table = h.tables[static_cast<std::size_t>(Table::nodes)];
    if (std::size_t const there{topology.online.count()}; pcpu_table.count > there)
        return fail(ImageError{"header.pcpus", pcpu_table.offset, pcpu_table.count, 1, there, nullptr, 0});
    if (node_table.count > topology.node_count())
        return fail(
            ImageError{"header.nodes", node_table.offset, node_table.count, 1, topology.node_count(), nullptr, 0});
    for (std::uint32_t cpu = 0; cpu < pcpu_table.count; ++cpu) {
        std::uint64_t const real = topology.pcpus[cpu].node.value();
        if (scenario.pcpus()[cpu].node != real)
            return fail(ImageError{"pcpu.node", pcpu_table.offset + cpu * sizeof(PcpuRecord),
                                   scenario.pcpus()[cpu].node, real, real, nullptr, cpu});
    }
    return done;
}

} // namespace hv::scenario
