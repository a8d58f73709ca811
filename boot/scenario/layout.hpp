// The bytes of a scenario image: what `nv pack` writes and what kernel and simulator read, so that both run the same
// thing.
//
// Little-endian, fixed-layout records, no pointers: a Header, then ten tables in the order of Table, each starting at
// a multiple of 8 exactly where the one before it ended. Times are in ns unless the name says otherwise. Texts are
// NUL-terminated and padded with NULs. Everything unused is zero. Sets of pCPUs are rows of the mask table, as many
// 64-bit words a row as the machine needs; sets of nodes are one word, where zero means "not given". A change of this
// file is a change of image_version. Plain data, no state, no locks. Use it through boot/scenario/image.hpp. Floor:
// boot (shared with the host).
#pragma once

#include "sched/guest/step.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace hv::scenario {

static_assert(std::endian::native == std::endian::little, "images are little-endian and read in place");

inline constexpr std::uint32_t image_magic = 0x43535648; // "HVSC"
inline constexpr std::uint16_t image_version = 4;
inline constexpr std::size_t image_align = 8;

// What validate() and the parser of `nv` allow.
inline constexpr std::uint32_t max_pcpus = 4096;
inline constexpr std::uint32_t max_nodes = 64;
inline constexpr std::uint32_t max_domains = 4096;
inline constexpr std::uint32_t max_domain_vcpus = 4096;
inline constexpr std::uint32_t max_vcpus = 65'536;
inline constexpr std::uint32_t max_masks = 2 * max_vcpus + max_domains;
inline constexpr std::uint32_t max_params = 64;
inline constexpr std::uint32_t max_changes = 4096;
inline constexpr std::uint32_t max_steps = 16u << 20;  // of all recorded vCPUs together
inline constexpr std::uint16_t max_domain_id = 32'000; // 32767 is the idle domain, 32768 is xenalyze's own
inline constexpr std::uint32_t max_weight = 65'535;
inline constexpr std::uint32_t max_cap_per_vcpu = 100;              // percent of one pCPU
inline constexpr std::uint64_t max_time_ns = 1'000'000'000'000'000; // 11.5 days: sums of two fit anywhere
inline constexpr std::uint32_t max_tslice_ms = 1'000;
inline constexpr std::uint32_t max_ratelimit_us = 500'000;
inline constexpr std::uint64_t max_node_memory_mib = 1'048'576; // 1 TiB
inline constexpr std::uint32_t max_ring_kib = 65'536;           // a pCPU's trace ring; a power of two, or 0
inline constexpr std::uint64_t max_work_ns = 100'000'000'000;   // a phase of the memory cost model
inline constexpr std::uint32_t max_model_mbps = 1'000'000;
inline constexpr std::uint32_t max_refill_ns = 1'000'000'000;
inline constexpr std::uint32_t no_mask = 0xffff'ffff;

using ShortText = std::array<char, 32>;
using NameText = std::array<char, 64>;
using LongText = std::array<char, 256>;

enum class Table : std::uint8_t { pcpus, nodes, distances, domains, vcpus, masks, params, model, steps, changes };
inline constexpr std::size_t table_count = 10;

struct TableRef {
    std::uint32_t offset; // bytes from the start of the image, a multiple of 8
    std::uint32_t count;  // records (masks: rows; distances: bytes)
};

// Bits of Header::flags.
inline constexpr std::uint32_t flag_firmware_numa = 1u << 0;    // the firmware describes the nodes (SRAT, SLIT)
inline constexpr std::uint32_t flag_placement_strict = 1u << 1; // a domain that placement cannot place is refused
inline constexpr std::uint32_t flag_placement_cores = 1u << 2;  // placement counts cores, not threads
inline constexpr std::uint32_t flag_by_turns = 1u << 3;         // pCPUs take turns (simulator)
inline constexpr std::uint32_t known_flags =
    flag_firmware_numa | flag_placement_strict | flag_placement_cores | flag_by_turns;

struct Header {
    std::uint32_t magic;
    std::uint16_t version;
    std::uint16_t header_bytes;
    std::uint32_t total_bytes;
    std::uint32_t checksum; // image_checksum() of the whole image
    std::uint64_t seed;
    std::uint64_t warmup_ns, duration_ns; // figures are taken in [warmup, warmup + duration]
    std::uint64_t cpu_bringup_stagger_ns, ipi_ns, ctxsw_ns, timer_late_ns, wake_ns, turn_ns;
    std::uint32_t tslice_ms, ratelimit_us;
    std::uint32_t trace_mask;     // xentrace event mask; 0: no trace
    std::uint32_t trace_ring_kib; // per pCPU; 0: the kernel's own choice
    std::uint32_t flags;
    std::uint32_t placement; // sched::placement::Rule
    ShortText policy;        // empty: the kernel's own choice
    NameText name;
    ShortText label; // what a row of a comparison is called; empty: the name
    LongText description;
    std::array<TableRef, table_count> tables;
};
static_assert(sizeof(Header) == 576 && offsetof(Header, checksum) == 12 && offsetof(Header, seed) == 16 &&
              offsetof(Header, tslice_ms) == 88 && offsetof(Header, policy) == 112 && offsetof(Header, tables) == 496);

// By pCPU number. Sockets and cores are numbered over the whole machine, without gaps; equal core = SMT siblings.
struct PcpuRecord {
    std::uint16_t node, socket, core, reserved;
};
static_assert(sizeof(PcpuRecord) == 8);

