// Reading a scenario image (boot/scenario/layout.hpp): validate() looks at every field once, and only then gives out a
// view. So whoever holds a ScenarioView may rely on every number in it: indices exist, ranges are ordered, texts end.
//
// The view refers to the caller's bytes and is valid while they are; it is copied freely. Freestanding: the kernel
// calls this on its boot module. No state, no locks. Floor: boot (shared with the host; includes arch/generic only).
#pragma once

#include "arch/generic/format.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/result.hpp"
#include "arch/generic/time.hpp"
#include "arch/generic/topology.hpp"
#include "boot/scenario/layout.hpp"
#include "sched/placement/placement.hpp"

#include <optional>
#include <span>
#include <string_view>

namespace hv::scenario {

// Why an image was refused: one field, its place, what was found there and what is allowed.
struct ImageError {
    char const* field;       // as in layout.hpp, "header.magic", "domain.weight"
    std::uint64_t offset;    // bytes from the start of the image
    std::uint64_t found;     // the value there (lengths and counts too)
    std::uint64_t low, high; // allowed range, unless `rule` says more
    char const* rule;        // nullptr, or what is allowed in words
    std::uint32_t row;       // of the table; 0 in the header
};

// Writes one line without line end: "scenario image: domain[3].weight at byte 0x1b8 is 70000, allowed is 1 to 65535".
void describe(ImageError const& error, Sink& sink);

// What a vCPU executes: the workload kinds of docs/scenario-format.md. What a kind does not use is zero.
struct WorkloadSpec {
    WorkloadKind kind{WorkloadKind::hog};
    bool has_token{false};             // pingpong, fork
    VcpuIndex partner{};               // pingpong, fork
    Duration run_min{}, run_max{};     // burst, jbb, memory, fork; periodic and pingpong: equal
    Duration block_min{}, block_max{}; // burst, jbb, memory, fork
    Duration period{}, phase{};        // periodic
    Duration grid{}, guard{};          // gridsleep
    std::span<StepRecord const> steps{}; // recorded
};

struct MachineCosts {
    Duration cpu_bringup_stagger, ipi, ctxsw, timer_late, wake, turn;
};

class ScenarioView {
public:
    [[nodiscard]] Header const& header() const { return *reinterpret<Header>(0); }
    [[nodiscard]] std::string_view name() const { return text(header().name); }
    [[nodiscard]] std::string_view label() const { return text(header().label); }
    [[nodiscard]] std::string_view description() const { return text(header().description); }
    [[nodiscard]] std::string_view policy() const { return text(header().policy); } // empty: not given
    [[nodiscard]] std::uint64_t seed() const { return header().seed; }
    [[nodiscard]] Duration warmup() const { return ns(header().warmup_ns); }
    [[nodiscard]] Duration duration() const { return ns(header().duration_ns); }
    [[nodiscard]] Duration tslice() const { return Duration::from_ms(header().tslice_ms); }
    [[nodiscard]] Duration ratelimit() const { return Duration::from_us(header().ratelimit_us); }
    [[nodiscard]] std::uint32_t trace_mask() const { return header().trace_mask; }
    [[nodiscard]] std::uint32_t trace_ring_kib() const { return header().trace_ring_kib; } // 0: not given
    [[nodiscard]] bool firmware_numa() const { return (header().flags & flag_firmware_numa) != 0; }
    [[nodiscard]] sched::placement::Rule placement() const
    {
        return static_cast<sched::placement::Rule>(header().placement);
    }
    [[nodiscard]] bool by_turns() const { return (header().flags & flag_by_turns) != 0; }
    [[nodiscard]] bool placement_is_strict() const { return (header().flags & flag_placement_strict) != 0; }
    [[nodiscard]] sched::placement::Smt placement_smt() const
    {
        return (header().flags & flag_placement_cores) != 0 ? sched::placement::Smt::cores
                                                            : sched::placement::Smt::threads;
    }
    [[nodiscard]] MachineCosts costs() const;

