// debug-keys: the state behind one letter, as Xen's serial console shows it.
#include "boot/console/executor.hpp"

#include "arch/generic/mask_text.hpp"

#include <array>

namespace hv::console {
namespace {

struct KeyHandler {
    char key;
    std::string_view description;
    void (*show)(Context& context);
    bool is_diagnostic; // one of those that '*' shows
};

constexpr std::uint64_t kib_per_page = 4;

void show_all(Context& context);
void show_keys(Context& context);

// The lines that somebody wrote under a lock, now without it.
void pass_on(Context& context, BufferSink const& sink)
{
    say_lines(context.reply, sink.text());
    if (sink.truncated())
        context.reply.warn("the rest does not fit into {} bytes", sink.text().size());
}

// --- u: memory by node and domain

void show_domain_pages(Context& context, sched::Domain const& domain)
{
    Reply& reply{context.reply};
    reply.heading("Domain {} (total: {}):", domain.id, context.pages_of(domain));
    for (NodeId const node : context.topology().nodes()) {
        if (reply.is_json())
            reply.value("id", domain.id);
        reply.field("node", "    Node {}:", node);
        reply.field("pages", " {}", context.machine.pages_of(domain, node));
        reply.end_row();
    }
}

void show_numa(Context& context)
{
    Reply& reply{context.reply};
    reply.heading("'u' pressed -> dumping numa info (now = {})", context.machine.now().ns());
    for (NodeId const node : context.topology().nodes()) {
        NodeMemory const memory{context.machine.memory_of(node)};
        reply.field("node", "NODE{}", node);
        reply.field("start", " start->{}", memory.first_page);
        reply.field("size", " size->{}", memory.span_pages);
        reply.field("free", " free->{}", memory.free_pages);
        reply.end_row();
        std::uint64_t const address{memory.first_page * 4096};
        std::optional<NodeId> const found{context.machine.node_of(PhysAddr{address})};
        if (!found || *found != node)
            reply.warn("phys_to_nid({:x}) should be {}", address, node);
        else
            reply.heading("phys_to_nid({:016x}) -> {} should be {}", address, *found, node);
    }
    for (CpuId const cpu : context.topology().online) {
        reply.field("cpu", "CPU{}", cpu);
        reply.field("node", " -> NODE{}", context.topology().node_of(cpu));
        reply.end_row();
    }
    reply.heading("Memory location of each domain:");
    for_each_domain(context.machine, [&](sched::Domain const& domain) { show_domain_pages(context, domain); });
}

// --- m and H: memory of the machine

void show_memory(Context& context)
{
    Reply& reply{context.reply};
    reply.heading("'m' pressed -> dumping memory info");
    reply.heading("Physical memory information:");
    std::uint64_t free{0}, dirty{0};
    for (NodeId const node : context.topology().nodes()) {
        NodeMemory const memory{context.machine.memory_of(node)};
        free += memory.free_pages;
        dirty += memory.dirty_pages;
        reply.field("node", "    heap[node={}]:", node);
        reply.field("free_kib", " {}kB free", memory.free_pages * kib_per_page);
        reply.value("dirty_kib", memory.dirty_pages * kib_per_page);
        reply.end_row();
    }
    reply.field("heap_free_kib", "    Dom heap: {}kB free", free * kib_per_page);
    reply.field("heap_dirty_kib", ", {}kB of it not zeroed yet", dirty * kib_per_page);
    reply.end_row();
}

// --- q: domains

void show_vcpu_state(Context& context, sched::Domain const& domain, sched::VcpuView const& view)
{
    Reply& reply{context.reply};
    reply.value("id", domain.id);
    reply.field("vcpu", "    VCPU{}:", view.index);
    reply.field("cpu", " CPU{}", view.processor);
    reply.text(" [has={}] pause_count={} pause_flags={:x} hard={{", view.state == sched::RunState::running ? "T" : "F",
               view.pause_count, view.pause_flags);
    reply.value("running", view.state == sched::RunState::running);
    reply.value("pause_count", view.pause_count);
    reply.value("pause_flags", view.pause_flags);
    reply.map("hard", view.hard_affinity, context.pcpu_limit());
    reply.text("} soft={{");
    reply.map("soft", view.soft_affinity, context.pcpu_limit());
    reply.text("}");
    reply.end_row();
}

void show_domains(Context& context)
{
    Reply& reply{context.reply};
    reply.heading("'q' pressed -> dumping domain info (now = {})", context.machine.now().ns());
    for_each_domain(context.machine, [&](sched::Domain& domain) {
        sched::DomainView const view{context.view_of(domain)};
        std::uint64_t const pages{context.pages_of(domain)};
        reply.heading("General information for domain {}:", domain.id);
        reply.heading("    name={} nr_pages={} vcpus={} weight={} cap={} paused={}", context.machine.name_of(domain),
                      pages, domain.vcpu_count, view.params.weight, view.params.cap, view.is_paused);
        reply.text("NODE affinity for domain {}: [", domain.id);
        reply.value("id", domain.id);
        reply.value("name", context.machine.name_of(domain));
        reply.value("pages", pages);
        reply.map("node_affinity", view.node_affinity & context.topology().nodes(), context.topology().node_count());
        reply.text("]");
        reply.end_row();
        reply.heading("VCPU information and callbacks for domain {}:", domain.id);
        sched::VcpuView vcpu_view;
        for (sched::Vcpu& vcpu : domain.vcpus) {
            {
                Undisturbed const undisturbed{context.machine};
                context.core().look_at(vcpu, context.machine.now(), vcpu_view);
            }
            show_vcpu_state(context, domain, vcpu_view);
        }
    });
}

// --- r: the scheduler

void show_run_queues(Context& context)
{
    Reply& reply{context.reply};
    sched::Core& core{context.core()};
    reply.heading("'r' pressed -> dumping run queues");
    reply.heading("sched_smt_power_savings: {}",
                  core.policy_param("smt_power_savings").value_or(0) != 0 ? "enabled" : "disabled");
    reply.heading("NOW={}", context.machine.now().ns());
    reply.heading("Cpupool 0:");
    reply.heading("Scheduler: {}", core.policy().name);
    BufferSink sink{context.machine.scratch()};
    {
        Undisturbed const undisturbed{context.machine};
        sched::Core::describe_state(core.pool(), sink);
    }
    pass_on(context, sink);
    for (CpuId const cpu : core.pool().members()) {
        sink.clear();
        {
            Undisturbed const undisturbed{context.machine};
            core.describe_queue(cpu, sink);
        }
        pass_on(context, sink);
    }
}

// --- d and t: pCPUs

void show_registers(Context& context) { context.machine.show_registers(context.reply); }
void show_clocks(Context& context) { context.machine.show_clocks(context.reply); }

constexpr std::array handlers{
    KeyHandler{'*', "print all diagnostics", show_all, false},
    KeyHandler{'0', "dump registers of all pCPUs (the same as d)", show_registers, false},
    KeyHandler{'d', "dump registers of all pCPUs", show_registers, true},
    KeyHandler{'h', "show this message", show_keys, false},
    KeyHandler{'m', "memory info", show_memory, true},
    KeyHandler{'q', "dump domain (and guest debug) info", show_domains, true},
    KeyHandler{'r', "dump run queues", show_run_queues, true},
    KeyHandler{'t', "display clocks of all pCPUs", show_clocks, true},
    KeyHandler{'u', "dump NUMA info", show_numa, true},
};

void show_all(Context& context)
{
    context.reply.heading("'*' pressed -> firing all diagnostic keyhandlers");
    for (KeyHandler const& handler : handlers) {
        if (!handler.is_diagnostic)
            continue;
        std::array<char, 1> const key{handler.key};
        context.reply.heading("[{}: {}]", std::string_view{key.data(), 1}, handler.description);
        handler.show(context);
    }
}

void show_keys(Context& context)
{
    context.reply.heading("'h' pressed -> showing installed handlers");
    for (KeyHandler const& handler : handlers) {
        std::array<char, 1> const key{handler.key};
        context.reply.field("key", " key '{}'", std::string_view{key.data(), 1});
        context.reply.text(" (ascii '{:02x}')", static_cast<unsigned>(handler.key));
        context.reply.value("ascii", static_cast<unsigned>(handler.key));
        context.reply.field("description", " => {}", handler.description);
        context.reply.end_row();
    }
}

} // namespace

void run(Context& context, DebugKeys const& keys)
{
    for (char const key : keys.keys) {
        bool known{false};
        for (KeyHandler const& handler : handlers)
            if (handler.key == key) {
                known = true;
                handler.show(context);
            }
        if (!known)
            context.reply.refuse("debug-keys: '{}': no such key; debug-keys h lists those that there are",
                                 std::string_view{&key, 1});
    }
}

} // namespace hv::console
