// info, in the columns of Xen's xl.
#include "boot/console/executor.hpp"

namespace hv::console {
namespace {

// "name                   : value", one row.
template <typename T>
void fact(Reply& reply, std::string_view name, T const& content)
{
    reply.text("{:<23}: ", name);
    reply.field(name, "{}", content);
    if (!reply.is_json())
        reply.end_row();
}

// As many as the boot pCPU's have; all have the same where it matters.
unsigned threads_per_core(Topology const& topology) { return topology.siblings_of(CpuId{0}).count(); }
unsigned cores_per_socket(Topology const& topology)
{
    return topology.socket_of(CpuId{0}).count() / threads_per_core(topology);
}

NodeMemory sum_of_memory(Context& context)
{
    NodeMemory sum;
    for (NodeId const node : context.topology().nodes()) {
        NodeMemory const one{context.machine.memory_of(node)};
        sum.pages += one.pages;
        sum.free_pages += one.free_pages;
        sum.claimed_pages += one.claimed_pages;
    }
    return sum;
}

void show_features(Reply& reply, MachineFacts const& facts)
{
    reply.text("{:<23}: ", "hw_caps");
    reply.begin_list("hw_caps");
    std::string_view separator;
    for (std::uint32_t const word : facts.features) {
        reply.text("{}", separator);
        reply.field("", "{:08x}", word);
        separator = ":";
    }
    reply.end_list();
    if (!reply.is_json())
        reply.end_row();
}

void show_facts(Context& context)
{
    Reply& reply{context.reply};
    Topology const& topology{context.topology()};
    MachineFacts const facts{context.machine.facts()};
    NodeMemory const memory{sum_of_memory(context)};
    fact(reply, "host", "numavisor");
    fact(reply, "release", facts.version);
    fact(reply, "version", facts.version);
    fact(reply, "machine", "x86_64");
    fact(reply, "nr_cpus", topology.online.count());
    fact(reply, "max_cpu_id", context.pcpu_limit() - 1);
    fact(reply, "nr_nodes", topology.node_count());
    fact(reply, "cores_per_socket", cores_per_socket(topology));
    fact(reply, "threads_per_core", threads_per_core(topology));
    fact(reply, "cpu_mhz", facts.tsc_khz / 1000);
    show_features(reply, facts);
    fact(reply, "virt_caps", facts.has_svm ? "svm" : "");
    fact(reply, "total_memory", memory.pages / pages_per_mib);
    fact(reply, "free_memory", (memory.free_pages - memory.claimed_pages) / pages_per_mib);
    fact(reply, "sharing_freed_memory", 0u);
    fact(reply, "sharing_used_memory", 0u);
    fact(reply, "outstanding_claims", memory.claimed_pages / pages_per_mib);
    fact(reply, "free_cpus", topology.online.count() - (context.core().pool().members() & topology.online).count());
}

void show_pcpus(Context& context)
{
    Reply& reply{context.reply};
    reply.heading("{:<23}:", "cpu_topology");
    reply.heading("cpu:    core    socket     node");
    for (CpuId const cpu : context.topology().online) {
        PcpuTopology const& place{context.topology().pcpus[cpu.value()]};
        // Cores are numbered within their socket.
        std::optional<CpuId> const first{context.topology().socket_of(cpu).first()};
        unsigned const first_core{first ? context.topology().pcpus[first->value()].core : 0u};
        reply.field("cpu", "{:3}:", cpu);
        reply.field("core", "    {:4}", place.core - first_core);
        reply.field("socket", "     {:4}", place.socket);
        reply.field("node", "     {:4}", place.node);
        reply.end_row();
    }
}

void show_nodes(Context& context)
{
    Reply& reply{context.reply};
    Topology const& topology{context.topology()};
    reply.heading("{:<23}:", "numa_info");
    reply.heading("node:    memsize    memfree    distances");
    for (NodeId const node : topology.nodes()) {
        NodeMemory const memory{context.machine.memory_of(node)};
        reply.field("node", "{:4}:", node);
        reply.field("memsize", "    {:6}", memory.span_pages / pages_per_mib);
        reply.value("present", memory.pages / pages_per_mib);
        reply.field("memfree", "     {:6}      ", memory.free_pages / pages_per_mib);
        reply.begin_list("distances");
        std::string_view separator;
        for (NodeId const to : topology.nodes()) {
            reply.text("{}", separator);
            reply.field("", "{}", static_cast<unsigned>(topology.distance(node, to)));
            separator = ",";
        }
        reply.end_list();
        reply.end_row();
    }
}

} // namespace

void run(Context& context, Info const& info)
{
    Reply& reply{context.reply};
    show_facts(context);
    if (reply.is_json())
        reply.value("xen_scheduler", context.core().policy().name);
    if (reply.is_json())
        reply.end_row();
    if (info.nodes) {
        show_pcpus(context);
        show_nodes(context);
    }
    if (reply.is_json())
        return;
    fact(reply, "xen_scheduler", context.core().policy().name);
    fact(reply, "xen_pagesize", 4096u);
    fact(reply, "xen_commandline", context.machine.facts().command_line);
}

} // namespace hv::console
