// top: who uses the pCPUs, how long VMs wait for one, and how much of what they get is at home.
#include "boot/console/executor.hpp"

namespace hv::console {
namespace {

// What was used within a span of time.
struct Use {
    Duration span, run, wait, home;

    void add(Use const& other)
    {
        span = other.span > span ? other.span : span;
        run += other.run;
        wait += other.wait;
        home += other.home;
    }
};

// The nodes that a VM is at home on; all where nothing says so.
NodeMask home_of(Context& context, sched::Domain& domain)
{
    sched::DomainView const view{context.view_of(domain)};
    NodeMask const nodes{context.topology().nodes()};
    if (!view.auto_node_affinity)
        return view.node_affinity & nodes;
    NodeMask home;
    for (NodeId const node : nodes)
        if (context.machine.pages_of(domain, node) != 0)
            home.set(node);
    return home.empty() ? nodes : home;
}

TopSample sample_of(Context& context, sched::Vcpu& vcpu, NodeMask home, sched::VcpuView& view)
{
    Instant now;
    {
        Undisturbed const undisturbed{context.machine};
        now = context.machine.now();
        context.core().look_at(vcpu, now, view);
    }
    TopSample sample{.domain = vcpu.domain.id,
                     .vcpu = vcpu.index,
                     .at = now,
                     .run = view.spent_in(sched::RunState::running),
                     .wait = view.spent_in(sched::RunState::runnable),
                     .home = {}};
    sched::guest::Guests const& guests{context.machine.system().guests()};
    for (NodeId const node : home)
        sample.home += guests.ran_on(guests.of(vcpu), node, now);
    return sample;
}

// Since the sample before; without one, since the vCPU was made.
Use since_before(TopSample const& sample, sched::VcpuView const& view, std::span<TopSample const> before,
                 std::size_t place)
{
    Use use{.span = {}, .run = sample.run, .wait = sample.wait, .home = sample.home};
    for (Duration const spent : view.spent)
        use.span += spent;
    if (place < before.size() && before[place].domain == sample.domain && before[place].vcpu == sample.vcpu &&
        before[place].at > Instant{})
        use = {.span = sample.at - before[place].at,
               .run = sample.run - before[place].run,
               .wait = sample.wait - before[place].wait,
               .home = sample.home - before[place].home};
    use.home = use.home > use.run ? use.run : use.home;
    return use;
}

void show_use(Reply& reply, Use const& use, Duration time)
{
    reply.text(" {:8} {:8} {:8} {:9}", Tenths{use.run, use.span}.text(), Tenths{use.wait, use.span}.text(),
               use.run > Duration{} ? Tenths{use.home, use.run}.text() : std::string_view{"-"}, Tenths{time}.text());
    reply.value("span_ns", use.span);
    reply.value("run_ns", use.run);
    reply.value("wait_ns", use.wait);
    reply.value("home_ns", use.home);
    reply.value("time_ns", time);
    reply.end_row();
}

void show_vcpu_use(Context& context, sched::Domain const& domain, sched::VcpuView const& view, Use const& use)
{
    Reply& reply{context.reply};
    reply.value("name", context.machine.name_of(domain));
    reply.value("id", domain.id);
    reply.field("vcpu", "{:34}", view.index);
    reply.field("cpu", " on {:4}", view.processor);
    show_use(reply, use, view.spent_in(sched::RunState::running));
}

void show_vm_use(Context& context, sched::Domain const& domain, Use const& use, Duration time)
{
    Reply& reply{context.reply};
    reply.field("name", "{:<28}", context.machine.name_of(domain));
    reply.field("id", " {:5}", domain.id);
    reply.field("vcpus", " {:6} ", domain.vcpu_count);
    show_use(reply, use, time);
}

// The VM first, then its vCPUs, which are looked at twice for that; the second look is the one to go on from.
void show_domain(Context& context, sched::Domain& domain, bool with_vcpus, std::span<TopSample> before,
                 std::size_t& place)
{
    NodeMask const home{home_of(context, domain)};
    sched::VcpuView view;
    Use sum{};
    Duration time;
    std::size_t at{place};
    for (sched::Vcpu& vcpu : domain.vcpus) {
        TopSample const sample{sample_of(context, vcpu, home, view)};
        time += sample.run;
        sum.add(since_before(sample, view, before, at++));
    }
    show_vm_use(context, domain, sum, time);
    for (sched::Vcpu& vcpu : domain.vcpus) {
        TopSample const sample{sample_of(context, vcpu, home, view)};
        if (with_vcpus)
            show_vcpu_use(context, domain, view, since_before(sample, view, before, place));
        if (place < before.size())
            before[place] = sample;
        ++place;
    }
}

} // namespace

void show_top(Context& context, Top const& top, std::span<TopSample> before)
{
    context.reply.heading("up {} s, {} pCPUs, scheduler {}", Tenths{context.machine.now().since_start()}.text(),
                          context.core().pool().members().count(), context.core().policy().name);
    context.reply.heading("{:<28} {:5} {:6}   {:7} {:8} {:8} {:9}", "Name", "ID", "VCPUs", "CPU(%)", "WAIT(%)",
                          "HOME(%)", "Time(s)");
    std::size_t place{0};
    HoldDomains const hold{context.machine};
    for_each_domain(context.machine,
                    [&](sched::Domain& domain) { show_domain(context, domain, top.vcpus, before, place); });
}

void run(Context& context, Top const& top)
{
    if (top.once || context.reply.is_json())
        show_top(context, top, {});
    else
        context.machine.keep_showing(top);
}

} // namespace hv::console
