#include "boot/scenario_run.hpp"

#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/irq_save.hpp"
#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/small_memory.hpp"
#include "arch/x86_64/upcalls.hpp"
#include "boot/console_task.hpp"
#include "boot/refuse.hpp"
#include "boot/scenario/changes.hpp"
#include "boot/trace_report.hpp"
#include "boot/vm_memory.hpp"
#include "boot/vm_tasks.hpp"
#include "boot/vm_work.hpp"

#include <arch/env.hpp>

#include <new>

namespace hv::boot {
namespace {

using scenario::DomainRecord;
using scenario::ScenarioView;

constinit arch::Env env;

// For VMs that are made while the machine runs.
constexpr std::uint32_t spare_vcpus = 512;

// What the report at the end needs, beside the machine itself.
struct Run {
    ScenarioView scenario;
    std::span<scenario::Home const> homes;
    VmAccounts accounts;
};

ScenarioView read_scenario(Kernel const& k)
{
    auto const* const bytes = arch::direct_map<std::byte const>(k.info.module->start);
    std::size_t const length{k.info.module->end.value() - k.info.module->start.value()};
    auto const view = scenario::validate({bytes, length});
    if (!view)
        refuse_because(view.error());
    if (auto const fits = scenario::fits(*view, *k.topology); !fits)
        refuse_because(fits.error());
    return *view;
}

sched::PolicyOps const& choose_policy(Kernel const& k, ScenarioView scenario)
{
    std::string_view name{k.options.sched};
    if (name.empty())
        name = scenario.policy().empty() ? "credit" : scenario.policy();
    if (sched::PolicyOps const* const ops = sched::find_policy(name))
        return *ops;
    {
        arch::Line line{arch::Output::console};
        print(line.sink(), "error: sched={}: there is no such policy; there are ", name);
        sched::list_policies(line.sink());
    }
    arch::exit_machine(arch::ExitCode::refused);
}

void log_vms(ScenarioView scenario, VmAccounts accounts, unsigned nodes)
{
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        DomainRecord const& record{scenario.domains()[i]};
        if (arch::console_is_quiet())
            return;
        arch::Line line{arch::Output::stamped_console};
        print(line.sink(), "VM {:<8} {} vCPUs, weight {}, memory", ScenarioView::text(record.name), record.vcpu_count,
              record.weight);
        for (unsigned n = 0; n < nodes; ++n)
            if (std::uint64_t const pages = accounts[i]->pages_on(NodeId{static_cast<NodeId::Rep>(n)}); pages != 0)
                print(line.sink(), " {} MiB on node {}", pages / 256, n);
        if (record.memory_mib == 0)
            print(line.sink(), " none");
    }
}

// VMs whose memory had to be looked for beyond the nodes it was wanted on: legal, but worth a line.
void warn_of_spills(Run const& run)
{
    auto const& [scenario, homes, accounts] = run;
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        bool const placed{homes[i].origin == scenario::Home::Origin::placed};
        if (!placed && !ScenarioView::memory_nodes(scenario.domains()[i]))
            continue;
        std::uint64_t there{0};
        for (NodeId const node : homes[i].nodes)
            there += accounts[i]->pages_on(node);
        if (there < accounts[i]->total())
            arch::say("warning: VM {}: {} MiB lie outside its nodes, which are full; give them more memory",
                      ScenarioView::text(scenario.domains()[i].name), (accounts[i]->total() - there) / 256);
    }
}

// The scheduler's own counters, to hold the trace to.
void tell_run_states(sched::Vcpu const& vcpu)
{
    auto const ns = [&](sched::RunState state) { return vcpu.run_state.spent[static_cast<unsigned>(state)].ns(); };
    arch::tell_host("runstate d{}v{} running={} runnable={} blocked={} offline={}", vcpu.domain.id, vcpu.index,
                    ns(sched::RunState::running), ns(sched::RunState::runnable), ns(sched::RunState::blocked),
                    ns(sched::RunState::offline));
}

void report_vms(VmMachine& vms)
{
    arch::say("{:<10} {:>5} {:>10} {:>10} {:>10} {:>8}", "VM", "vCPU", "run ms", "wait ms", "sleep ms", "phases");
    for (sched::Domain const& domain : vms.system->core().domains()) {
        Vm const* const vm{find_vm(vms, domain.id)};
        std::string_view const name{vm != nullptr ? vm->name() : "(gone)"};
        for (sched::Vcpu& vcpu : const_cast<sched::Domain&>(domain).vcpus) {
            auto const ms = [&](sched::RunState state) {
                return vcpu.run_state.spent[static_cast<unsigned>(state)].ns() / 1'000'000;
            };
            arch::say("{:<10} {:>5} {:10} {:10} {:10} {:8}", name, vcpu.index, ms(sched::RunState::running),
                      ms(sched::RunState::runnable), ms(sched::RunState::blocked) + ms(sched::RunState::offline),
                      vms.system->guests().of(vcpu).phases);
            tell_run_states(vcpu);
        }
    }
}

// With a console, at the end of the scenario: the VMs go on, and so that its figures stay what they are, nothing more
// is traced unless somebody asks for it.
void end_scenario(VmMachine& vms, Instant)
{
    vms.system->tracer().set_mask(0);
    arch::log("the scenario is over: its VMs go on, its trace does not; quit ends the machine");
}

