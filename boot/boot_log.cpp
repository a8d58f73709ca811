// What the boot log says about the machine.
#include "arch/generic/mask_text.hpp"
#include "arch/x86_64/console.hpp"
#include "boot/kernel.hpp"

namespace hv::boot {
namespace {

constexpr std::uint64_t mib = 1024 * 1024;

void log_node(Kernel const& k, NodeId node)
{
    arch::Line line{arch::Output::stamped_console};
    std::uint64_t bytes{0};
    for (acpi::MemoryRange const& range : k.map.memory)
        bytes += range.node == node ? range.length : 0;
    print(line.sink(), "node {}: pCPUs ", node);
    write_runs(line.sink(), k.topology->pcpus_of(node) & k.topology->online);
    print(line.sink(), "; {} MiB", bytes / mib);
    std::string_view separator{" at "};
    for (acpi::MemoryRange const& range : k.map.memory) {
        if (range.node != node)
            continue;
        print(line.sink(), "{}{:x}-{:x}", separator, range.base, range.end());
        separator = ", ";
    }
}

// Places of pCPUs that are yet to come; most machines have none.
void log_room_for_pcpus(Kernel const& k, NodeId node)
{
    CpuMask const room{k.topology->pcpus_of(node) - k.topology->online};
    if (room.empty())
        return;
    arch::Line line{arch::Output::stamped_console};
    print(line.sink(), "node {}: room for pCPUs ", node);
    write_runs(line.sink(), room);
    print(line.sink(), " that may be plugged in");
}

// Ranges into which memory may be plugged.
void log_room(Kernel const& k, acpi::SratMemory const& range)
{
    NodeId node{};
    for (std::size_t i = 0; i < k.map.pxm.size(); ++i)
        if (k.map.pxm[i] == range.pxm)
            node = NodeId{static_cast<NodeId::Rep>(i)};
    arch::log("node {}: room for {} MiB that may be plugged in at {:x}-{:x}", node, range.length / mib, range.base,
              range.base.value() + range.length);
}

void log_performance(Kernel const& k)
{
    for (NodeId const from : k.topology->nodes())
        for (NodeId const to : k.topology->nodes())
            if (acpi::Performance const p{k.map.performance_of(from, to)}; p.latency_ps != 0 || p.bandwidth_mbps != 0)
                arch::log("firmware: from node {} to node {}: {} ps, {} MB/s", from, to, p.latency_ps,
                          p.bandwidth_mbps);
}

void log_distances(Kernel const& k)
{
    for (NodeId const from : k.topology->nodes()) {
        arch::Line line{arch::Output::stamped_console};
        print(line.sink(), "distances from node {:2}:", from);
        for (NodeId const to : k.topology->nodes())
            print(line.sink(), " {:3}", static_cast<unsigned>(k.topology->distance(from, to)));
    }
}

void log_reason(std::string_view consequence, ParseError const& reason)
{
    if (!reason.is_set())
        return;
    arch::Line line{arch::Output::stamped_console};
    print(line.sink(), "{}: ", consequence);
    describe(reason, line.sink());
}

} // namespace

void log_banner(Kernel const& k)
{
    arch::log("numavisor {}, loaded by {}", kernel_version,
              k.info.loader.empty() ? std::string_view{"?"} : k.info.loader);
    arch::log("command line: {}", k.info.command_line);
    if (k.info.module)
        arch::log("scenario: {} bytes at {:x}", k.info.module->end.value() - k.info.module->start.value(),
                  k.info.module->start);
}

void log_machine(Kernel const& k)
{
    if (arch::console_is_quiet())
        return;
    log_reason("one pCPU", k.map.madt_reason);
    log_reason("one node", k.map.fallback_reason);
    log_reason("distances 10 and 20", k.map.slit_reason);
    log_reason("no latencies and bandwidths", k.map.hmat_reason);
    for (acpi::MapNote const& note : k.map.notes)
        arch::log("firmware: {}: {:x}", note.text, note.value);
    for (NodeId const node : k.topology->nodes())
        log_node(k, node);
    for (NodeId const node : k.topology->nodes())
        log_room_for_pcpus(k, node);
    for (acpi::SratMemory const& range : k.map.srat_memory)
        if (range.hot_pluggable)
            log_room(k, range);
    for (NodeId const node : k.pages->too_small())
        arch::log("node {}: too little memory to manage, left unused", node);
    if (k.topology->node_count() > 1)
        log_distances(k);
    log_performance(k);
    arch::log("pCPUs up: {}; sockets: {}; cores: {}", k.topology->online.count(), k.topology->by_socket.size(),
              k.topology->by_core.size());
}

} // namespace hv::boot
