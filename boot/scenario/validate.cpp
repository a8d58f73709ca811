// validate(): the checks of the header, the tables and the machine. Domains and vCPUs are in validate_domains.cpp.
#include "boot/scenario/changes.hpp"
#include "boot/scenario/checker.hpp"

namespace hv::scenario {

namespace {

constexpr std::array<std::uint32_t, table_count> record_bytes{
    sizeof(PcpuRecord),   sizeof(NodeRecord),  sizeof(Distance),
    sizeof(DomainRecord), sizeof(VcpuRecord),  0 /* a mask row: depends on the machine */,
    sizeof(ParamRecord),  sizeof(ModelRecord), sizeof(StepRecord),
    sizeof(ChangeRecord)};

constexpr std::array<char const*, table_count> table_names{
    "header.pcpus", "header.nodes",  "header.distances", "header.domains", "header.vcpus",
    "header.masks", "header.params", "header.model",     "header.steps",   "header.changes"};

} // namespace

bool Checker::check_start()
{
    if (reinterpret_cast<std::uintptr_t>(image_.data()) % image_align != 0)
        return refuse("header", 0, reinterpret_cast<std::uintptr_t>(image_.data()) % image_align,
                      "a start at a multiple of 8");
    if (image_.size() < sizeof(Header))
        return refuse("header", 0, image_.size(), "an image of at least 568 bytes");
    Header const& h = header();
    if (!range("header.magic", h.magic, image_magic, image_magic) ||
        !range("header.version", h.version, image_version, image_version) ||
        !range("header.header_bytes", h.header_bytes, sizeof(Header), sizeof(Header)) ||
        !range("header.total_bytes", h.total_bytes, sizeof(Header), image_.size()))
        return false;
    image_ = image_.first(h.total_bytes);
    std::uint32_t const sum = image_checksum(image_);
    return range("header.checksum", h.checksum, sum, sum);
}

bool Checker::check_header()
{
    Header const& h = header();
    bool const ring_ok = h.trace_ring_kib == 0 || std::has_single_bit(h.trace_ring_kib);
    if (!ring_ok)
        return refuse("header.trace_ring_kib", offset_of(&h.trace_ring_kib), h.trace_ring_kib, "0 or a power of two");
    if ((h.flags & ~known_flags) != 0)
        return refuse("header.flags", offset_of(&h.flags), h.flags, "known flags only");
    if ((h.flags & flag_by_turns) != 0 && ref(Table::model).count != 0)
        return refuse("header.flags", offset_of(&h.flags), h.flags, "no turns, where there is a model");
    return time("header.warmup_ns", h.warmup_ns) && time("header.duration_ns", h.duration_ns, 1) &&
           time("header.cpu_bringup_stagger_ns", h.cpu_bringup_stagger_ns) && time("header.ipi_ns", h.ipi_ns) &&
           time("header.ctxsw_ns", h.ctxsw_ns) && time("header.timer_late_ns", h.timer_late_ns) &&
           time("header.wake_ns", h.wake_ns) && time("header.turn_ns", h.turn_ns) &&
           range("header.tslice_ms", h.tslice_ms, 1, max_tslice_ms) &&
           range("header.ratelimit_us", h.ratelimit_us, 0, max_ratelimit_us) &&
           range("header.trace_ring_kib", h.trace_ring_kib, 0, max_ring_kib) &&
           range("header.placement", h.placement, 0, sched::placement::last_rule) &&
           text("header.policy", h.policy, true) && text("header.name", h.name, false) &&
           text("header.label", h.label, true) && text("header.description", h.description, true);
}

// Each table starts where the one before it ended, so tables cannot overlap and nothing lies between them but padding.
bool Checker::check_tables()
{
    Header const& h = header();
    std::uint64_t const pcpus = ref(Table::pcpus).count;
    std::uint64_t const nodes = ref(Table::nodes).count;
    if (!range(table_names[0], ref(Table::pcpus).count, 1, max_pcpus) ||
        !range(table_names[1], ref(Table::nodes).count, 1, max_nodes) ||
        !range(table_names[2], ref(Table::distances).count, nodes * nodes, nodes * nodes) ||
        !range(table_names[3], ref(Table::domains).count, 0, max_domains) ||
        !range(table_names[4], ref(Table::vcpus).count, 0, max_vcpus) ||
        !range(table_names[5], ref(Table::masks).count, 0, max_masks) ||
        !range(table_names[6], ref(Table::params).count, 0, max_params) ||
        !range(table_names[7], ref(Table::model).count, 0, 1) ||
        !range(table_names[8], ref(Table::steps).count, 0, max_steps) ||
        !range(table_names[9], ref(Table::changes).count, 0, max_changes))
        return false;
    std::uint64_t end{sizeof(Header)};
    for (std::size_t i = 0; i < table_count; ++i) {
        if (!range(table_names[i], h.tables[i].offset, end, end))
            return false;
        std::uint64_t const bytes = i == static_cast<std::size_t>(Table::masks)
                                        ? mask_words(static_cast<std::uint32_t>(pcpus)) * 8ull
                                        : record_bytes[i];
        std::uint64_t const used = end + bytes * h.tables[i].count;
        end = (used + image_align - 1) / image_align * image_align;
        if (end > h.total_bytes)
            return refuse(table_names[i], offset_of(&h.tables[i].count), h.tables[i].count, "a table inside the image");
        for (std::uint64_t at_byte = used; at_byte < end; ++at_byte)
            if (image_[at_byte] != std::byte{0})
                return refuse("header.padding", at_byte, std::to_integer<std::uint64_t>(image_[at_byte]), "0");
    }
    return range("header.total_bytes", h.total_bytes, end, end);
}

// Sockets and cores are numbered from 0 without gaps; a core is in one socket and one node.
bool Checker::check_pcpus()
{
    std::uint32_t const count = ref(Table::pcpus).count;
    CpuMask sockets, cores;
    for (row_ = 0; row_ < count; ++row_) {
        auto const& pcpu = record<PcpuRecord>(Table::pcpus, row_);
        if (!range("pcpu.node", pcpu.node, 0, ref(Table::nodes).count - 1) ||
            !range("pcpu.socket", pcpu.socket, 0, count - 1) || !range("pcpu.core", pcpu.core, 0, count - 1) ||
            !range("pcpu.reserved", pcpu.reserved, 0, 0))
            return false;
        sockets.set(CpuId{pcpu.socket});
        if (cores.test(CpuId{pcpu.core})) {
            std::uint32_t sibling{0};
            while (record<PcpuRecord>(Table::pcpus, sibling).core != pcpu.core)
                ++sibling;
            auto const& other = record<PcpuRecord>(Table::pcpus, sibling);
            if (!range("pcpu.socket", pcpu.socket, other.socket, other.socket) ||
                !range("pcpu.node", pcpu.node, other.node, other.node))
                return false;
        }
        cores.set(CpuId{pcpu.core});
    }
    row_ = 0;
    std::uint64_t const at_table = ref(Table::pcpus).offset;
    if (sockets != CpuMask::first_n(sockets.count()))
        return refuse("header.sockets", at_table, sockets.count(), "socket numbers from 0 without gaps");
    if (cores != CpuMask::first_n(cores.count()))
        return refuse("header.cores", at_table, cores.count(), "core numbers from 0 without gaps");
    return true;
}

bool Checker::check_nodes()
{
    bool any_memory{false};
    for (row_ = 0; row_ < ref(Table::nodes).count; ++row_) {
        auto const& node = record<NodeRecord>(Table::nodes, row_);
        if (!range("node.memory_mib", node.memory_mib, 0, max_node_memory_mib))
            return false;
        any_memory = any_memory || node.memory_mib != 0;
    }
    row_ = 0;
    return any_memory || refuse("header.nodes", ref(Table::nodes).offset, 0, "at least one node with memory");
}

bool Checker::check_distances()
{
    std::uint32_t const nodes = ref(Table::nodes).count;
    for (row_ = 0; row_ < nodes * nodes; ++row_) {
        bool const local = row_ / nodes == row_ % nodes;
        if (!range("distance.value", record<Distance>(Table::distances, row_), local_distance,
                   local ? local_distance : unreachable_distance))
            return false;
    }
    row_ = 0;
    return true;
}

bool Checker::check_masks()
{
    std::uint32_t const pcpus = ref(Table::pcpus).count;
    std::uint32_t const words = mask_words(pcpus);
    std::uint64_t const last_bits = pcpus % 64 == 0 ? ~0ull : (1ull << pcpus % 64) - 1;
    for (row_ = 0; row_ < ref(Table::masks).count; ++row_) {
        bool any{false};
        for (std::uint32_t word = 0; word < words; ++word) {
            auto const& bits = record<std::uint64_t>(Table::masks, row_ * words + word);
            if (word == words - 1 && (bits & ~last_bits) != 0)
                return refuse("mask.bits", offset_of(&bits), bits, "pCPUs of this machine");
            any = any || bits != 0;
        }
        if (!any)
            return refuse("mask.bits", ref(Table::masks).offset + row_ * words * 8ull, 0, "at least one pCPU");
    }
    row_ = 0;
    return true;
}

bool Checker::check_params()
{
    for (row_ = 0; row_ < ref(Table::params).count; ++row_) {
        auto const& param = record<ParamRecord>(Table::params, row_);
        if (!text("param.key", param.key, false))
            return false;
        for (std::uint32_t other = 0; other < row_; ++other)
            if (record<ParamRecord>(Table::params, other).key == param.key)
                return refuse("param.key", offset_of(&param.key), row_, "a name that no other parameter has");
    }
    return true;
}

// The limits keep the model's products within 64 bits (sched/guest/memory_model.cpp).
bool Checker::check_model()
{
    if (ref(Table::model).count == 0)
        return true;
    auto const& model = record<ModelRecord>(Table::model, 0);
    if (!text("model.name", model.name, false) ||
        !range("model.remote_permille", model.remote_permille, 1'000, 5'000) ||
        !range("model.node_mbps", model.node_mbps, 1, max_model_mbps) ||
        !range("model.link_mbps", model.link_mbps, 1, max_model_mbps) ||
        !range("model.queueing_permille", model.queueing_permille, 0, 2'000))
        return false;
    for (ModelClassRecord const& c : model.classes)
        if (!range("model.stall_permille", c.stall_permille, 0, 1'000) ||
            !range("model.sibling_speed_permille", c.sibling_speed_permille, 1, 1'000) ||
            !range("model.sibling_stall_permille", c.sibling_stall_permille, 1, 10'000) ||
            !range("model.traffic_mbps", c.traffic_mbps, 0, max_model_mbps) ||
            !range("model.refill_core_ns", c.refill_core_ns, 0, max_refill_ns) ||
            !range("model.refill_node_ns", c.refill_node_ns, 0, max_refill_ns))
            return false;
    return true;
}

bool Checker::check_changes()
{
    std::span<ChangeRecord const> const changes{&record<ChangeRecord>(Table::changes, 0), ref(Table::changes).count};
    std::uint64_t before{0};
    for (row_ = 0; row_ < changes.size(); ++row_) {
        ChangeRecord const& change{changes[row_]};
        std::uint32_t const subjects{is_of_pcpu(change.kind) ? ref(Table::pcpus).count : ref(Table::domains).count};
        if (!range("change.at_ns", change.at_ns, before, max_time_ns) ||
            !range("change.kind", change.kind, 0, last_change_kind) || !range("change.reserved", change.reserved, 0, 0))
            return false;
        if (change.subject >= subjects)
            return refuse("change.subject", offset_of(&change.subject), change.subject, "a domain or pCPU that exists");
        if (char const* const rule = rule_broken_by(changes, row_, ref(Table::pcpus).count); rule != nullptr)
            return refuse("change.kind", offset_of(&change.kind), static_cast<std::uint64_t>(change.kind), rule);
        before = change.at_ns;
    }
    row_ = 0;
    return true;
}

Result<ScenarioView, ImageError> validate(std::span<std::byte const> image)
{
    Checker checker{image};
    if (!checker.run())
        return fail(checker.error());
    return ScenarioView{checker.image()};
}

} // namespace hv::scenario