// On pCPU 0, in its timer interrupt or its console.
void end_run(VmMachine& vms, Instant now)
{
    stop_other_pcpus(vms);
    vms.system->core().close_trace(arch::this_cpu(), now);
    mark_trace_closed();
    arch::log("the scenario is over");
    report_vms(vms);
    tell_work(*vms.system, now);
    print_trace_tail(vms.system->tracer(), 24);
    arch::exit_machine(arch::ExitCode::pass);
}

// A VM is made and ended by tasks, which may wait; what is done at a given time is done in a timer's interrupt.
void refuse_births_and_deaths(ScenarioView scenario)
{
    for (scenario::ChangeRecord const& change : scenario.changes())
        if (change.kind == scenario::ChangeKind::create || change.kind == scenario::ChangeKind::destroy)
            refuse("scenario: the kernel cannot create or destroy VM {} at a given time; use the simulator (nv sim)",
                   ScenarioView::text(scenario.domains()[change.subject].name));
}

sched::System& make_system(Kernel const& k, ScenarioView scenario)
{
    sched::SystemConfig const config{.policy = &choose_policy(k, scenario),
                                     .guest_limit =
                                         static_cast<std::uint32_t>(scenario.all_vcpus().size()) + spare_vcpus,
                                     .driver = sched::guest::Driver::tasks,
                                     .context_switch = Duration{}, // the real one costs what it costs
                                     .trace_mask = k.options.trace_mask.value_or(scenario.trace_mask()),
                                     .trace_mode = trace_mode_of(k.options)};
    auto const system = sched::System::create(env, config);
    if (!system)
        refuse("scheduler: no memory for {} pCPUs and {} vCPUs; give node 0 more", k.topology->pcpus.size(),
               config.guest_limit);
    choose_traced_pcpus((*system)->tracer(), k.options);
    if (auto const set = scenario::set_parameters(**system, scenario); !set)
        refuse_because(set.error());
    return **system;
}

void make_vms(VmMachine& vms, Run const& run)
{
    std::size_t row{0};
    for (sched::Domain const& domain : vms.system->core().domains()) {
        std::string_view const name{ScenarioView::text(run.scenario.domains()[row].name)};
        if (auto const made = make_vm(vms, const_cast<sched::Domain&>(domain), *run.accounts[row], name); !made)
            refuse("VM {}: {}; give the nodes more memory", name, text_of(made.error()));
        ++row;
    }
}

// Domains, their tasks and the end of the run. From here on the scheduler is in charge.
void begin(VmMachine& vms, Run const& run)
{
    ScenarioView const scenario{run.scenario};
    arch::IrqSave const irqs;
    vms.origin = arch::clock_now();
    vms.seed = scenario.seed();
    for (DomainRecord const& record : scenario.domains())
        if (DomainId const id{record.id}; id > vms.last_id)
            vms.last_id = id;
    Instant const end{vms.origin + scenario.warmup() + scenario.duration()};
    auto const created =
        scenario::create_domains(*vms.system, scenario, run.homes, scenario.seed(), vms.origin, vms.origin, {});
    if (!created)
        refuse_because(created.error());
    use_real_memory(*vms.system, run.accounts);
    make_vms(vms, run);
    arch::tell_host("scenario start={} end={}", vms.origin.ns(), end.ns());
    env.arm(CpuId{0}, end_of_run_timer, end);
    vms.changes->begin(vms.origin);
    env.arm(CpuId{0}, life_timer, vms.origin + life_period);
    for (CpuId const cpu : vms.system->core().pool().members())
        env.tickle(cpu);
}

} // namespace

arch::ExitCode run_scenario(Kernel& k)
{
    ScenarioView const view{read_scenario(k)};
    refuse_births_and_deaths(view);
    void* const memory{arch::allocate_memory(NodeId{0}, sizeof(VmMachine), alignof(VmMachine))};
    if (memory == nullptr)
        refuse("scenario: no memory to begin with; give node 0 more");
    VmMachine& vms{*::new (memory) VmMachine{}};
    auto const homes = find_homes(view);
    auto const accounts = [&] {
        arch::IrqSave const irqs;
        return give_memory_to_vms(*k.pages, view, homes);
    }();
    if (!accounts)
        refuse_because(accounts.error());
    Run run{.scenario = view, .homes = homes, .accounts = *accounts};
    log_vms(view, *accounts, k.topology->node_count());
    warn_of_spills(run);
    {
        arch::IrqSave const irqs;
        vms.system = &make_system(k, view);
    }
    vms.at_end = k.options.console ? end_scenario : end_run;
    vms.at_quit = end_run;
    if (!publish_trace_directory(vms.system->tracer()))
        refuse("trace: no memory for its directory; give node 0 more");
    arch::log("scenario {}: policy {}, seed {}, {} ms", view.name(), vms.system->core().policy().name, view.seed(),
              (view.warmup() + view.duration()).ns() / 1'000'000);
    install_vm_up_calls(vms);
    bring_pcpus_under(vms);
    scenario::Changes changes{*vms.system, view, homes, view.seed(), {}, {}};
    vms.changes = &changes;
    begin(vms, run);
    if (k.options.console)
        serve_console(vms);
    arch::idle_forever(); // As pCPU 0's idle vCPU; end_run leaves from an interrupt.
}

} // namespace hv::boot
