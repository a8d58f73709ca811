// list and vcpu-list, in the columns of Xen's xl.
#include "boot/console/executor.hpp"

namespace hv::console {
namespace {

// What a domain's vCPUs are, taken together.
struct Summary {
    Duration time{};
    unsigned online{0}, running{0}, blocked{0};
};

Summary summarise(Context& context, sched::Domain& domain)
{
    Summary sum;
    static_assert(sizeof(sched::VcpuView) < 2048, "it lies on the stack");
    sched::VcpuView view;
    for (sched::Vcpu& vcpu : domain.vcpus) {
        {
            Undisturbed const undisturbed{context.machine};
            context.core().look_at(vcpu, context.machine.now(), view);
        }
        sum.time += view.spent_in(sched::RunState::running);
        sum.online += view.is_down ? 0 : 1;
        sum.running += view.state == sched::RunState::running ? 1 : 0;
        sum.blocked += view.state == sched::RunState::blocked ? 1 : 0;
    }
    return sum;
}

void show_pages(Context& context, sched::Domain const& domain)
{
    Reply& reply{context.reply};
    reply.begin_list("node_pages");
    reply.text(" ");
    std::string_view separator;
    for (NodeId const node : context.topology().nodes()) {
        reply.text("{}", separator);
        reply.field("", "{}", context.machine.pages_of(domain, node));
        separator = ",";
    }
    reply.end_list();
}

void show_domain(Context& context, sched::Domain& domain, List const& list)
{
    Reply& reply{context.reply};
    Summary const sum{summarise(context, domain)};
    sched::DomainView const view{context.view_of(domain)};
    std::uint64_t const pages{context.pages_of(domain)};
    bool const blocked{sum.online > 0 && sum.blocked == sum.online};
    reply.field("name", "{:<40}", context.machine.name_of(domain));
    reply.field("id", " {:5}", domain.id);
    reply.field("memory_mib", " {:5}", pages / pages_per_mib);
    reply.field("vcpus", " {:5}", sum.online);
    VmCondition const condition{context.machine.condition_of(domain)};
    bool const over{condition != VmCondition::runs};
    bool const crashed{condition == VmCondition::crashed};
    reply.text("     {}{}{}{}{}{}", sum.running > 0 ? "r" : "-", blocked ? "b" : "-", view.is_paused ? "p" : "-",
               over ? "s" : "-", crashed ? "c" : "-", view.is_ending ? "d" : "-");
    reply.value("running", sum.running > 0);
    reply.value("blocked", blocked);
    reply.value("paused", view.is_paused);
    reply.value("shut_down", over);
    reply.value("crashed", crashed);
    reply.value("dying", view.is_ending);
    reply.text("  {:8}", Tenths{sum.time}.text());
    reply.value("time_ns", sum.time);
    if (list.nodes || reply.is_json()) {
        reply.text(" ");
        reply.map("node_affinity", view.node_affinity & context.topology().nodes(), context.topology().node_count());
        reply.value("node_affinity_auto", view.auto_node_affinity);
    }
    if (list.verbose || reply.is_json()) {
        reply.field("weight", " {:6}", view.params.weight);
        reply.field("cap", " {:4}", view.params.cap);
        show_pages(context, domain);
    }
    reply.end_row();
}

void show_vcpu(Context& context, sched::Domain const& domain, sched::VcpuView const& view)
{
    Reply& reply{context.reply};
    reply.field("name", "{:<32}", context.machine.name_of(domain));
    reply.field("id", " {:5}", domain.id);
    reply.field("vcpu", " {:5}", view.index);
    bool const runs{view.state == sched::RunState::running};
    bool const blocked{view.state == sched::RunState::blocked};
    // Without a blank: one column left of its heading, as upstream has it.
    if (view.is_down)
        reply.text("{:5}", "-");
    else
        reply.text("{:5}", view.processor);
    reply.value("cpu", view.processor);
    reply.text(" {:3}{}{} ", runs ? "r" : "-", blocked ? "b" : "-", view.is_down ? "p" : "-");
    reply.value("online", !view.is_down);
    reply.value("running", runs);
    reply.value("blocked", blocked);
    reply.text("{:9}  ", Tenths{view.spent_in(sched::RunState::running)}.text());
    reply.value("running_ns", view.spent_in(sched::RunState::running));
    reply.value("runnable_ns", view.spent_in(sched::RunState::runnable));
    reply.value("blocked_ns", view.spent_in(sched::RunState::blocked));
    reply.value("offline_ns", view.spent_in(sched::RunState::offline));
    unsigned const limit{context.pcpu_limit()};
    reply.map("hard", view.hard_affinity, limit);
    reply.text(" / ");
    if (view.prefers)
        reply.map("soft", view.soft_affinity, limit);
    else
        reply.field("soft", "{}", "all");
    reply.end_row();
}

void show_vcpus(Context& context, sched::Domain& domain)
{
    sched::VcpuView view;
    for (sched::Vcpu& vcpu : domain.vcpus) {
        {
            Undisturbed const undisturbed{context.machine};
            context.core().look_at(vcpu, context.machine.now(), view);
        }
        show_vcpu(context, domain, view);
    }
}

// Calls visit(domain) for the one that is named, or for all; says so if there is no such.
template <typename Visit>
void for_named(Context& context, std::string_view name, Visit visit)
{
    if (!name.empty()) {
        if (sched::Domain* const domain = find_domain(context, name); domain != nullptr)
            visit(*domain);
        return;
    }
    for_each_domain(context.machine, visit);
}

} // namespace

void run(Context& context, List const& list)
{
    bool headed{false};
    for_named(context, list.domain, [&](sched::Domain& domain) {
        if (!headed)
            context.reply.heading("{:<40} {:5} {:5} {:5}\tState\tTime(s){}{}", "Name", "ID", "Mem", "VCPUs",
                                  list.nodes ? " NODE Affinity" : "", list.verbose ? " Weight  Cap Pages by node" : "");
        headed = true;
        show_domain(context, domain, list);
    });
}

void run(Context& context, VcpuList const& list)
{
    bool headed{false};
    for_named(context, list.domain, [&](sched::Domain& domain) {
        if (!headed)
            context.reply.heading("{:<32} {:5} {:5} {:5} {:5} {:9} {}", "Name", "ID", "VCPU", "CPU", "State", "Time(s)",
                                  "Affinity (Hard / Soft)");
        headed = true;
        show_vcpus(context, domain);
    });
}

} // namespace hv::console
