#include "tools/nv/simulation.hpp"

#include "boot/scenario/populate.hpp"
#include "tools/nv/errors.hpp"

#include <array>
#include <memory>

namespace hv::nv {

namespace {

std::vector<PcpuTopology> pcpus_of(scenario::ScenarioView view)
{
    std::vector<PcpuTopology> pcpus;
    for (scenario::PcpuRecord const& record : view.pcpus())
        pcpus.push_back(
            {.node = NodeId{static_cast<NodeId::Rep>(record.node)}, .socket = record.socket, .core = record.core});
    return pcpus;
}

sched::PolicyOps const& policy_named(std::string_view of_scenario)
{
    std::string const name{of_scenario.empty() ? "credit" : of_scenario};
    if (sched::PolicyOps const* const ops = sched::find_policy(name))
        return *ops;
    std::array<char, 512> buffer{};
    BufferSink known{buffer};
    sched::list_policies(known);
    refuse("policy " + name + " is not known; there are " + std::string{known.text()});
}

template <typename Error>
void check(Status<Error> const& outcome)
{
    if (outcome)
        return;
    std::array<char, 512> buffer{};
    BufferSink text{buffer};
    scenario::describe(outcome.error(), text);
    refuse(std::string{text.text()});
}

} // namespace

Simulation::Simulation(scenario::ScenarioView view, SimulationConfig config)
    : config_{std::move(config)}, shape_{pcpus_of(view),
                                         static_cast<unsigned>(view.nodes().size()),
                                         {view.distances().begin(), view.distances().end()}},
      machine_{shape_,
               {.ipi = view.costs().ipi,
                .timer_late = view.costs().timer_late,
                .wake = view.costs().wake,
                .by_turns = view.by_turns(),
                .turn = view.costs().turn,
                .turn_seed = view.seed()},
               config_.trace_bytes_per_pcpu}
{
    machine_.set_client(*this);
    sched::SystemConfig const parts{.policy = &policy_named(view.policy()),
                                    .guest_limit = static_cast<std::uint32_t>(view.all_vcpus().size()),
                                    .driver = sched::guest::Driver::events,
                                    .context_switch = view.costs().ctxsw,
                                    .trace_mask = config_.trace_mask.value_or(view.trace_mask())};
    auto const made = sched::System::create(machine_.env(), parts);
    if (!made)
        give_up("no memory for the simulated machine");
    system_ = *made;
    system_->tracer().set_listener(config_.listener);
    check(scenario::set_parameters(*system_, view));
    Instant now;
    for (std::size_t i = 0; i < view.pcpus().size(); ++i) {
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        now = Instant::at(view.costs().cpu_bringup_stagger * static_cast<std::int64_t>(i));
        machine_.set_clock(now); // What is due by then is handled after the set-up.
        machine_.set_executing(cpu);
        system_->pcpu_up(cpu, now);
    }
    machine_.set_executing(CpuId{0});
    scenario::Executing const executing{.self = &machine_, .on = [](void* machine, CpuId cpu) {
                                            static_cast<arch::SimMachine*>(machine)->set_executing(cpu);
                                        }};
    auto const planner = std::make_unique<scenario::HomePlanner>();
    homes_.resize(view.domains().size());
    check(scenario::plan_homes(view, *planner, homes_));
    check(scenario::create_domains(*system_, view, homes_, view.seed(), Instant{}, now, executing));
    changes_.emplace(*system_, view, homes_, view.seed(), executing,
                     scenario::Changes::Failure{.told = [](void*, scenario::PopulateError const& error) {
                         check(Status<scenario::PopulateError>{fail(error)});
                     }});
    changes_->begin(Instant{});
    machine_.reschedule_all();
}

void Simulation::timer(CpuId self, TimerId id, Instant now)
{
    if (!changes_ || !changes_->timer(self, id, now))
        system_->timer(self, id, now);
}

void Simulation::reschedule(CpuId self, Instant now)
{
    sched::Switch const change{system_->reschedule(self, now)};
    if (change.previous != change.next)
        system_->context_saved(self, *change.previous, now);
}

// A wake-up is handled where its vCPU belongs by then; its start, where it was asked for.
CpuId Simulation::place_of(TimerId id, CpuId armed_on)
{
    sched::guest::Guest const* const guest{system_->guests().of(id)};
    return guest == nullptr || !guest->started ? armed_on : guest->vcpu.processor();
}

std::optional<Duration> Simulation::wake_cost(CpuId cpu) const
{
    return system_ == nullptr ? std::nullopt : system_->guests().wake_cost(cpu);
}

bool Simulation::is_busy(CpuId cpu) const { return !system_->core().pool().pcpu(cpu).current->is_idle(); }

void Simulation::settled(Instant now)
{
    if (config_.after_event)
        config_.after_event(*system_, now);
}

} // namespace hv::nv
