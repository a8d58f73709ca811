// validate(): the checks of a scenario image, in the order of its bytes. The first that fails is the answer.
#include "boot/scenario/image.hpp"

namespace hv::scenario {

namespace {

constexpr std::array<std::uint32_t, table_count> record_bytes{
    sizeof(PcpuRecord), sizeof(NodeRecord), sizeof(Distance), sizeof(DomainRecord),
    sizeof(VcpuRecord), 0 /* a mask row: depends on the machine */, sizeof(ParamRecord)};

constexpr std::array<char const*, table_count> table_names{"header.pcpus",     "header.nodes", "header.distances",
                                                           "header.domains",   "header.vcpus", "header.masks",
                                                           "header.params"};

class Checker {
public:
    explicit Checker(std::span<std::byte const> image) : image_{image} {}

    [[nodiscard]] bool run()
    {
        return check_start() && check_header() && check_tables() && check_pcpus() && check_nodes() && check_distances() &&
               check_masks() && check_domains() && check_vcpus() && check_params();
    }
    [[nodiscard]] ImageError const& error() const { return error_; }
    [[nodiscard]] std::span<std::byte const> image() const { return image_; }

private:
    template <typename T>
    [[nodiscard]] T const& at(std::size_t offset) const
    {
        return *static_cast<T const*>(static_cast<void const*>(image_.data() + offset));
    }
    [[nodiscard]] Header const& header() const { return at<Header>(0); }
    [[nodiscard]] TableRef const& ref(Table which) const { return header().tables[static_cast<std::size_t>(which)]; }
    template <typename T>
    [[nodiscard]] T const& record(Table which, std::uint32_t row) const
    {
        return at<T>(ref(which).offset + row * sizeof(T));
    }
    [[nodiscard]] std::uint64_t offset_of(void const* place) const
    {
        return static_cast<std::uint64_t>(static_cast<std::byte const*>(place) - image_.data());
    }

    bool refuse(char const* field, std::uint64_t offset, std::uint64_t found, char const* rule)
    {
        error_ = {field, offset, found, 0, 0, rule, row_};
        return false;
    }
    // The value of `place`, a field of the image, must be in [low, high].
    template <typename T>
    bool range(char const* field, T const& place, std::uint64_t low, std::uint64_t high)
    {
        auto const found = static_cast<std::uint64_t>(place);
        if (found >= low && found <= high)
            return true;
        error_ = {field, offset_of(&place), found, low, high, nullptr, row_};
        return false;
    }
    template <typename T>
    bool time(char const* field, T const& place, std::uint64_t low = 0)
    {
        return range(field, place, low, max_time_ns);
    }
    template <std::size_t N>
    bool text(char const* field, std::array<char, N> const& place, bool may_be_empty);
    bool mask_row(char const* field, std::uint32_t const& place);
    bool node_set(char const* field, std::uint64_t const& place);

    bool check_start();
    bool check_header();
    bool check_tables();
    bool check_pcpus();
    bool check_nodes();
    bool check_distances();
    bool check_masks();
    bool check_domains();
    bool check_domain(DomainRecord const& domain);
    bool check_vcpus();
    bool check_vcpu(VcpuRecord const& vcpu, std::uint32_t siblings, std::uint32_t index);
    bool check_workload(VcpuRecord const& vcpu);
    bool check_pair(DomainRecord const& domain, VcpuRecord const& vcpu, std::uint32_t index);
    bool check_params();