    [[nodiscard]] std::span<PcpuRecord const> pcpus() const { return table<PcpuRecord>(Table::pcpus); }
    [[nodiscard]] std::span<NodeRecord const> nodes() const { return table<NodeRecord>(Table::nodes); }
    [[nodiscard]] std::span<Distance const> distances() const { return table<Distance>(Table::distances); } // row-major
    [[nodiscard]] std::span<DomainRecord const> domains() const { return table<DomainRecord>(Table::domains); }
    [[nodiscard]] std::span<ParamRecord const> params() const { return table<ParamRecord>(Table::params); }
    [[nodiscard]] std::span<ChangeRecord const> changes() const { return table<ChangeRecord>(Table::changes); }
    // The memory cost model; nullptr: there is none.
    [[nodiscard]] ModelRecord const* model() const
    {
        auto const records = table<ModelRecord>(Table::model);
        return records.empty() ? nullptr : records.data();
    }
    [[nodiscard]] std::span<VcpuRecord const> all_vcpus() const { return table<VcpuRecord>(Table::vcpus); }
    [[nodiscard]] std::span<VcpuRecord const> vcpus(DomainRecord const& domain) const
    {
        return all_vcpus().subspan(domain.first_vcpu, domain.vcpu_count);
    }

    // Where the vCPU may run: its own hard affinity, else its domain's, else every pCPU of the scenario's machine.
    [[nodiscard]] CpuMask hard_affinity(DomainRecord const& domain, VcpuRecord const& vcpu) const;
    // The vCPU's own soft affinity; nothing: it follows from the domain's node affinity.
    [[nodiscard]] std::optional<CpuMask> soft_affinity(VcpuRecord const& vcpu) const;
    // The domain's node affinity; nothing: none was asked for, the core computes it from where the memory is.
    [[nodiscard]] static std::optional<NodeMask> node_affinity(DomainRecord const& d)
    {
        return mask_of(d.node_affinity);
    }
    [[nodiscard]] static std::optional<NodeMask> preferred_nodes(DomainRecord const& d)
    {
        return mask_of(d.preferred_nodes);
    }
    [[nodiscard]] static std::optional<NodeMask> memory_nodes(DomainRecord const& d) { return mask_of(d.memory_nodes); }
    [[nodiscard]] WorkloadSpec workload(VcpuRecord const& vcpu) const;
    // The value of a policy parameter; nothing: not given.
    [[nodiscard]] std::optional<std::int64_t> param(std::string_view key) const;

    template <std::size_t N>
    [[nodiscard]] static std::string_view text(std::array<char, N> const& field)
    {
        return {field.data()}; // validate() saw the NUL.
    }

private:
    friend Result<ScenarioView, ImageError> validate(std::span<std::byte const> image);

    explicit ScenarioView(std::span<std::byte const> image) : image_{image} {}

    static Duration ns(std::uint64_t n) { return Duration::from_ns(static_cast<std::int64_t>(n)); }
    static std::optional<NodeMask> mask_of(std::uint64_t bits)
    {
        return bits == 0 ? std::nullopt : std::optional{NodeMask::from_bits(bits)};
    }
    [[nodiscard]] CpuMask mask(std::uint32_t row) const;

    template <typename T>
    [[nodiscard]] T const* reinterpret(std::size_t offset) const
    {
        return static_cast<T const*>(static_cast<void const*>(image_.data() + offset));
    }
    template <typename T>
    [[nodiscard]] std::span<T const> table(Table which) const
    {
        TableRef const& ref = header().tables[static_cast<std::size_t>(which)];
        return {reinterpret<T>(ref.offset), ref.count};
    }

    std::span<std::byte const> image_;
};

// Looks at every field. `image` may be longer than what the header says (a boot module is whole pages); it must start
// at a multiple of 8.
[[nodiscard]] Result<ScenarioView, ImageError> validate(std::span<std::byte const> image);

// FNV-1a over the bytes, the checksum's own four counted as zero.
[[nodiscard]] std::uint32_t image_checksum(std::span<std::byte const> image);

// Whether the scenario's machine is the one that `topology` describes: as many pCPUs, on the same nodes. Offsets in the
// error are those of the scenario's claim. A machine may have more pCPUs and nodes than the scenario uses.
[[nodiscard]] Status<ImageError> fits(ScenarioView scenario, Topology const& topology);

} // namespace hv::scenario
