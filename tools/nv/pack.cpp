#include "tools/nv/pack.hpp"

#include "arch/generic/format.hpp"
#include "boot/scenario/image.hpp"
#include "tools/nv/errors.hpp"

#include <algorithm>
#include <cstring>

namespace hv::nv {

namespace {

using namespace hv::scenario;

template <std::size_t N>
std::array<char, N> text_field(std::string_view text)
{
    std::array<char, N> field{};
    std::ranges::copy(text, field.begin()); // The parser saw that it fits.
    return field;
}

std::uint64_t node_bits(std::optional<NodeList> const& nodes)
{
    std::uint64_t bits{0};
    for (std::uint8_t const node : nodes.value_or(NodeList{}))
        bits |= std::uint64_t{1} << node;
    return bits;
}

class Packer {
public:
    explicit Packer(Scenario const& scenario) : scenario_{scenario} {}

    [[nodiscard]] std::vector<std::byte> run()
    {
        for (Domain const& domain : scenario_.domains)
            add_domain(domain);
        Header header = make_header();
        image_.resize(sizeof(Header));
        add_machine(header);
        append(header, Table::domains, domains_.data(), domains_.size() * sizeof(DomainRecord), domains_.size());
        append(header, Table::vcpus, vcpus_.data(), vcpus_.size() * sizeof(VcpuRecord), vcpus_.size());
        append(header, Table::masks, masks_.data(), masks_.size() * 8, masks_.size() / words_a_mask());
        std::vector<ParamRecord> params;
        for (auto const& [key, value] : scenario_.policy_params)
            params.push_back({.key = text_field<sizeof(ShortText)>(key), .value = value});
        append(header, Table::params, params.data(), params.size() * sizeof(ParamRecord), params.size());
        std::vector<ModelRecord> model;
        if (scenario_.memory_model)
            model.push_back(model_record(*scenario_.memory_model));
        append(header, Table::model, model.data(), model.size() * sizeof(ModelRecord), model.size());
        append(header, Table::steps, steps_.data(), steps_.size() * sizeof(StepRecord), steps_.size());
        append(header, Table::changes, scenario_.changes.data(), scenario_.changes.size() * sizeof(ChangeRecord),
               scenario_.changes.size());
        header.total_bytes = static_cast<std::uint32_t>(image_.size());
        std::memcpy(image_.data(), &header, sizeof header);
        header.checksum = image_checksum(image_);
        std::memcpy(image_.data(), &header, sizeof header);
        return std::move(image_);
    }

private:
    [[nodiscard]] std::size_t words_a_mask() const
    {
        return mask_words(static_cast<std::uint32_t>(scenario_.machine.pcpus.size()));
    }

    [[nodiscard]] Header make_header() const
    {
        Machine const& machine = scenario_.machine;
        return {.magic = image_magic,
                .version = image_version,
                .header_bytes = sizeof(Header),
                .total_bytes = 0,
                .checksum = 0,
                .seed = scenario_.seed,
                .warmup_ns = scenario_.warmup_ns,
                .duration_ns = scenario_.duration_ns,
                .cpu_bringup_stagger_ns = machine.cpu_bringup_stagger_ns,
                .ipi_ns = machine.ipi_ns,
                .ctxsw_ns = machine.ctxsw_ns,
                .timer_late_ns = machine.timer_late_ns,
                .wake_ns = machine.wake_ns,
                .turn_ns = machine.turn_ns,
                .tslice_ms = scenario_.tslice_ms,
                .ratelimit_us = scenario_.ratelimit_us,
                .trace_mask = scenario_.trace_mask,
                .trace_ring_kib = scenario_.trace_ring_kib,
                .flags = (machine.firmware_numa ? flag_firmware_numa : 0) | (machine.by_turns ? flag_by_turns : 0) |
                         (scenario_.placement.strict ? flag_placement_strict : 0) |
                         (scenario_.placement.smt == sched::placement::Smt::cores ? flag_placement_cores : 0),
                .placement = static_cast<std::uint32_t>(scenario_.placement.rule),
                .policy = text_field<sizeof(ShortText)>(scenario_.policy),
                .name = text_field<sizeof(NameText)>(scenario_.name),
                .label = text_field<sizeof(ShortText)>(scenario_.label),
                .description = text_field<sizeof(LongText)>(scenario_.description),
                .tables = {}};
    }

    [[nodiscard]] static ModelRecord model_record(MemoryModel const& model)
    {
        ModelRecord record{.name = text_field<sizeof(ShortText)>(model.name),
                           .remote_permille = model.params.remote_permille,
                           .node_mbps = model.params.node_mbps,
                           .link_mbps = model.params.link_mbps,
                           .queueing_permille = model.params.queueing_permille,
                           .classes = {}};
        for (std::size_t i = 0; i < record.classes.size(); ++i) {
            sched::guest::ClassParams const& c = model.params.classes[i];
            record.classes[i] = {c.stall_permille, c.sibling_speed_permille, c.sibling_stall_permille,
                                 c.traffic_mbps,   c.refill_core_ns,         c.refill_node_ns};
        }
        return record;
    }

