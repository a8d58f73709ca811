#include "tools/nv/metrics.hpp"

#include <algorithm>
#include <numeric>

namespace hv::nv {

namespace {

constexpr std::string_view host_group = "dom0";

CpuMask mask_of(PcpuList const& pcpus)
{
    CpuMask mask;
    for (std::uint16_t const pcpu : pcpus)
        mask.set(CpuId{pcpu});
    return mask;
}

std::vector<std::uint8_t> nodes_of(Scenario const& scenario)
{
    std::vector<std::uint8_t> nodes;
    for (Pcpu const& pcpu : scenario.machine.pcpus)
        nodes.push_back(static_cast<std::uint8_t>(pcpu.node));
    return nodes;
}

Ledger::Rules rules_of(Scenario const& scenario, Duration grain)
{
    auto const start = static_cast<std::int64_t>(scenario.warmup_ns);
    return {.source = Ledger::Source::whole,
            .start = start,
            .end = start + static_cast<std::int64_t>(scenario.duration_ns),
            .grain = grain.ns()};
}

Ledger::Place place_of(Scenario const& scenario, Domain const& domain, Vcpu const& vcpu)
{
    Ledger::Place place;
    for (std::uint8_t const node : domain.home().value_or(NodeList{}))
        place.preferred.set(NodeId{node});
    std::optional<PcpuList> const& own = vcpu.hard_affinity ? vcpu.hard_affinity : domain.hard_affinity;
    place.hard = own ? mask_of(*own) : CpuMask::first_n(static_cast<unsigned>(scenario.machine.pcpus.size()));
    for (CpuId const cpu : place.hard)
        if (place.preferred.test(NodeId{static_cast<NodeId::Rep>(scenario.machine.pcpus[cpu.value()].node)}))
            place.home.set(cpu);
    return place;
}

void append(std::vector<std::int64_t>& to, WaitSamples const& samples)
{
    for (std::uint64_t const ns : samples.exact())
        to.push_back(static_cast<std::int64_t>(ns));
}

} // namespace

Latency Latency::of(std::vector<std::int64_t> samples)
{
    if (samples.empty())
        return {};
    // Each partition leaves what is larger behind it, where the next one goes on.
    auto from = samples.begin();
    auto const rank = [&](std::size_t percent) {
        auto const at = samples.begin() + static_cast<std::ptrdiff_t>((samples.size() * percent + 99) / 100 - 1);
        std::nth_element(from, at, samples.end());
        from = at;
        return *at;
    };
    Latency result{.count = samples.size(), .sum = std::accumulate(samples.begin(), samples.end(), std::int64_t{0})};
    result.p50 = rank(50);
    result.p95 = rank(95);
    result.p99 = rank(99);
    result.max = *std::max_element(from, samples.end());
    return result;
}

Collector::Collector(Scenario const& scenario, Duration grain)
    : scenario_{scenario}, ledger_{rules_of(scenario, grain), nodes_of(scenario)},
      pcpus_{scenario.machine.pcpus.size()}, end_{rules_of(scenario, grain).end}
{
    for (std::size_t d = 0; d < scenario.domains.size(); ++d) {
        Domain const& domain = scenario.domains[d];
        auto group = std::ranges::find(group_names_, domain.group);
        if (group == group_names_.end())
            group = group_names_.insert(group_names_.end(), domain.group);
        first_of_domain_.push_back(rows_.size());
        row_of_domain_.resize(std::max<std::size_t>(row_of_domain_.size(), domain.id + 1u));
        row_of_domain_[domain.id] = static_cast<std::uint32_t>(d + 1);
        for (Vcpu const& vcpu : domain.vcpus) {
            ledger_.add(place_of(scenario, domain, vcpu));
            rows_.push_back({d, static_cast<std::size_t>(group - group_names_.begin())});
        }
    }
    response_samples_.resize(group_names_.size());
}

std::optional<std::size_t> Collector::find(std::uint16_t domain, std::uint16_t vcpu) const
{
    if (domain >= row_of_domain_.size() || row_of_domain_[domain] == 0)
        return std::nullopt;
    std::size_t const row = row_of_domain_[domain] - 1;
    if (vcpu >= scenario_.domains[row].vcpus.size())
        return std::nullopt;
    return first_of_domain_[row] + vcpu;
}

void Collector::change(Instant when, std::size_t index, RunState from, RunState to, std::uint16_t pcpu)
{
    std::int64_t const time = when.ns();
    bool const involves_pcpu = from == RunState::running || to == RunState::running;
    if (time > end_)
        return;
    if (time < ledger_.now() || (involves_pcpu && pcpu >= pcpus_))
        ++misfits_;
    else
        ledger_.change(time, index, from, to, pcpu);
}

void Collector::switched(Instant when, bool to_vcpu)
{
    if (!ledger_.counts(when.ns()))
        return;
    ++metrics_.switches;
    metrics_.switches_to_vcpu += to_vcpu ? 1u : 0u;
}

void Collector::job_done(Instant when, std::size_t index, std::optional<Duration> response)
{
    if (!ledger_.counts(when.ns()))
        return;
    ++ledger_.vcpus()[index].sums.jobs;
    if (response)
        response_samples_[rows_[index].group].push_back(response->ns());
}

void Collector::job_missed(Instant when, std::size_t index)
{
    if (ledger_.counts(when.ns()))
        ++ledger_.vcpus()[index].sums.missed;
}

GroupMetrics Collector::summarise(std::string name, std::vector<std::size_t> const& groups) const
{
    GroupMetrics result;
    result.name = std::move(name);
    std::vector<std::int64_t> wake, wait, response, runs;
    for (std::size_t const group : groups)
        response.insert(response.end(), response_samples_[group].begin(), response_samples_[group].end());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (std::ranges::find(groups, rows_[i].group) == groups.end())
            continue;
        Ledger::Vcpu const& vcpu = ledger_.vcpus()[i];
        ++result.vcpus;
        result.has_preferred = result.has_preferred || !vcpu.place.preferred.empty();
        result.sums.add(vcpu.sums);
        runs.push_back(vcpu.sums.run());
        append(wake, vcpu.wakes);
        append(wait, vcpu.after_wake);
        append(wait, vcpu.after_other);
    }
    if (!runs.empty()) {
        result.min_run = std::ranges::min(runs);
        result.max_run = std::ranges::max(runs);
    }
    result.wake = Latency::of(std::move(wake));
    result.wait = Latency::of(std::move(wait));
    result.response = Latency::of(std::move(response));
    return result;
}