// By node number. A node may have no memory, or no pCPU.
struct NodeRecord {
    std::uint64_t memory_mib;
};
static_assert(sizeof(NodeRecord) == 8);

enum class MemoryPolicy : std::uint8_t {
    automatic = 0, // no nodes given: homes.hpp decides
    preferred = 1, // the given nodes first, then by distance
    strict = 2,    // the given nodes or not at all
    interleave = 3 // round robin over the given nodes
};

struct DomainRecord {
    std::uint16_t id;
    std::uint16_t weight;
    std::uint32_t cap; // percent of one pCPU; 0: none
    std::uint64_t start_ns;
    std::uint32_t first_vcpu, vcpu_count; // consecutive rows of the vCPU table, in the order of the domains
    std::uint32_t hard_mask;              // row of the mask table; no_mask: all pCPUs
    MemoryPolicy memory_policy;
    std::array<std::uint8_t, 3> reserved;
    std::uint64_t memory_mib;      // 0: the kernel's own choice
    std::uint64_t memory_nodes;    // 0: not given
    std::uint64_t node_affinity;   // 0: none, or automatic
    std::uint64_t preferred_nodes; // for figures only; 0: none
    ShortText name, group;
};
static_assert(sizeof(DomainRecord) == 128 && offsetof(DomainRecord, first_vcpu) == 16 &&
              offsetof(DomainRecord, memory_mib) == 32 && offsetof(DomainRecord, name) == 64);

// From jbb to cpu they are classes of the memory cost model, which must be there then.
enum class WorkloadKind : std::uint16_t {
    hog = 0,
    burst = 1,
    periodic = 2,
    pingpong = 3,
    gridsleep = 4,
    jbb = 5,
    memory = 6,
    fork = 7,
    cpu = 8,
    recorded = 9
};
inline constexpr std::uint16_t last_workload_kind = 9;
[[nodiscard]] constexpr bool is_of_model(WorkloadKind kind)
{
    return kind >= WorkloadKind::jbb && kind <= WorkloadKind::cpu;
}

// Fields that a kind does not use are zero.
struct VcpuRecord {
    std::uint16_t initial_pcpu;
    WorkloadKind kind;
    std::uint16_t partner;                    // pingpong, fork: a vCPU of the same domain, not itself
    std::uint16_t has_token;                  // pingpong, fork (the parent): 0 or 1
    std::uint32_t hard_mask;                  // no_mask: the domain's
    std::uint32_t soft_mask;                  // no_mask: from the domain's node affinity
    std::uint64_t run_min_ns, run_max_ns;     // burst, jbb, memory, fork; periodic and pingpong: equal
    std::uint64_t block_min_ns, block_max_ns; // burst, jbb, memory, fork
    std::uint64_t period_ns, phase_ns;        // periodic
    std::uint64_t grid_ns, guard_ns;          // gridsleep
    std::uint32_t first_step, step_count;     // recorded: consecutive rows of the step table, in the order of vCPUs
};
static_assert(sizeof(VcpuRecord) == 88 && offsetof(VcpuRecord, hard_mask) == 8 &&
              offsetof(VcpuRecord, run_min_ns) == 16);

// What recorded vCPUs do; `target` is a row of the vCPU table.
using StepRecord = sched::guest::Step;

// What is done to the machine while the scenario runs.
enum class ChangeKind : std::uint16_t {
    pause = 0, // a domain; counted
    unpause = 1,
    destroy = 2,
    create = 3,  // again, or for the first time
    offline = 4, // a pCPU, for good: affinities that it breaks stay broken
    suspend = 5, // a pCPU, for a while
    online = 6,
};
inline constexpr std::uint16_t last_change_kind = 6;
[[nodiscard]] constexpr bool is_of_pcpu(ChangeKind kind) { return kind >= ChangeKind::offline; }

struct ChangeRecord {
    std::uint64_t at_ns; // since the start; in ascending order
    ChangeKind kind;
    std::uint16_t reserved;
    std::uint32_t subject; // a row of the domain table, or a pCPU
};
static_assert(sizeof(ChangeRecord) == 16);

// A parameter of the scheduling policy.
struct ParamRecord {
    ShortText key;
    std::int64_t value;
};
static_assert(sizeof(ParamRecord) == 40);

// The memory cost model, sched/guest/memory_model.hpp; at most one.
struct ModelClassRecord {
    std::uint32_t stall_permille, sibling_speed_permille, sibling_stall_permille, traffic_mbps;
    std::uint32_t refill_core_ns, refill_node_ns;
};
struct ModelRecord {
    ShortText name;
    std::uint32_t remote_permille, node_mbps, link_mbps, queueing_permille;
    std::array<ModelClassRecord, 4> classes; // jbb, memory, fork, cpu
};
static_assert(sizeof(ModelClassRecord) == 24 && sizeof(ModelRecord) == 144);

static_assert(std::is_trivially_copyable_v<Header> && std::is_trivially_copyable_v<DomainRecord> &&
              std::is_trivially_copyable_v<VcpuRecord> && std::is_trivially_copyable_v<ParamRecord> &&
              std::is_trivially_copyable_v<ModelRecord> && std::is_trivially_copyable_v<StepRecord>);

// 64-bit words in one row of the mask table of a machine with `pcpus` pCPUs.
[[nodiscard]] constexpr std::uint32_t mask_words(std::uint32_t pcpus) { return (pcpus + 63) / 64; }

} // namespace hv::scenario
