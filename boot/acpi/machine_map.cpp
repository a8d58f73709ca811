#include "boot/acpi/machine_map.hpp"

#include "boot/acpi/madt.hpp"
#include "boot/acpi/slit.hpp"

#include <algorithm>

namespace hv::boot::acpi {

namespace {

constexpr PhysAddr default_local_apic{0xfee0'0000};
constexpr std::string_view one_node{
    "all is in node 0 until the firmware, or the table given with -acpitable, is corrected"};

// A complaint about the list of entries as a whole, and one about what SRAT says of an address.
Failure<ParseError> bad_list(std::string_view what)
{
    return fail(
        ParseError{.thing = "SRAT, entries from offset", .place = detail::srat_fixed, .what = what, .fix = one_node});
}

Failure<ParseError> bad_memory(std::string_view what, std::uint64_t address)
{
    return fail(ParseError{.thing = "SRAT, physical address", .place = address, .what = what, .fix = one_node});
}

// Notes are for the log; when there is no room the first ones are the most useful.
void note(MachineMap& map, std::string_view text, std::uint64_t value)
{
    if (value != 0 && !map.notes.full())
        (void)map.notes.push_back({text, value});
}

// --- pCPUs

std::size_t find_pcpu(MachineMap const& map, std::uint32_t apic_id)
{
    std::size_t i{0};
    while (i < map.pcpus.size() && map.pcpus[i].apic_id != apic_id)
        ++i;
    return i;
}

Status<ParseError> list_pcpus(Tables const& tables, std::uint32_t boot_apic_id, std::size_t limit, MachineMap& map)
{
    if (!tables.madt)
        return fail(tables.madt.error());
    if (tables.madt->empty())
        return fail(ParseError{.thing = {}, .what = "the firmware has no MADT", .fix = "the boot pCPU runs alone"});
    bool boot_listed{false};
    std::uint64_t left_out{0};
    Status<ParseError> const walked{for_each_pcpu(*tables.madt, [&](std::uint32_t apic_id) {
        boot_listed = boot_listed || apic_id == boot_apic_id;
        if (find_pcpu(map, apic_id) != map.pcpus.size())
            return;
        if (map.pcpus.size() == limit || !map.pcpus.push_back({.apic_id = apic_id}))
            ++left_out;
    })};
    if (!walked)
        return walked;
    if (!boot_listed)
        return madt_kind.bad(header_size, "the pCPU that boots is not among the enabled entries");
    // A limit never costs the pCPU that we are running on.
    if (find_pcpu(map, boot_apic_id) == map.pcpus.size())
        map.pcpus[map.pcpus.size() - 1].apic_id = boot_apic_id;
    note(map, "pCPUs beyond the limit, left out", left_out);
    map.present_pcpus = static_cast<std::uint32_t>(map.pcpus.size());
    return done;
}

// Behind the present ones, those that may be plugged in, as far as the limit goes; and without those whose number only
// an x2APIC can have, because nobody asked for them.
void list_absent_pcpus(Bytes madt, std::size_t limit, MachineMap& map)
{
    // Cannot fail: list_pcpus walked the same table to its end.
    (void)for_each_pcpu_place(madt, [&](std::uint32_t apic_id, bool is_present) {
        if (!is_present && apic_id < 0xff && map.pcpus.size() < limit && find_pcpu(map, apic_id) == map.pcpus.size())
            (void)map.pcpus.push_back({.apic_id = apic_id});
    });
}

// The number of `key(pCPU)` among the different ones of the pCPUs before `index`: dense ids by order of first sight.
template <typename Key, typename Number>
std::uint16_t dense_id(MachineMap const& map, std::size_t index, std::uint16_t next, Key key, Number number)
{
    for (std::size_t i = 0; i < index; ++i)
        if (key(map.pcpus[i]) == key(map.pcpus[index]))
            return number(map.pcpus[i]);
    return next;
}

// Shifts, not counts, are what CPUID is right about; APIC ids have gaps.
void number_cores(CpuidTopology const& cpuid, MachineMap& map)
{
    // 64 bits, so that any shift that makes sense is defined; a core is never larger than its package.
    unsigned const package_shift{std::min<unsigned>(cpuid.package_shift, 32)};
    unsigned const smt_shift{std::min<unsigned>(cpuid.smt_shift, package_shift)};
    auto const package_of = [&](MapPcpu const& pcpu) { return std::uint64_t{pcpu.apic_id} >> package_shift; };
    auto const core_of = [&](MapPcpu const& pcpu) { return std::uint64_t{pcpu.apic_id} >> smt_shift; };
    std::uint16_t sockets{0}, cores{0};
    for (std::size_t i = 0; i < map.pcpus.size(); ++i) {
        MapPcpu& pcpu{map.pcpus[i]};
        pcpu.socket = dense_id(map, i, sockets, package_of, [](MapPcpu const& p) { return p.socket; });
        pcpu.core = dense_id(map, i, cores, core_of, [](MapPcpu const& p) { return p.core; });
        pcpu.thread = static_cast<std::uint32_t>(pcpu.apic_id - (core_of(pcpu) << smt_shift));
        sockets = std::max(sockets, static_cast<std::uint16_t>(pcpu.socket + 1));
        cores = std::max(cores, static_cast<std::uint16_t>(pcpu.core + 1));
    }
}

void map_pcpus(Tables const& tables, CpuidTopology const& cpuid, MapFlags const& flags, MachineMap& map)
{
    map.present_pcpus = 0;
    map.local_apic = default_local_apic;
    std::size_t const limit{std::max<std::size_t>(flags.max_pcpus, 1)};
    if (Status<ParseError> const listed{list_pcpus(tables, cpuid.boot_apic_id, limit, map)}; listed) {
        list_absent_pcpus(*tables.madt, limit, map);
        if (Result<PhysAddr, ParseError> const address{local_apic_address(*tables.madt)})
            map.local_apic = *address;
        else
            map.madt_reason = address.error();
    } else {
        map.madt_reason = listed.error();
    }
    if (map.madt_reason.is_set()) {
        map.pcpus.clear();
        (void)map.pcpus.push_back({.apic_id = cpuid.boot_apic_id});
        map.present_pcpus = 1;
    }
    map.boot_pcpu = CpuId{static_cast<std::uint16_t>(find_pcpu(map, cpuid.boot_apic_id))};
}

// --- SRAT

// The node of `pxm`, which must have one.
NodeId node_of(MachineMap const& map, std::uint32_t pxm)
{
    auto const* const at = std::lower_bound(map.pxm.begin(), map.pxm.end(), pxm);
    HV_ASSERT(at != map.pxm.end() && *at == pxm);
    return NodeId{static_cast<std::uint8_t>(at - map.pxm.begin())};
}

// Keeps map.pxm sorted and free of duplicates. False if there is no room for another one.
bool add_pxm(MachineMap& map, std::uint32_t pxm)
{
    auto* const at = std::lower_bound(map.pxm.begin(), map.pxm.end(), pxm);
    return (at != map.pxm.end() && *at == pxm) || map.pxm.insert(static_cast<std::size_t>(at - map.pxm.begin()), pxm);
}

// Fills in pxm and srat_memory.
Status<ParseError> read_srat(Bytes srat, MachineMap& map)
{
    bool any_cpu{false}, too_many{false};
    std::uint64_t ignored{0};
    map.pxm.clear();
    Status<ParseError> const walked{walk_srat(
        srat,
        [&](SratCpu const& cpu) {
            any_cpu = true;
            too_many = !add_pxm(map, cpu.pxm) || too_many;
        },
        [&](SratMemory const& memory) {
            if (memory.length == 0)
                return;
            if (map.srat_memory.push_back(memory))
                too_many = !add_pxm(map, memory.pxm) || too_many;
            else
                ++ignored;
        })};
    if (!walked)
        return walked;
    if (!any_cpu)
        return bad_list("there is no enabled CPU entry");
    if (too_many)
        return bad_list("there are more than 64 proximity domains");
    note(map, "SRAT memory entries beyond the 128th, ignored", ignored);
    return done;
}

Status<ParseError> check_overlaps(MachineMap& map)
{
    std::uint64_t harmless{0};
    for (std::size_t i = 0; i < map.srat_memory.size(); ++i)
        for (std::size_t j = i + 1; j < map.srat_memory.size(); ++j) {
            SratMemory const& a{map.srat_memory[i]};
            SratMemory const& b{map.srat_memory[j]};
            std::uint64_t const from{std::max(a.base.value(), b.base.value())};
            if (from >= a.base.value() + a.length || from >= b.base.value() + b.length)
                continue;
            if (a.pxm != b.pxm)
                return bad_memory("two proximity domains claim the same memory", from);
            if (a.hot_pluggable != b.hot_pluggable)
                return bad_memory("memory is present and hot-pluggable at once", from);
            ++harmless;
        }
    note(map, "overlaps of SRAT memory entries of one domain", harmless);
    return done;
}

// From the lowest to the highest byte of a node's present memory; base == end: it has none.
struct NodeSpan {
    std::uint64_t base{0}, end{0};
};
using NodeSpans = std::array<NodeSpan, max_nodes>;

Status<ParseError> find_spans(MachineMap const& map, NodeSpans& spans)
{
    for (SratMemory const& memory : map.srat_memory) {
        if (memory.hot_pluggable)
            continue;
        NodeSpan& span{spans[node_of(map, memory.pxm).value()]};
        std::uint64_t const base{memory.base.value()};
        std::uint64_t const end{base + memory.length};
        span =
            span.base == span.end ? NodeSpan{base, end} : NodeSpan{std::min(span.base, base), std::max(span.end, end)};
    }
    for (std::size_t i = 0; i < spans.size(); ++i)
        for (std::size_t j = i + 1; j < spans.size(); ++j) {
            std::uint64_t const from{std::max(spans[i].base, spans[j].base)};
            if (from < spans[i].end && from < spans[j].end)
                return bad_memory("the memory of two proximity domains is interleaved", from);
        }
    return done;
}

// The node in whose span the byte `at` is, or max_nodes.
std::size_t span_at(NodeSpans const& spans, std::uint64_t at)
{
    std::size_t i{0};
    while (i < spans.size() && (at < spans[i].base || at >= spans[i].end))
        ++i;
    return i;
}

Status<ParseError> check_coverage(MachineMap const& map, NodeSpans const& spans)
{
    for (MemoryRange const& range : map.memory) {
        // Also inside a node's span: there is memory where SRAT says that some may come, perhaps to another node.
        for (SratMemory const& room : map.srat_memory)
            if (std::uint64_t const from{std::max(range.base.value(), room.base.value())};
                room.hot_pluggable && from < range.end() && from < room.base.value() + room.length)
                return bad_memory("usable memory lies in a hot-pluggable range", from);
        for (std::uint64_t at = range.base.value(); at < range.end();) {
            std::size_t const node{span_at(spans, at)};
            if (node == spans.size())
                return bad_memory("usable memory belongs to no proximity domain", at);
            at = spans[node].end;
        }
    }
    return done;
}

// Gives every range its node; a range that crosses from one to the next is cut. The spans cover all of it.
void cut_memory(NodeSpans const& spans, MachineMap& map)
{
    std::uint64_t lost{0};
    for (std::size_t i = 0; i < map.memory.size(); ++i) {
        std::size_t const node{span_at(spans, map.memory[i].base.value())};
        HV_ASSERT(node < spans.size());
        map.memory[i].node = NodeId{static_cast<std::uint8_t>(node)};
        std::uint64_t const cut{spans[node].end};
        if (cut < map.memory[i].end() && !split_range(map.memory, i, cut)) {
            lost += map.memory[i].end() - cut;
            map.memory[i].length = cut - map.memory[i].base.value();
        }
    }
    keep_whole_pages(map.memory); // A page that two nodes share belongs to neither.
    note(map, "bytes of memory left out: too many ranges", lost);
}

void assign_nodes(Bytes srat, MachineMap& map)
{
    std::array<bool, max_pcpus> assigned{};
    std::uint64_t unlisted{0}, contradictory{0};
    // Cannot fail: read_srat walked the same table to its end.
    (void)walk_srat(
        srat,
        [&](SratCpu const& cpu) {
            std::size_t const index{find_pcpu(map, cpu.apic_id)};
            NodeId const node{node_of(map, cpu.pxm)};
            if (index == map.pcpus.size()) {
                ++unlisted;
            } else if (!assigned[index]) {
                assigned[index] = true;
                map.pcpus[index].node = node;
            } else if (map.pcpus[index].node != node) {
                ++contradictory;
            }
        },
        [](SratMemory const&) {});
    // Firmware fills its MADT up with entries that stand for nothing.
    std::size_t known{map.present_pcpus};
    for (std::size_t i = map.present_pcpus; i < map.pcpus.size(); ++i)
        if (assigned[i])
            map.pcpus[known++] = map.pcpus[i];
    map.pcpus.truncate(known);
    auto const unassigned =
        static_cast<std::uint64_t>(std::count(assigned.begin(), assigned.begin() + map.present_pcpus, false));
    note(map, "SRAT CPU entries without a pCPU in use, ignored", unlisted);
    note(map, "SRAT CPU entries that contradict an earlier one, ignored", contradictory);
    note(map, "pCPUs that SRAT does not know, put into node 0", unassigned);
}

// Everything from SRAT; on failure pCPUs and memory are still as they were.
Status<ParseError> apply_srat(Bytes srat, MachineMap& map)
{
    if (Status<ParseError> const read{read_srat(srat, map)}; !read)
        return read;
    if (Status<ParseError> const checked{check_overlaps(map)}; !checked)
        return checked;
    NodeSpans spans{};
    if (Status<ParseError> const found{find_spans(map, spans)}; !found)
        return found;
    if (Status<ParseError> const covered{check_coverage(map, spans)}; !covered)
        return covered;
    cut_memory(spans, map);
    assign_nodes(srat, map);
    map.node_count = static_cast<std::uint32_t>(map.pxm.size());
    return done;
}

Status<ParseError> map_nodes(Tables const& tables, bool numa, MachineMap& map)
{
    if (!numa)
        return fail(ParseError{.thing = {}, .what = "numa=off is on the command line", .fix = "all is in node 0"});
    if (!tables.srat)
        return fail(tables.srat.error());
    if (tables.srat->empty())
        return fail(ParseError{.thing = {},
                               .what = "the firmware has no SRAT",
                               .fix = "all is in node 0; QEMU makes one if it gets -numa options"});
    return apply_srat(*tables.srat, map);
}

// --- distances

void map_distances(Tables const& tables, MachineMap& map)
{
    std::uint32_t const count{map.node_count};
    for (std::uint32_t i = 0; i < count * count; ++i)
        map.distances[i] = i / count == i % count ? local_distance : default_remote_distance;
    if (map.fallback_reason.is_set() || (tables.slit && tables.slit->empty()))
        return;
    Result<Slit, ParseError> const slit{tables.slit ? parse_slit(*tables.slit) : fail(tables.slit.error())};
    if (!slit) {
        map.slit_reason = slit.error();
        return;
    }
    std::uint64_t unknown{0};
    for (std::uint32_t from = 0; from < count; ++from) {
        unknown += map.pxm[from] >= slit->localities;
        for (std::uint32_t to = 0; to < count; ++to)
            if (map.pxm[from] < slit->localities && map.pxm[to] < slit->localities)
                map.distances[from * count + to] = slit->distance(map.pxm[from], map.pxm[to]);
    }
    note(map, "nodes that SLIT does not know, at distance 20 from all others", unknown);
}

} // namespace

void build_machine_map(Tables const& tables, CpuidTopology const& cpuid, MapFlags const& flags,
                       std::span<MemoryRegion const> regions, MachineMap& out)
{
    out.pcpus.clear();
    out.pxm.clear();
    out.srat_memory.clear();
    out.notes.clear();
    out.fallback_reason = out.slit_reason = out.madt_reason = {};
    map_pcpus(tables, cpuid, flags, out);
    note(out, "bytes of memory left out: too many ranges", collect_usable_memory(regions, out.memory));
    if (Status<ParseError> const mapped{map_nodes(tables, flags.numa, out)}; !mapped) {
        out.fallback_reason = mapped.error();
        out.srat_memory.clear();
        out.pxm.clear();
        (void)out.pxm.push_back(0);
        out.node_count = 1;
        out.pcpus.truncate(out.present_pcpus);
    }
    number_cores(cpuid, out);
    map_distances(tables, out);
    map_performance(tables, out);
}

} // namespace hv::boot::acpi