Metrics Collector::finish()
{
    ledger_.finish();
    for (Ledger::Vcpu const& vcpu : ledger_.vcpus())
        metrics_.total.add(vcpu.sums);
    metrics_.window = static_cast<std::int64_t>(scenario_.duration_ns);
    metrics_.pcpus = pcpus_;
    metrics_.idle = ledger_.idle();
    metrics_.violation = ledger_.violation();
    metrics_.lost_capacity = ledger_.lost_capacity();
    metrics_.contradictions = ledger_.contradictions() + misfits_;
    std::vector<std::size_t> guests;
    for (std::size_t group = 0; group < group_names_.size(); ++group) {
        metrics_.groups.push_back(summarise(group_names_[group], {group}));
        if (group_names_[group] != host_group)
            guests.push_back(group);
    }
    metrics_.guests = summarise("", guests);
    for (std::size_t d = 0; d < scenario_.domains.size(); ++d) {
        Domain const& domain = scenario_.domains[d];
        DomainMetrics result{domain.id, domain.name, domain.group, domain.weight, domain.cap, {}, {}};
        for (std::size_t i = 0; i < domain.vcpus.size(); ++i) {
            result.vcpus.push_back(ledger_.vcpus()[first_of_domain_[d] + i].sums);
            result.sums.add(result.vcpus.back());
        }
        metrics_.domains.push_back(std::move(result));
    }
    return metrics_;
}

} // namespace hv::nv
