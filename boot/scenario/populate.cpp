#include "boot/scenario/populate.hpp"

#include "boot/scenario/changes.hpp"

namespace hv::scenario {

namespace {

using Outcome = Status<PopulateError>;

Outcome no_memory(DomainRecord const& record)
{
    return fail(PopulateError{"no memory for the vCPUs of domain", ScenarioView::text(record.name),
                              "give the machine more memory, or the scenario fewer vCPUs"});
}

sched::guest::Workload workload_of(ScenarioView scenario, VcpuRecord const& record)
{
    WorkloadSpec const spec{scenario.workload(record)};
    return {.kind = static_cast<sched::guest::WorkloadKind>(spec.kind),
            .run_min = spec.run_min,
            .run_max = spec.run_max,
            .block_min = spec.block_min,
            .block_max = spec.block_max,
            .period = spec.period,
            .phase = spec.phase,
            .grid = spec.grid,
            .guard = spec.guard,
            .partner = spec.partner,
            .has_token = spec.has_token,
            .steps = spec.steps};
}

static_assert(static_cast<int>(WorkloadKind::hog) == static_cast<int>(sched::guest::WorkloadKind::hog) &&
              static_cast<int>(WorkloadKind::gridsleep) == static_cast<int>(sched::guest::WorkloadKind::gridsleep) &&
              static_cast<int>(WorkloadKind::jbb) == static_cast<int>(sched::guest::WorkloadKind::jbb) &&
              static_cast<int>(WorkloadKind::cpu) == static_cast<int>(sched::guest::WorkloadKind::cpu) &&
              static_cast<int>(WorkloadKind::recorded) == static_cast<int>(sched::guest::WorkloadKind::recorded));

sched::guest::ModelParams model_of(ModelRecord const& record)
{
    sched::guest::ModelParams params{.remote_permille = record.remote_permille,
                                     .node_mbps = record.node_mbps,
                                     .link_mbps = record.link_mbps,
                                     .queueing_permille = record.queueing_permille,
                                     .classes = {}};
    for (std::size_t i = 0; i < sched::guest::task_class_count; ++i) {
        ModelClassRecord const& c{record.classes[i]};
        params.classes[i] = {c.stall_permille, c.sibling_speed_permille, c.sibling_stall_permille,
                             c.traffic_mbps,   c.refill_core_ns,         c.refill_node_ns};
    }
    return params;
}

struct Builder {
    sched::System& system;
    ScenarioView scenario;
    std::uint64_t seed;
    Instant now;
    Executing executing;

    Outcome add_vcpus(sched::Domain& domain, DomainRecord const& record)
    {
        std::uint32_t row{record.first_vcpu}; // which is also what a recording calls it
        for (VcpuRecord const& vcpu : scenario.vcpus(record)) {
            CpuId const home{vcpu.initial_pcpu};
            executing(home);
            auto const made = system.core().create_vcpu(home, domain, home, now);
            if (!made || system.guests().add(**made, workload_of(scenario, vcpu), seed, row++) == nullptr)
                return no_memory(record);
        }
        return done;
    }

    Outcome set_affinities(sched::Domain& domain, DomainRecord const& record, Home const& home_nodes)
    {
        auto records = scenario.vcpus(record).begin();
        for (sched::Vcpu& vcpu : domain.vcpus) {
            VcpuRecord const& wanted{*records++};
            CpuId const home{wanted.initial_pcpu};
            executing(home);
            if (record.hard_mask != no_mask || wanted.hard_mask != no_mask)
                if (!system.core().set_hard_affinity(home, vcpu, scenario.hard_affinity(record, wanted), now))
                    return fail(PopulateError{"hard affinity leaves no pCPU that is up: domain",
                                              ScenarioView::text(record.name),
                                              "name at least one pCPU of the machine"});
        }
        executing(CpuId{0});
        if (home_nodes.origin == Home::Origin::placed)
            static_cast<void>(system.core().set_node_affinity(domain, home_nodes.nodes, now));
        else if (auto const nodes = ScenarioView::node_affinity(record))
            static_cast<void>(system.core().set_node_affinity(domain, *nodes, now));
        records = scenario.vcpus(record).begin();
        for (sched::Vcpu& vcpu : domain.vcpus)
            if (auto const soft = scenario.soft_affinity(*records++))
                static_cast<void>(system.core().set_soft_affinity(vcpu, *soft, now));
        return done;
    }
};

} // namespace

void describe(PopulateError const& error, Sink& sink)
{
    print(sink, "scenario: {} \"{}\": {}", error.what, error.subject, error.allowed);
}

Outcome set_parameters(sched::System& system, ScenarioView scenario)
{
    sched::Core& core{system.core()};
    if (core.policy().set_param != nullptr && core.policy().has_credit) {
        // The limit first where the slice shrinks: it may not be above the slice at any moment.
        for (auto const& [key, value] :
             {std::pair{std::string_view{"ratelimit_us"}, std::int64_t{0}},
              std::pair{std::string_view{"tslice_ms"}, scenario.tslice().ns() / 1'000'000},
              std::pair{std::string_view{"ratelimit_us"}, scenario.ratelimit().ns() / 1'000}})
            if (auto const set = core.set_policy_param(key, value); !set)
                return fail(PopulateError{"scheduler parameter", key, set.error().text});
    }
    for (ParamRecord const& param : scenario.params())
        if (auto const set = core.set_policy_param(ScenarioView::text(param.key), param.value); !set)
            return fail(PopulateError{"policy parameter", ScenarioView::text(param.key), set.error().text});
    return done;
}

Outcome create_domain(sched::System& system, ScenarioView scenario, std::uint32_t row, Home const& home,
                      std::uint64_t seed, Instant start, Instant now, Executing executing)
{
    Builder builder{system, scenario, seed, now, executing};
    DomainRecord const& record{scenario.domains()[row]};
    executing(CpuId{0});
    auto const domain = system.core().create_domain(DomainId{record.id});
    if (!domain) {
        PopulateError refused{no_memory(record).error()};
        refused.is_early = domain.error() == sched::CoreError::exists;
        return fail(refused);
    }
    system.core().set_params(**domain, {.weight = record.weight, .cap = static_cast<std::uint16_t>(record.cap)});
    if (auto const added = builder.add_vcpus(**domain, record); !added)
        return added;
    if (auto const set = builder.set_affinities(**domain, record, home); !set)
        return set;
    if (scenario.model() != nullptr)
        system.guests().set_memory(**domain, sched::guest::MemoryShares::striped(home.nodes));
    for (sched::Vcpu& vcpu : (*domain)->vcpus)
        system.guests().start_at(CpuId{0}, system.guests().of(vcpu), start);
    return done;
}

Outcome create_domains(sched::System& system, ScenarioView scenario, std::span<Home const> homes, std::uint64_t seed,
                       Instant origin, Instant now, Executing executing)
{
    if (ModelRecord const* const model{scenario.model()}; model != nullptr)
        if (!system.guests().use_model(model_of(*model)))
            return fail(PopulateError{"no memory for the memory cost model", ScenarioView::text(model->name),
                                      "give the machine more memory"});
    for (std::uint32_t row = 0; row < scenario.domains().size(); ++row) {
        if (!begins_alive(scenario.changes(), row))
            continue;
        Instant const start{origin + Duration::from_ns(static_cast<std::int64_t>(scenario.domains()[row].start_ns))};
        if (auto const created = create_domain(system, scenario, row, homes[row], seed, start, now, executing);
            !created)
            return created;
    }
    return done;
}

} // namespace hv::scenario