    std::span<std::byte const> image_;
    std::uint32_t row_{0};
    ImageError error_{};
};

// Printable, terminated, padded with NULs.
template <std::size_t N>
bool Checker::text(char const* field, std::array<char, N> const& place, bool may_be_empty)
{
    std::size_t length{0};
    while (length < N && place[length] != '\0')
        ++length;
    if (length == N)
        return refuse(field, offset_of(&place), N, "a text that ends with a NUL inside its field");
    if (length == 0 && !may_be_empty)
        return refuse(field, offset_of(&place), 0, "a text that is not empty");
    for (std::size_t i = 0; i < N; ++i) {
        auto const c = static_cast<unsigned char>(place[i]);
        if (i < length && (c < 0x20 || c == 0x7f))
            return refuse(field, offset_of(&place[i]), c, "printable characters");
        if (i > length && c != 0)
            return refuse(field, offset_of(&place[i]), c, "NULs behind the end of the text");
    }
    return true;
}

bool Checker::mask_row(char const* field, std::uint32_t const& place)
{
    if (place == no_mask || place < ref(Table::masks).count)
        return true;
    return refuse(field, offset_of(&place), place, "a row of the mask table, or 0xffffffff");
}

bool Checker::node_set(char const* field, std::uint64_t const& place)
{
    if (NodeMask::from_bits(place).is_subset_of(NodeMask::first_n(ref(Table::nodes).count)))
        return true;
    return refuse(field, offset_of(&place), place, "bits of nodes of this machine");
}

bool Checker::check_start()
{
    if (reinterpret_cast<std::uintptr_t>(image_.data()) % image_align != 0)
        return refuse("header", 0, reinterpret_cast<std::uintptr_t>(image_.data()) % image_align, "a start at a multiple of 8");
    if (image_.size() < sizeof(Header))
        return refuse("header", 0, image_.size(), "an image of at least 536 bytes");
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
    return time("header.warmup_ns", h.warmup_ns) && time("header.duration_ns", h.duration_ns, 1) &&
           time("header.cpu_bringup_stagger_ns", h.cpu_bringup_stagger_ns) && time("header.ipi_ns", h.ipi_ns) &&
           time("header.ctxsw_ns", h.ctxsw_ns) && time("header.timer_late_ns", h.timer_late_ns) &&
           range("header.tslice_ms", h.tslice_ms, 1, max_tslice_ms) &&
           range("header.ratelimit_us", h.ratelimit_us, 0, max_ratelimit_us) &&
           range("header.trace_ring_kib", h.trace_ring_kib, 0, max_ring_kib) &&
           range("header.reserved", h.reserved, 0, 0) && text("header.policy", h.policy, true) &&
           text("header.name", h.name, false) && text("header.label", h.label, true) &&
           text("header.description", h.description, true);
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
        !range(table_names[6], ref(Table::params).count, 0, max_params))
        return false;
    std::uint64_t end{sizeof(Header)};
    for (std::size_t i = 0; i < table_count; ++i) {
        if (!range(table_names[i], h.tables[i].offset, end, end))
            return false;
        std::uint64_t const bytes =
            i == static_cast<std::size_t>(Table::masks) ? mask_words(static_cast<std::uint32_t>(pcpus)) * 8ull : record_bytes[i];
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
        if (!range("pcpu.node", pcpu.node, 0, ref(Table::nodes).count - 1) || !range("pcpu.socket", pcpu.socket, 0, count - 1) ||
            !range("pcpu.core", pcpu.core, 0, count - 1) || !range("pcpu.reserved", pcpu.reserved, 0, 0))
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

bool Checker::check_domain(DomainRecord const& domain)
{
    if (!range("domain.id", domain.id, 0, max_domain_id) || !range("domain.weight", domain.weight, 1, max_weight) ||
        !range("domain.vcpu_count", domain.vcpu_count, 1, max_domain_vcpus) ||
        !range("domain.cap", domain.cap, 0, max_cap_per_vcpu * domain.vcpu_count) ||
        !time("domain.start_ns", domain.start_ns) || !mask_row("domain.hard_mask", domain.hard_mask) ||
        !range("domain.memory_policy", domain.memory_policy, 0, static_cast<std::uint64_t>(MemoryPolicy::interleave)) ||
        !range("domain.memory_mib", domain.memory_mib, 0, max_node_memory_mib) ||
        !node_set("domain.memory_nodes", domain.memory_nodes) || !node_set("domain.node_affinity", domain.node_affinity) ||
        !node_set("domain.preferred_nodes", domain.preferred_nodes) || !text("domain.name", domain.name, false) ||
        !text("domain.group", domain.group, false))
        return false;
    for (std::uint8_t const& byte : domain.reserved)
        if (!range("domain.reserved", byte, 0, 0))
            return false;
    if ((domain.memory_policy == MemoryPolicy::automatic) != (domain.memory_nodes == 0))
        return refuse("domain.memory_nodes", offset_of(&domain.memory_nodes), domain.memory_nodes,
                      "nodes with, and none without, a memory policy");
    return true;
}

bool Checker::check_domains()
{
    std::uint64_t next_vcpu{0};
    for (row_ = 0; row_ < ref(Table::domains).count; ++row_) {
        auto const& domain = record<DomainRecord>(Table::domains, row_);
        if (!check_domain(domain) || !range("domain.first_vcpu", domain.first_vcpu, next_vcpu, next_vcpu))
            return false;
        next_vcpu += domain.vcpu_count;
        for (std::uint32_t other = 0; other < row_; ++other)
            if (record<DomainRecord>(Table::domains, other).id == domain.id)
                return refuse("domain.id", offset_of(&domain.id), domain.id, "a number that no other domain has");
    }
    row_ = 0;
    return range("header.vcpus", ref(Table::vcpus).count, next_vcpu, next_vcpu);
}

bool Checker::check_vcpus()
{
    row_ = 0;
    for (std::uint32_t d = 0; d < ref(Table::domains).count; ++d) {
        auto const& domain = record<DomainRecord>(Table::domains, d);
        for (std::uint32_t index = 0; index < domain.vcpu_count; ++index, ++row_) {
            auto const& vcpu = record<VcpuRecord>(Table::vcpus, row_);
            if (!check_vcpu(vcpu, domain.vcpu_count, index) || !check_workload(vcpu) || !check_pair(domain, vcpu, index))
                return false;
        }
    }
    row_ = 0;
    return true;
}

bool Checker::check_vcpu(VcpuRecord const& vcpu, std::uint32_t siblings, std::uint32_t index)
{
    bool const pair = vcpu.kind == WorkloadKind::pingpong;
    if (!range("vcpu.initial_pcpu", vcpu.initial_pcpu, 0, ref(Table::pcpus).count - 1) ||
        !range("vcpu.kind", vcpu.kind, 0, last_workload_kind) ||
        !range("vcpu.partner", vcpu.partner, 0, pair ? siblings - 1 : 0) ||
        !range("vcpu.has_token", vcpu.has_token, 0, pair ? 1 : 0) || !mask_row("vcpu.hard_mask", vcpu.hard_mask) ||
        !mask_row("vcpu.soft_mask", vcpu.soft_mask))
        return false;
    if (pair && vcpu.partner == index)
        return refuse("vcpu.partner", offset_of(&vcpu.partner), vcpu.partner, "another vCPU of the domain");
    return true;
}

// What a kind does not use must be zero: a value there was meant for something.
bool Checker::check_workload(VcpuRecord const& vcpu)
{
    WorkloadKind const kind = vcpu.kind;
    bool const burst = kind == WorkloadKind::burst, periodic = kind == WorkloadKind::periodic;
    bool const grid = kind == WorkloadKind::gridsleep, runs = burst || periodic || kind == WorkloadKind::pingpong;
    // {in use, lowest}: the highest is max_time_ns for a field in use.
    auto const field = [&](char const* name, std::uint64_t const& place, bool used, std::uint64_t low, std::uint64_t high) {
        return range(name, place, used ? low : 0, used ? high : 0);
    };
    return field("vcpu.run_min_ns", vcpu.run_min_ns, runs, 1, max_time_ns) &&
           field("vcpu.run_max_ns", vcpu.run_max_ns, runs, vcpu.run_min_ns, burst ? max_time_ns : vcpu.run_min_ns) &&
           field("vcpu.block_min_ns", vcpu.block_min_ns, burst, 1, max_time_ns) &&
           field("vcpu.block_max_ns", vcpu.block_max_ns, burst, vcpu.block_min_ns, max_time_ns) &&
           field("vcpu.period_ns", vcpu.period_ns, periodic, 1, max_time_ns) &&
           field("vcpu.phase_ns", vcpu.phase_ns, periodic, 0, max_time_ns) &&
           field("vcpu.grid_ns", vcpu.grid_ns, grid, 2, max_time_ns) &&
           field("vcpu.guard_ns", vcpu.guard_ns, grid, 1, vcpu.grid_ns - 1);
}

// Ping-pong partners name each other, and one of them has the token.
bool Checker::check_pair(DomainRecord const& domain, VcpuRecord const& vcpu, std::uint32_t index)
{
    if (vcpu.kind != WorkloadKind::pingpong)
        return true;
    auto const& partner = record<VcpuRecord>(Table::vcpus, domain.first_vcpu + vcpu.partner);
    if (partner.kind != WorkloadKind::pingpong || partner.partner != index)
        return refuse("vcpu.partner", offset_of(&vcpu.partner), vcpu.partner, "a ping-pong vCPU whose partner is this one");
    if (partner.has_token == vcpu.has_token)
        return refuse("vcpu.has_token", offset_of(&vcpu.has_token), vcpu.has_token, "the token with exactly one of the partners");
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

} // namespace

Result<ScenarioView, ImageError> validate(std::span<std::byte const> image)
{
    Checker checker{image};
    if (!checker.run())
        return fail(checker.error());
    return ScenarioView{checker.image()};
}

} // namespace hv::scenario
