#include "tools/nv/metrics.hpp"

#include "tools/nv/matching.hpp"

#include <algorithm>
#include <numeric>

namespace hv::nv {

namespace {

constexpr std::string_view host_group = "dom0";

void erase_value(std::vector<std::size_t>& from, std::size_t value)
{
    auto const found = std::ranges::find(from, value);
    if (found == from.end())
        return;
    *found = from.back();
    from.pop_back();
}

CpuMask mask_of(PcpuList const& pcpus)
{
    CpuMask mask;
    for (std::uint16_t const pcpu : pcpus)
        mask.set(CpuId{pcpu});
    return mask;
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

void Sums::add(Sums const& other)
{
    for (std::size_t i = 0; i < run_state_count; ++i)
        in_state[i] += other.in_state[i];
    placeable += other.placeable;
    home += other.home;
    misplaced += other.misplaced;
    max_wait = std::max(max_wait, other.max_wait);
    wakes += other.wakes;
    jobs += other.jobs;
    missed += other.missed;
    migrations += other.migrations;
    cross_node += other.cross_node;
}

Collector::Collector(Scenario const& scenario, Duration grain)
    : scenario_{scenario}, start_{static_cast<std::int64_t>(scenario.warmup_ns)},
      end_{start_ + static_cast<std::int64_t>(scenario.duration_ns)}, grain_{grain.ns()},
      idle_{CpuMask::first_n(static_cast<unsigned>(scenario.machine.pcpus.size()))}
{
    for (Pcpu const& pcpu : scenario.machine.pcpus)
        node_of_.push_back(static_cast<std::uint8_t>(pcpu.node));
    for (std::size_t d = 0; d < scenario.domains.size(); ++d) {
        Domain const& domain = scenario.domains[d];
        auto group = std::ranges::find(group_names_, domain.group);
        if (group == group_names_.end())
            group = group_names_.insert(group_names_.end(), domain.group);
        VcpuState state;
        state.domain = d;
        state.group = static_cast<std::size_t>(group - group_names_.begin());
        for (std::uint8_t const node : domain.home().value_or(NodeList{}))
            state.preferred.set(NodeId{node});
        first_of_domain_.push_back(vcpus_.size());
        row_of_domain_.resize(std::max<std::size_t>(row_of_domain_.size(), domain.id + 1u));
        row_of_domain_[domain.id] = static_cast<std::uint32_t>(d + 1);
        for (Vcpu const& vcpu : domain.vcpus) {
            std::optional<PcpuList> const& own = vcpu.hard_affinity ? vcpu.hard_affinity : domain.hard_affinity;
            state.hard = own ? mask_of(*own) : idle_;
            state.home = {};
            for (CpuId const cpu : state.hard)
                if (state.preferred.test(NodeId{node_of_[cpu.value()]}))
                    state.home.set(cpu);
            vcpus_.push_back(state);
        }
    }
    wake_samples_.resize(group_names_.size());
    wait_samples_.resize(group_names_.size());
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

// Brings the sums up to a time, with what was true since the last event.
void Collector::advance(std::int64_t to)
{
    std::int64_t const from = std::clamp(now_, start_, end_);
    std::int64_t const until = std::clamp(to, start_, end_);
    if (until > from)
        account(until - from);
    now_ = std::max(now_, to);
}

void Collector::account(std::int64_t span)
{
    metrics_.idle += static_cast<std::int64_t>(idle_.count()) * span;
    for (std::size_t const stray : strays_)
        if (vcpus_[stray].home.intersects(idle_))
            vcpus_[stray].sums.misplaced += span;
    account_conservation(span);
}

void Collector::account_conservation(std::int64_t span)
{
    if (changed_)
        lost_ = lost_now();
    changed_ = false;
    if (lost_ == 0) {
        settle_conservation();
        return;
    }
    spell_ += span;
    spell_lost_ += static_cast<std::int64_t>(lost_) * span;
}

void Collector::settle_conservation()
{
    if (spell_ >= grain_) {
        metrics_.violation += spell_;
        metrics_.lost_capacity += spell_lost_;
    }
    spell_ = spell_lost_ = 0;
}

// The number of waiting vCPUs that the idle pCPUs could run at this moment.
std::size_t Collector::lost_now()
{
    if (waiting_.empty() || idle_.empty())
        return 0;
    std::vector<CpuMask const*> allowed;
    for (std::size_t const vcpu : waiting_)
        if (vcpus_[vcpu].hard.intersects(idle_))
            allowed.push_back(&vcpus_[vcpu].hard);
    return max_matching(idle_, allowed);
}

// Ends the stay in a state: its time within the window, and what it means for a run or a wait.
void Collector::close_state(VcpuState& vcpu, std::int64_t when)
{
    std::int64_t const span = std::clamp(when, start_, end_) - std::clamp(vcpu.since, start_, end_);
    vcpu.sums.in_state[static_cast<std::size_t>(vcpu.state)] += span;
    if (vcpu.state == RunState::running && !vcpu.preferred.empty()) {
        vcpu.sums.placeable += span;
        vcpu.sums.home += is_home(vcpu) ? span : 0;
    }
    if (vcpu.state == RunState::runnable && when >= start_)
        vcpu.sums.max_wait = std::max(vcpu.sums.max_wait, when - vcpu.since);
}

void Collector::depart(std::size_t index, std::int64_t when)
{
    VcpuState& vcpu = vcpus_[index];
    if (vcpu.state == RunState::runnable)
        erase_value(waiting_, index);
    if (vcpu.state == RunState::running) {
        idle_.set(CpuId{vcpu.pcpu});
        erase_value(strays_, index);
    }
    close_state(vcpu, when);
}

void Collector::arrive(std::size_t index, std::int64_t when, std::uint16_t pcpu)
{
    VcpuState& vcpu = vcpus_[index];
    if (vcpu.state == RunState::runnable && counts(when))
        wait_samples_[vcpu.group].push_back(when - vcpu.since);
    if (vcpu.woken_at && counts(when))
        wake_samples_[vcpu.group].push_back(when - *vcpu.woken_at);
    vcpu.woken_at.reset();
    if (vcpu.last_pcpu && *vcpu.last_pcpu != pcpu && counts(when)) {
        ++vcpu.sums.migrations;
        vcpu.sums.cross_node += node_of_[*vcpu.last_pcpu] != node_of_[pcpu] ? 1u : 0u;
    }
    metrics_.contradictions += idle_.test(CpuId{pcpu}) ? 0u : 1u;
    vcpu.last_pcpu = vcpu.pcpu = pcpu;
    idle_.clear(CpuId{pcpu});
    if (!vcpu.preferred.empty() && !is_home(vcpu))
        strays_.push_back(index);
}

// A trace may begin in the middle of things: before its first event a vCPU was in the state that it leaves now.
void Collector::begin(VcpuState& vcpu, RunState state, std::uint16_t pcpu)
{
    vcpu.seen = true;
    vcpu.state = state;
    if (state != RunState::running)
        return;
    vcpu.last_pcpu = vcpu.pcpu = pcpu;
    idle_.clear(CpuId{pcpu});
}

void Collector::change(Instant when, std::size_t index, RunState from, RunState to, std::uint16_t pcpu)
{
    std::int64_t const time = when.ns();
    bool const involves_pcpu = from == RunState::running || to == RunState::running;
    if (time > end_)
        return;
    VcpuState& vcpu = vcpus_[index];
    if (time < now_ || (involves_pcpu && pcpu >= node_of_.size())) {
        ++metrics_.contradictions;
        return;
    }
    advance(time);
    if (!vcpu.seen)
        begin(vcpu, from, pcpu);
    metrics_.contradictions += vcpu.state != from || (from == RunState::running && vcpu.pcpu != pcpu) ? 1u : 0u;
    depart(index, time);
    // A wake-up of a vCPU that is parked makes it offline: it can run when it is unparked.
    if (from == RunState::blocked && (to == RunState::runnable || to == RunState::offline)) {
        vcpu.woken_at = time;
        vcpu.sums.wakes += counts(time) ? 1u : 0u;
    } else if (to == RunState::blocked) {
        vcpu.woken_at.reset();
    } else if (to == RunState::running) {
        arrive(index, time, pcpu);
    }
    if (to == RunState::runnable)
        waiting_.push_back(index);
    vcpu.state = to;
    vcpu.since = time;
    changed_ = true;
}

void Collector::switched(Instant when, bool to_vcpu)
{
    if (!counts(when.ns()))
        return;
    ++metrics_.switches;
    metrics_.switches_to_vcpu += to_vcpu ? 1u : 0u;
}

void Collector::job_done(Instant when, std::size_t index, std::optional<Duration> response)
{
    if (!counts(when.ns()))
        return;
    ++vcpus_[index].sums.jobs;
    if (response)
        response_samples_[vcpus_[index].group].push_back(response->ns());
}

void Collector::job_missed(Instant when, std::size_t index)
{
    if (counts(when.ns()))
        ++vcpus_[index].sums.missed;
}

GroupMetrics Collector::summarise(std::string name, std::vector<std::size_t> const& groups) const
{
    GroupMetrics result;
    result.name = std::move(name);
    std::vector<std::int64_t> wake, wait, response, runs;
    for (std::size_t const group : groups) {
        wake.insert(wake.end(), wake_samples_[group].begin(), wake_samples_[group].end());
        wait.insert(wait.end(), wait_samples_[group].begin(), wait_samples_[group].end());
        response.insert(response.end(), response_samples_[group].begin(), response_samples_[group].end());
    }
    for (VcpuState const& vcpu : vcpus_) {
        if (std::ranges::find(groups, vcpu.group) == groups.end())
            continue;
        ++result.vcpus;
        result.has_preferred = result.has_preferred || !vcpu.preferred.empty();
        result.sums.add(vcpu.sums);
        runs.push_back(vcpu.sums.run());
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
    advance(end_);
    settle_conservation();
    for (VcpuState& vcpu : vcpus_) {
        close_state(vcpu, end_);
        vcpu.since = end_;
        metrics_.total.add(vcpu.sums);
    }
    metrics_.window = end_ - start_;
    metrics_.pcpus = node_of_.size();
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
            result.vcpus.push_back(vcpus_[first_of_domain_[d] + i].sums);
            result.sums.add(result.vcpus.back());
        }
        metrics_.domains.push_back(std::move(result));
    }
    return metrics_;
}

} // namespace hv::nv
