// The checks of domains, vCPUs and their workloads.
#include "boot/scenario/checker.hpp"

namespace hv::scenario {

bool Checker::mask_row(char const* field, std::uint32_t const& place)
{
    if (place == no_mask || place < ref(Table::masks).count)
        return true;
    return refuse(field, offset_of(&place), place, "a row of the mask table, or 0xffffffff");
}

bool Checker::node_set(char const* field, std::uint64_t const& place)
{
    if (NodeMask::from_bits(place).is_subset_of(NodeMask::first_n(ref(Table::nodes).count)))
        return true;
    return refuse(field, offset_of(&place), place, "bits of nodes of this machine");
}

bool Checker::check_domain(DomainRecord const& domain)
{
    if (!range("domain.id", domain.id, 0, max_domain_id) || !range("domain.weight", domain.weight, 1, max_weight) ||
        !range("domain.vcpu_count", domain.vcpu_count, 1, max_domain_vcpus) ||
        !range("domain.cap", domain.cap, 0, max_cap_per_vcpu * domain.vcpu_count) ||
        !time("domain.start_ns", domain.start_ns) || !mask_row("domain.hard_mask", domain.hard_mask) ||
        !range("domain.memory_policy", domain.memory_policy, 0, static_cast<std::uint64_t>(MemoryPolicy::interleave)) ||
        !range("domain.memory_mib", domain.memory_mib, 0, max_node_memory_mib) ||
        !node_set("domain.memory_nodes", domain.memory_nodes) ||
        !node_set("domain.node_affinity", domain.node_affinity) ||
        !node_set("domain.preferred_nodes", domain.preferred_nodes) || !text("domain.name", domain.name, false) ||
        !text("domain.group", domain.group, false))
        return false;
    for (std::uint8_t const& byte : domain.reserved)
        if (!range("domain.reserved", byte, 0, 0))
            return false;
    if ((domain.memory_policy == MemoryPolicy::automatic) != (domain.memory_nodes == 0))
        return refuse("domain.memory_nodes", offset_of(&domain.memory_nodes), domain.memory_nodes,
                      "nodes with, and none without, a memory policy");
    return true;
}

bool Checker::check_domains()
{
    std::uint64_t next_vcpu{0};
    for (row_ = 0; row_ < ref(Table::domains).count; ++row_) {
        auto const& domain = record<DomainRecord>(Table::domains, row_);
        if (!check_domain(domain) || !range("domain.first_vcpu", domain.first_vcpu, next_vcpu, next_vcpu))
            return false;
        next_vcpu += domain.vcpu_count;
        for (std::uint32_t other = 0; other < row_; ++other)
            if (record<DomainRecord>(Table::domains, other).id == domain.id)
                return refuse("domain.id", offset_of(&domain.id), domain.id, "a number that no other domain has");
    }
    row_ = 0;
    return range("header.vcpus", ref(Table::vcpus).count, next_vcpu, next_vcpu);
}

bool Checker::check_vcpus()
{
    row_ = 0;
    std::uint64_t next_step{0};
    for (std::uint32_t d = 0; d < ref(Table::domains).count; ++d) {
        auto const& domain = record<DomainRecord>(Table::domains, d);
        for (std::uint32_t index = 0; index < domain.vcpu_count; ++index, ++row_) {
            auto const& vcpu = record<VcpuRecord>(Table::vcpus, row_);
            if (!check_vcpu(vcpu, domain.vcpu_count, index) || !check_workload(vcpu) ||
                !check_pair(domain, vcpu, index) || !range("vcpu.first_step", vcpu.first_step, next_step, next_step) ||
                !range("vcpu.step_count", vcpu.step_count, 0,
                       vcpu.kind == WorkloadKind::recorded ? ref(Table::steps).count - next_step : 0))
                return false;
            next_step += vcpu.step_count;
        }
    }
    row_ = 0;
    return range("header.steps", ref(Table::steps).count, next_step, next_step);
}

// Only recorded vCPUs are notified: they lose no event, and one to a vCPU that expects none has no meaning.
bool Checker::check_steps()
{
    std::uint32_t const vcpus = ref(Table::vcpus).count;
    for (row_ = 0; row_ < ref(Table::steps).count; ++row_) {
        auto const& step = record<StepRecord>(Table::steps, row_);
        bool const is_timed = step.kind <= sched::guest::StepKind::sleep;
        bool const notifies = step.kind == sched::guest::StepKind::notify;
        if (!range("step.kind", step.kind, 0, sched::guest::last_step_kind) ||
            !range("step.reserved", step.reserved, 0, 0) ||
            !range("step.target", step.target, 0,
                   notifies                                   ? vcpus - 1
                   : step.kind == sched::guest::StepKind::run ? 0
                                                              : UINT32_MAX) ||
            !range("step.ns", step.ns, is_timed ? 1 : 0, is_timed ? max_time_ns : 0))
            return false;
        if (notifies && record<VcpuRecord>(Table::vcpus, step.target).kind != WorkloadKind::recorded)
            return refuse("step.target", offset_of(&step.target), step.target, "a recorded vCPU");
    }
    row_ = 0;
    return true;
}

bool Checker::check_vcpu(VcpuRecord const& vcpu, std::uint32_t siblings, std::uint32_t index)
{
    bool const pair = vcpu.kind == WorkloadKind::pingpong || vcpu.kind == WorkloadKind::fork;
    if (!range("vcpu.initial_pcpu", vcpu.initial_pcpu, 0, ref(Table::pcpus).count - 1) ||
        !range("vcpu.kind", vcpu.kind, 0, last_workload_kind) ||
        !range("vcpu.partner", vcpu.partner, 0, pair ? siblings - 1 : 0) ||
        !range("vcpu.has_token", vcpu.has_token, 0, pair ? 1 : 0) || !mask_row("vcpu.hard_mask", vcpu.hard_mask) ||
        !mask_row("vcpu.soft_mask", vcpu.soft_mask))
        return false;
    if (is_of_model(vcpu.kind) && ref(Table::model).count == 0)
        return refuse("vcpu.kind", offset_of(&vcpu.kind), static_cast<std::uint64_t>(vcpu.kind),
                      "none of 5 to 8 where there is no memory cost model");
    if (pair && vcpu.partner == index)
        return refuse("vcpu.partner", offset_of(&vcpu.partner), vcpu.partner, "another vCPU of the domain");
    return true;
}

// What a kind does not use must be zero: a value there was meant for something.
bool Checker::check_workload(VcpuRecord const& vcpu)
{
    WorkloadKind const kind = vcpu.kind;
    bool const work = is_of_model(kind) && kind != WorkloadKind::cpu;
    bool const burst = kind == WorkloadKind::burst || work, periodic = kind == WorkloadKind::periodic;
    bool const grid = kind == WorkloadKind::gridsleep, runs = burst || periodic || kind == WorkloadKind::pingpong;
    std::uint64_t const most = work ? max_work_ns : max_time_ns;
    // {in use, lowest}: the highest is max_time_ns for a field in use.
    auto const field = [&](char const* name, std::uint64_t const& place, bool used, std::uint64_t low,
                           std::uint64_t high) { return range(name, place, used ? low : 0, used ? high : 0); };
    return field("vcpu.run_min_ns", vcpu.run_min_ns, runs, 1, most) &&
           field("vcpu.run_max_ns", vcpu.run_max_ns, runs, vcpu.run_min_ns, burst ? most : vcpu.run_min_ns) &&
           field("vcpu.block_min_ns", vcpu.block_min_ns, burst, 1, most) &&
           field("vcpu.block_max_ns", vcpu.block_max_ns, burst, vcpu.block_min_ns, most) &&
           field("vcpu.period_ns", vcpu.period_ns, periodic, 1, max_time_ns) &&
           field("vcpu.phase_ns", vcpu.phase_ns, periodic, 0, max_time_ns) &&
           field("vcpu.grid_ns", vcpu.grid_ns, grid, 2, max_time_ns) &&
           field("vcpu.guard_ns", vcpu.guard_ns, grid, 1, vcpu.grid_ns - 1);
}

// Partners (ping-pong; parent and child) name each other, and one of them has the token.
bool Checker::check_pair(DomainRecord const& domain, VcpuRecord const& vcpu, std::uint32_t index)
{
    if (vcpu.kind != WorkloadKind::pingpong && vcpu.kind != WorkloadKind::fork)
        return true;
    auto const& partner = record<VcpuRecord>(Table::vcpus, domain.first_vcpu + vcpu.partner);
    if (partner.kind != vcpu.kind || partner.partner != index)
        return refuse("vcpu.partner", offset_of(&vcpu.partner), vcpu.partner,
                      "a vCPU of its kind whose partner is this one");
    if (partner.has_token == vcpu.has_token)
        return refuse("vcpu.has_token", offset_of(&vcpu.has_token), vcpu.has_token,
                      "the token with exactly one of the partners");
    return true;
}

} // namespace hv::scenario
