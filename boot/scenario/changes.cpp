#include "boot/scenario/changes.hpp"

namespace hv::scenario {

namespace {

constexpr Duration try_again_after = Duration::from_us(50);

Instant time_of(Instant origin, ChangeRecord const& change)
{
    return origin + Duration::from_ns(static_cast<std::int64_t>(change.at_ns));
}

char const* rule_of_domain(std::span<ChangeRecord const> before, ChangeRecord const& change, bool alive)
{
    std::uint32_t pauses{0};
    for (ChangeRecord const& earlier : before) {
        if (is_of_pcpu(earlier.kind) || earlier.subject != change.subject)
            continue;
        if (earlier.kind == ChangeKind::create || earlier.kind == ChangeKind::destroy) {
            alive = earlier.kind == ChangeKind::create;
            pauses = 0;
        } else {
            pauses += earlier.kind == ChangeKind::pause ? 1u : ~0u;
        }
    }
    if (change.kind == ChangeKind::create)
        return alive ? "one that does not exist then: destroy it first" : nullptr;
    if (!alive)
        return "one that exists then: create it first";
    return change.kind == ChangeKind::unpause && pauses == 0 ? "one that is paused then: pause it first" : nullptr;
}

char const* rule_of_pcpu(std::span<ChangeRecord const> before, ChangeRecord const& change, std::uint32_t pcpus)
{
    std::uint32_t up{pcpus};
    bool is_up{true};
    for (ChangeRecord const& earlier : before) {
        if (!is_of_pcpu(earlier.kind))
            continue;
        bool const comes{earlier.kind == ChangeKind::online};
        up += comes ? 1u : ~0u;
        if (earlier.subject == change.subject)
            is_up = comes;
    }
    if (change.kind == ChangeKind::online)
        return is_up ? "one that is off then: take it offline first" : nullptr;
    if (!is_up)
        return "one that is online then";
    return up == 1 ? "one that is not the last" : nullptr;
}

} // namespace

bool begins_alive(std::span<ChangeRecord const> changes, std::uint32_t domain)
{
    for (ChangeRecord const& change : changes)
        if (!is_of_pcpu(change.kind) && change.subject == domain)
            return change.kind != ChangeKind::create;
    return true;
}

char const* rule_broken_by(std::span<ChangeRecord const> changes, std::uint32_t row, std::uint32_t pcpus)
{
    ChangeRecord const& change{changes[row]};
    if (is_of_pcpu(change.kind))
        return rule_of_pcpu(changes.first(row), change, pcpus);
    return rule_of_domain(changes.first(row), change, begins_alive(changes, change.subject));
}

void Changes::begin(Instant origin)
{
    origin_ = origin;
    if (!scenario_.changes().empty())
        arm(time_of(origin, scenario_.changes().front()));
}

bool Changes::timer(CpuId self, TimerId id, Instant now)
{
    if (id != change_timer)
        return false;
    for (; next_ < scenario_.changes().size(); ++next_) {
        ChangeRecord const& change{scenario_.changes()[next_]};
        if (Instant const when{time_of(origin_, change)}; when > now) {
            arm(when);
            break;
        }
        executing_(self);
        if (!carry_out(self, change, now)) {
            arm(now + try_again_after);
            break;
        }
    }
    executing_(self);
    return true;
}

// false: not yet.
bool Changes::carry_out(CpuId self, ChangeRecord const& change, Instant now)
{
    CpuId const pcpu{static_cast<CpuId::Rep>(change.subject)};
    switch (change.kind) {
    case ChangeKind::offline:
        return system_.offline(self, pcpu, sched::Absence::for_good, now).ok();
    case ChangeKind::suspend:
        return system_.offline(self, pcpu, sched::Absence::for_a_while, now).ok();
    case ChangeKind::online:
        return system_.online(pcpu).ok();
    case ChangeKind::create:
        return create(change.subject, now);
    case ChangeKind::pause:
    case ChangeKind::unpause:
    case ChangeKind::destroy:
        return change_domain(self, change, now);
    }
    return true;
}

bool Changes::change_domain(CpuId self, ChangeRecord const& change, Instant now)
{
    sched::Core& core{system_.core()};
    sched::Domain* const domain{core.find(DomainId{scenario_.domains()[change.subject].id})};
    if (domain == nullptr)
        return true; // It has ended by itself.
    if (change.kind == ChangeKind::pause)
        core.pause(self, *domain, now);
    else if (change.kind == ChangeKind::unpause)
        core.unpause(self, *domain, now);
    else
        static_cast<void>(core.destroy(self, *domain, now)); // It was found, and nobody else ends it here.
    return true;
}

bool Changes::create(std::uint32_t row, Instant now)
{
    auto const created = create_domain(system_, scenario_, row, homes_[row], seed_, now, now, executing_);
    if (created)
        return true;
    if (created.error().is_early)
        return false;
    failure_.told(failure_.self, created.error());
    return true;
}

} // namespace hv::scenario
