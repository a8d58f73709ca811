#include "tests/conformance/shrink.hpp"

#include "tests/conformance/random_scenario.hpp"

#include <vector>

namespace hv::test {

namespace {

using nv::Domain;
using nv::Scenario;
using Cut = std::function<void(Scenario&)>;

// A pair that plays ping-pong needs both players.
bool may_lose_a_vcpu(Domain const& domain)
{
    for (nv::Vcpu const& vcpu : domain.vcpus)
        if (vcpu.workload.kind == scenario::WorkloadKind::pingpong)
            return false;
    return domain.vcpus.size() > 1;
}

// What refers to the domains behind it refers to the row before from now on.
void erase_domain(Scenario& scenario, std::size_t d)
{
    scenario.domains.erase(scenario.domains.begin() + static_cast<std::ptrdiff_t>(d));
    std::erase_if(scenario.changes,
                  [d](scenario::ChangeRecord const& c) { return !is_of_pcpu(c.kind) && c.subject == d; });
    for (scenario::ChangeRecord& change : scenario.changes)
        if (!is_of_pcpu(change.kind) && change.subject > d)
            --change.subject;
}

void add_domain_cuts(std::vector<Cut>& cuts, Scenario const& scenario, std::size_t d)
{
    Domain const& domain{scenario.domains[d]};
    if (scenario.domains.size() > 1)
        cuts.emplace_back([d](Scenario& s) { erase_domain(s, d); });
    if (may_lose_a_vcpu(domain))
        cuts.emplace_back([d](Scenario& s) { s.domains[d].vcpus.pop_back(); });
    if (domain.hard_affinity)
        cuts.emplace_back([d](Scenario& s) { s.domains[d].hard_affinity.reset(); });
    if (domain.node_affinity)
        cuts.emplace_back([d](Scenario& s) { s.domains[d].node_affinity.reset(); });
    if (domain.cap != 0)
        cuts.emplace_back([d](Scenario& s) { s.domains[d].cap = 0; });
    if (domain.weight != 256)
        cuts.emplace_back([d](Scenario& s) { s.domains[d].weight = 256; });
    if (domain.start_ns != 0)
        cuts.emplace_back([d](Scenario& s) { s.domains[d].start_ns = 0; });
    for (std::size_t v = 0; v < domain.vcpus.size(); ++v)
        if (domain.vcpus[v].hard_affinity || domain.vcpus[v].soft_affinity)
            cuts.emplace_back([d, v](Scenario& s) {
                s.domains[d].vcpus[v].hard_affinity.reset();
                s.domains[d].vcpus[v].soft_affinity.reset();
            });
}

std::vector<Cut> cuts_of(Scenario const& scenario)
{
    std::vector<Cut> cuts;
    for (std::size_t d = scenario.domains.size(); d-- > 0;)
        add_domain_cuts(cuts, scenario, d);
    for (std::size_t c = scenario.changes.size(); c-- > 0;)
        cuts.emplace_back([c](Scenario& s) { s.changes.erase(s.changes.begin() + static_cast<std::ptrdiff_t>(c)); });
    if (scenario.duration_ns > 2'000'000)
        for (std::uint64_t const divisor : {2u, 4u})
            cuts.emplace_back([divisor](Scenario& s) { s.duration_ns -= s.duration_ns / divisor; });
    if (scenario.machine.timer_late_ns != 0)
        cuts.emplace_back([](Scenario& s) { s.machine.timer_late_ns = 0; });
    return cuts;
}

bool is_valid(Scenario const& scenario)
{
    try {
        static_cast<void>(nv::parse_scenario(to_json(scenario), "candidate"));
        return true;
    } catch (std::exception const&) {
        return false;
    }
}

} // namespace

Scenario shrink(Scenario scenario, std::function<bool(Scenario const&)> const& fails)
{
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (Cut const& cut : cuts_of(scenario)) {
            Scenario candidate{scenario};
            cut(candidate);
            if (!is_valid(candidate) || !fails(candidate))
                continue;
            scenario = std::move(candidate);
            smaller = true;
            break; // The other cuts were made for what it was before.
        }
    }
    return scenario;
}

} // namespace hv::test
