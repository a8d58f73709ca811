#include "sched/system.hpp"

#include <new>

namespace hv::sched {

// The storage that hangs off a System.
struct System::Parts {
    std::span<trace::Ring*> rings;
    std::span<Pcpu*> pcpus;
    std::span<guest::GuestPlace> guests;
    void* policy;
};

namespace {

// An array of default-made objects on node 0; empty when there is no memory.
template <typename T>
[[nodiscard]] std::span<T> make_array(arch::Env& env, std::size_t count)
{
    void* const memory{env.allocate(NodeId{0}, count * sizeof(T), alignof(T))};
    if (memory == nullptr)
        return {};
    T* const first{static_cast<T*>(memory)};
    for (std::size_t i = 0; i < count; ++i)
        ::new (static_cast<void*>(first + i)) T{};
    return {first, count};
}

} // namespace

System::System(arch::Env& env, SystemConfig const& config, Parts const& parts)
    : tracer_{env, parts.rings}, pool_{env, tracer_, parts.pcpus},
      core_{pool_, *config.policy, config.policy->create(parts.policy, pool_)},
      guests_{core_, parts.guests, config.driver, config.context_switch}
{
    tracer_.set_mask(config.trace_mask);
    core_.set_farewell({.self = this,
                        .ends =
                            [](void* self, Domain& domain) noexcept {
                                auto& system = *static_cast<System*>(self);
                                system.guests_.retire(domain);
                                if (system.farewell_.ends != nullptr)
                                    system.farewell_.ends(system.farewell_.self, domain);
                            },
                        .vcpu =
                            [](void* self, Vcpu& vcpu) noexcept {
                                auto& system = *static_cast<System*>(self);
                                if (system.farewell_.vcpu != nullptr)
                                    system.farewell_.vcpu(system.farewell_.self, vcpu);
                                system.guests_.release(vcpu);
                            },
                        .domain =
                            [](void* self, Domain& domain) noexcept {
                                auto& system = *static_cast<System*>(self);
                                if (system.farewell_.domain != nullptr)
                                    system.farewell_.domain(system.farewell_.self, domain);
                            }});
}

Status<CoreError> System::leave(CpuId self, CpuId cpu, Absence absence, bool for_good, Instant now)
{
    Pcpu& pcpu{pool_.pcpu(cpu)};
    PcpuPhase phase{PcpuPhase::in_pool};
    if (!pcpu.phase.compare_exchange_strong(phase, PcpuPhase::asked))
        return fail(CoreError::busy);
    pcpu.absence = absence;
    pcpu.leaves_pool.store(for_good);
    pcpu.is_offline.store(!for_good);
    auto const left = core_.pcpu_down(self, cpu, now, absence);
    if (!left && left.error() == CoreError::last_pcpu) {
        pcpu.is_offline.store(false);
        pcpu.phase.store(PcpuPhase::in_pool);
        return left;
    }
    pcpu.phase.store(left ? PcpuPhase::down : PcpuPhase::leaving);
    pool_.env().tickle(cpu);
    return done;
}

Status<CoreError> System::offline(CpuId self, CpuId cpu, Absence absence, Instant now)
{
    Pcpu& pcpu{pool_.pcpu(cpu)};
    PcpuPhase phase{PcpuPhase::free};
    if (!pcpu.phase.compare_exchange_strong(phase, PcpuPhase::off))
        return leave(self, cpu, absence, false, now);
    pcpu.is_offline.store(true);
    return done;
}

Status<CoreError> System::remove_from_pool(CpuId self, CpuId cpu, Instant now)
{
    return leave(self, cpu, Absence::for_good, true, now);
}

Status<CoreError> System::online(CpuId cpu)
{
    Pcpu& pcpu{pool_.pcpu(cpu)};
    PcpuPhase phase{PcpuPhase::off};
    if (!pcpu.phase.compare_exchange_strong(phase, PcpuPhase::asked))
        return fail(CoreError::busy);
    if (core_.is_in_no_pool(cpu)) {
        pcpu.leaves_pool.store(false);
        if (auto const prepared = core_.prepare_join(cpu, PoolId{}); !prepared) {
            pcpu.phase.store(PcpuPhase::off);
            return prepared;
        }
    }
    pcpu.is_offline.store(false);
    pcpu.phase.store(PcpuPhase::joining);
    pool_.env().tickle(cpu);
    return done;
}

Status<CoreError> System::add_to_pool(CpuId cpu, PoolId pool)
{
    Pcpu& pcpu{pool_.pcpu(cpu)};
    PcpuPhase phase{PcpuPhase::free};
    if (!pcpu.phase.compare_exchange_strong(phase, PcpuPhase::asked))
        return fail(CoreError::busy);
    pcpu.leaves_pool.store(false);
    auto const prepared = core_.prepare_join(cpu, pool);
    pcpu.phase.store(prepared ? PcpuPhase::joining : PcpuPhase::free);
    pool_.env().tickle(cpu);
    return prepared;
}

Status<CoreError> System::destroy_pool(CpuId self, PoolId pool, Instant now)
{
    CpuMask members;
    if (auto const ended = core_.end_pool(pool, members); !ended)
        return ended;
    for (CpuId const cpu : members) {
        Pcpu& pcpu{pool_.pcpu(cpu)};
        // One that is off, or on its way there, either sees this or is off by now (come_or_go).
        pcpu.leaves_pool.store(true);
        PcpuPhase phase{PcpuPhase::off};
        if (pcpu.phase.compare_exchange_strong(phase, PcpuPhase::down))
            pool_.env().tickle(cpu);
        else
            static_cast<void>(remove_from_pool(self, cpu, now)); // busy: it is leaving
    }
    return done;
}

// On the pCPU itself, which alone can know that it does nothing else. While a context is being saved, or somebody who
// left has not arrived yet, it comes back to this.
void System::come_or_go(CpuId self, Switch const& change, Instant now)
{
    Pcpu& pcpu{pool_.pcpu(self)};
    bool const idles{change.previous == change.next && change.next->is_idle()};
    switch (pcpu.phase.load()) {
    case PcpuPhase::in_pool:
    case PcpuPhase::asked:
    case PcpuPhase::off:
    case PcpuPhase::free:
        return;
    case PcpuPhase::leaving:
        if (!idles || !core_.pcpu_down(self, self, now, pcpu.absence))
            break;
        [[fallthrough]];
    case PcpuPhase::down:
        if (has_gone(pcpu))
            return;
        break;
    case PcpuPhase::parting:
        if (!pcpu.forgotten.load())
            return;
        if (idles && core_.part(self, now)) {
            pcpu.phase.store(pcpu.is_offline.load() ? PcpuPhase::off : PcpuPhase::free);
            return;
        }
        break;
    case PcpuPhase::joining:
        core_.pcpu_up(self, now);
        pcpu.phase.store(PcpuPhase::in_pool); // only now can it be asked to leave
        if (pcpu.leaves_pool.load())          // its pool has been ended meanwhile
            static_cast<void>(remove_from_pool(self, self, now));
        break;
    }
    pool_.env().tickle(self);
}

// Nobody belongs to it any more. false: it was to be off, and shall leave its pool instead.
bool System::has_gone(Pcpu& pcpu)
{
    guests_.evacuate(pcpu.id, *core_.in_pools().snapshot().first());
    if (pcpu.leaves_pool.load()) {
        pcpu.phase.store(PcpuPhase::parting);
        core_.begin_parting(pcpu.id);
        return true;
    }
    pcpu.phase.store(PcpuPhase::off);
    PcpuPhase phase{PcpuPhase::off};
    return !pcpu.leaves_pool.load() || !pcpu.phase.compare_exchange_strong(phase, PcpuPhase::down);
}

// What one pCPU works with lies on its own node.
bool System::make_pcpus(arch::Env& env, trace::Mode mode, Parts& parts)
{
    for (std::size_t i = 0; i < parts.pcpus.size(); ++i) {
        CpuId const cpu{static_cast<CpuId::Rep>(i)};
        NodeId const node{env.topology().node_of(cpu)};
        void* const pcpu{env.allocate(node, sizeof(Pcpu), alignof(Pcpu))};
        void* const ring{env.allocate(node, sizeof(trace::Ring), alignof(trace::Ring))};
        if (pcpu == nullptr || ring == nullptr)
            return false;
        parts.pcpus[i] = ::new (pcpu) Pcpu{cpu};
        parts.rings[i] = ::new (ring) trace::Ring{};
        parts.rings[i]->attach(env.trace_memory(cpu), mode);
    }
    return true;
}

Result<System*, CoreError> System::create(arch::Env& env, SystemConfig const& config)
{
    std::size_t const count{env.topology().pcpus.size()};
    // One guest more than asked for: an empty table would look like one that could not be had.
    Parts parts{.rings = make_array<trace::Ring*>(env, count),
                .pcpus = make_array<Pcpu*>(env, count),
                .guests = make_array<guest::GuestPlace>(env, config.guest_limit + 1),
                .policy = env.allocate(NodeId{0}, config.policy->self.size, config.policy->self.align)};
    void* const memory{env.allocate(NodeId{0}, sizeof(System), alignof(System))};
    if (parts.rings.empty() || parts.pcpus.empty() || parts.guests.empty() || parts.policy == nullptr ||
        memory == nullptr || !make_pcpus(env, config.trace_mode, parts))
        return fail(CoreError::no_memory);
    System* const system{::new (memory) System{env, config, parts}};
    for (std::size_t i = 0; i < count; ++i)
        if (auto const idle = system->core_.make_idle_vcpu(CpuId{static_cast<CpuId::Rep>(i)}); !idle)
            return fail(idle.error());
    return system;
}

} // namespace hv::sched