    void add_machine(Header& header)
    {
        Machine const& machine = scenario_.machine;
        std::vector<PcpuRecord> pcpus;
        for (Pcpu const& pcpu : machine.pcpus)
            pcpus.push_back({pcpu.node, pcpu.socket, pcpu.core, 0});
        append(header, Table::pcpus, pcpus.data(), pcpus.size() * sizeof(PcpuRecord), pcpus.size());
        append(header, Table::nodes, machine.node_memory_mib.data(), machine.node_count() * sizeof(NodeRecord),
               machine.node_count());
        append(header, Table::distances, machine.distances.data(), machine.distances.size(), machine.distances.size());
    }

    void append(Header& header, Table table, void const* data, std::size_t bytes, std::size_t count)
    {
        header.tables[static_cast<std::size_t>(table)] = {static_cast<std::uint32_t>(image_.size()),
                                                          static_cast<std::uint32_t>(count)};
        std::size_t const start = image_.size();
        image_.resize((start + bytes + image_align - 1) / image_align * image_align);
        if (bytes != 0)
            std::memcpy(image_.data() + start, data, bytes);
    }

    std::uint32_t add_mask(std::optional<PcpuList> const& pcpus)
    {
        if (!pcpus)
            return no_mask;
        std::size_t const first = masks_.size();
        masks_.resize(first + words_a_mask());
        for (std::uint16_t const pcpu : *pcpus)
            masks_[first + pcpu / 64u] |= std::uint64_t{1} << pcpu % 64;
        return static_cast<std::uint32_t>(first / words_a_mask());
    }

    void add_domain(Domain const& domain)
    {
        domains_.push_back({.id = domain.id,
                            .weight = domain.weight,
                            .cap = domain.cap,
                            .start_ns = domain.start_ns,
                            .first_vcpu = static_cast<std::uint32_t>(vcpus_.size()),
                            .vcpu_count = static_cast<std::uint32_t>(domain.vcpus.size()),
                            .hard_mask = add_mask(domain.hard_affinity),
                            .memory_policy = domain.memory_policy,
                            .reserved = {},
                            .memory_mib = domain.memory_mib,
                            .memory_nodes = node_bits(domain.memory_nodes),
                            .node_affinity = node_bits(domain.node_affinity),
                            .preferred_nodes = node_bits(domain.preferred_nodes),
                            .name = text_field<sizeof(ShortText)>(domain.name),
                            .group = text_field<sizeof(ShortText)>(domain.group)});
        for (Vcpu const& vcpu : domain.vcpus)
            add_vcpu(vcpu);
    }

    void add_vcpu(Vcpu const& vcpu)
    {
        Workload const& work = vcpu.workload;
        vcpus_.push_back({.initial_pcpu = vcpu.initial_pcpu,
                          .kind = work.kind,
                          .partner = work.partner,
                          .has_token = static_cast<std::uint16_t>(work.has_token ? 1 : 0),
                          .hard_mask = add_mask(vcpu.hard_affinity),
                          .soft_mask = add_mask(vcpu.soft_affinity),
                          .run_min_ns = work.run_min_ns,
                          .run_max_ns = work.run_max_ns,
                          .block_min_ns = work.block_min_ns,
                          .block_max_ns = work.block_max_ns,
                          .period_ns = work.period_ns,
                          .phase_ns = work.phase_ns,
                          .grid_ns = work.grid_ns,
                          .guard_ns = work.guard_ns,
                          .first_step = static_cast<std::uint32_t>(steps_.size()),
                          .step_count = static_cast<std::uint32_t>(work.steps.size())});
        steps_.insert(steps_.end(), work.steps.begin(), work.steps.end());
    }

    Scenario const& scenario_;
    std::vector<std::byte> image_;
    std::vector<DomainRecord> domains_;
    std::vector<VcpuRecord> vcpus_;
    std::vector<StepRecord> steps_;
    std::vector<std::uint64_t> masks_;
};

} // namespace

std::vector<std::byte> pack(Scenario const& scenario)
{
    std::vector<std::byte> image = Packer{scenario}.run();
    // What the kernel would say of it; anything but yes is a fault of the parser or of the packer.
    if (auto const view = validate(image); !view.ok()) {
        std::array<char, 256> line; // NOLINT(cppcoreguidelines-pro-type-member-init): the sink fills what is used.
        BufferSink sink{line};
        describe(view.error(), sink);
        give_up(std::string{sink.text()});
    }
    return image;
}

} // namespace hv::nv
