// vcpu-pin and node-affinity: where vCPUs may run and would rather run, changed while they do.
#include "boot/console/executor.hpp"

namespace hv::console {
namespace {

// What is asked for, as sets of the machine.
struct Wanted {
    VcpuPin const& pin;
    CpuMask hard, soft;
};

bool read_sets(Context& context, Wanted& wanted)
{
    if (wanted.pin.hard && !read_set(context, "vcpu-pin", "hard affinity", *wanted.pin.hard, wanted.hard))
        return false;
    return !wanted.pin.soft || read_set(context, "vcpu-pin", "soft affinity", *wanted.pin.soft, wanted.soft);
}

void show_sets(Context& context, Wanted const& wanted)
{
    Reply& reply{context.reply};
    reply.text("cpumap: ");
    if (wanted.pin.hard)
        reply.map("hard", wanted.hard, context.pcpu_limit());
    else
        reply.field("hard", "{}", "-");
    reply.text(" ");
    if (wanted.pin.soft)
        reply.map("soft", wanted.soft, context.pcpu_limit());
    else
        reply.field("soft", "{}", "-");
    reply.end_row();
}

// What comes of a vCPU's sets: hard within the pool, soft within hard.
void show_effect(Context& context, sched::Domain const& domain, sched::Vcpu const& vcpu)
{
    sched::VcpuView view;
    {
        Undisturbed const undisturbed{context.machine};
        context.core().look_at(vcpu, context.machine.now(), view);
    }
    CpuMask const hard{view.hard_affinity & context.core().pool().members()};
    Reply& reply{context.reply};
    if (view.prefers && !view.soft_affinity.intersects(hard))
        reply.warn(
            "vcpu-pin: {} vCPU {}: its soft affinity leaves nothing of its hard affinity, and counts for nothing",
            context.machine.name_of(domain), view.index);
    if (!reply.is_json())
        return;
    reply.value("name", context.machine.name_of(domain));
    reply.value("id", domain.id);
    reply.value("vcpu", view.index);
    reply.map("hard", hard, context.pcpu_limit());
    reply.map("soft", view.soft_affinity & hard, context.pcpu_limit());
    reply.end_row();
}

// false: refused, nothing has changed.
bool pin_vcpu(Context& context, sched::Domain const& domain, sched::Vcpu& vcpu, Wanted const& wanted)
{
    {
        Undisturbed const undisturbed{context.machine};
        CpuId const self{context.machine.self()};
        Instant const now{context.machine.now()};
        // Hard may fail and soft may not, so that nothing has to be taken back.
        if (wanted.pin.hard && !context.core().set_hard_affinity(self, vcpu, wanted.hard, now)) {
            context.reply.refuse(
                "vcpu-pin: {} vCPU {}: hard affinity '{}' has no pCPU of its pool; name one that is up",
                context.machine.name_of(domain), vcpu.index, *wanted.pin.hard);
            return false;
        }
        // None is a preference for nothing, as all are.
        if (wanted.pin.soft)
            static_cast<void>(context.core().set_soft_affinity(
                vcpu, wanted.soft.empty() ? CpuMask::first_n(context.pcpu_limit()) : wanted.soft, now));
    }
    show_effect(context, domain, vcpu);
    return true;
}

void show_nodes_of(Context& context, sched::Domain& domain)
{
    sched::DomainView const view{context.view_of(domain)};
    Reply& reply{context.reply};
    reply.field("name", "{:<40}", context.machine.name_of(domain));
    reply.field("id", " {:5} ", domain.id);
    reply.field("mode", "{:<8} ", view.auto_node_affinity ? "auto" : "explicit");
    reply.map("nodes", view.node_affinity & context.topology().nodes(), context.topology().node_count());
    reply.end_row();
}

void set_nodes(Context& context, sched::Domain& domain, std::string_view text)
{
    NodeMask nodes;
    auto const parsed = parse_nodes(text == "auto" ? "all" : text, context.topology(), nodes);
    if (!parsed)
        return context.reply.refuse("node-affinity: '{}': {}", parsed.error().item, parsed.error().what);
    if (!parsed->ignored.empty())
        context.reply.warn("node-affinity: '{}': there is no such node, ignored", parsed->ignored);
    Undisturbed const undisturbed{context.machine};
    if (!context.core().set_node_affinity(domain, nodes, context.machine.now()))
        context.reply.refuse("node-affinity: '{}': leaves no node; name one, or auto", text);
}

} // namespace

bool read_set(Context& context, std::string_view command, std::string_view what, std::string_view text, CpuMask& cpus)
{
    auto const parsed = parse_affinity(text, context.topology(), cpus);
    if (!parsed) {
        context.reply.refuse("{}: {}: '{}': {}", command, what, parsed.error().item, parsed.error().what);
        return false;
    }
    if (!parsed->ignored.empty())
        context.reply.warn("{}: {}: '{}': there is no such pCPU or node, ignored", command, what, parsed->ignored);
    return true;
}

void run(Context& context, VcpuPin const& pin)
{
    Wanted wanted{.pin = pin, .hard = {}, .soft = {}};
    sched::Domain* const domain{find_domain(context, pin.domain)};
    if (domain == nullptr || !read_sets(context, wanted))
        return;
    if (pin.vcpu && *pin.vcpu >= domain->vcpu_count)
        return context.reply.refuse("vcpu-pin: '{}': {} has vCPUs 0 to {}", *pin.vcpu, context.machine.name_of(*domain),
                                    domain->vcpu_count - 1);
    if (pin.dry_run)
        return show_sets(context, wanted);
    if (pin.soft && wanted.soft.empty())
        context.reply.warn("vcpu-pin: soft affinity '{}' is empty, and counts for nothing", *pin.soft);
    for (sched::Vcpu& vcpu : domain->vcpus)
        if ((!pin.vcpu || *pin.vcpu == vcpu.index.value()) && !pin_vcpu(context, *domain, vcpu, wanted))
            return;
}

void run(Context& context, NodeAffinity const& wanted)
{
    if (!wanted.nodes.empty()) {
        if (sched::Domain* const domain = find_domain(context, wanted.domain); domain != nullptr)
            set_nodes(context, *domain, wanted.nodes);
        return;
    }
    sched::Domain* const one{wanted.domain.empty() ? nullptr : find_domain(context, wanted.domain)};
    if (one == nullptr && !wanted.domain.empty())
        return;
    context.reply.heading("{:<40} {:5} {:<8} {}", "Name", "ID", "Mode", "Node affinity");
    for_each_domain(context.machine, [&](sched::Domain& domain) {
        if (one == nullptr || one == &domain)
            show_nodes_of(context, domain);
    });
}

} // namespace hv::console
