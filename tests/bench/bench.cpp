#include "tests/bench/bench.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace hv::bench {

using sched::Prio;
using sched::Vcpu;

StillMachine::~StillMachine()
{
    for (void* const block : blocks_)
        std::free(block);
}

void* StillMachine::allocate(NodeId, std::size_t bytes, std::size_t align) noexcept
{
    std::size_t const unit{std::max(align, sizeof(void*))};
    std::size_t const rounded{(bytes + unit - 1) / unit * unit};
    void* const block{std::aligned_alloc(unit, rounded)};
    if (block != nullptr)
        blocks_.push_back(std::memset(block, 0, rounded));
    return block;
}

namespace {

unsigned nodes_of(unsigned pcpus) { return pcpus <= 16 ? 2 : pcpus <= 64 ? 4 : pcpus <= 256 ? 8 : 64; }

} // namespace

Bench::Bench(unsigned pcpus)
    : shape_{arch::MachineShape::regular(nodes_of(pcpus), pcpus / nodes_of(pcpus) / 2, 2), nodes_of(pcpus)}
{
    sched::SystemConfig const config{.policy = &counted_ops(),
                                     .guest_limit = 0,
                                     .driver = sched::guest::Driver::events,
                                     .context_switch = {},
                                     .trace_mask = 0};
    auto const made = sched::System::create(machine_.env(), config);
    require(made.ok(), "start", "no memory");
    system_ = *made;
    policy_ = counted_policy();
    for (unsigned i = 0; i < pcpus; ++i)
        system_->pcpu_up(cpu(i), now_);
}

sched::Domain& Bench::domain()
{
    auto const made = core().create_domain(DomainId{next_domain_++});
    require(made.ok(), "start", "no memory");
    return **made;
}

Vcpu& Bench::vcpu(sched::Domain& owner, unsigned home)
{
    auto const made = core().create_vcpu(cpu(0), owner, cpu(home), now_);
    require(made.ok(), "start", "no memory");
    core().start(cpu(0), **made, true, now_);
    return **made;
}

Vcpu& Bench::asleep(unsigned home, Place place)
{
    sched::Domain& owner{domain()};
    Vcpu& made{vcpu(owner, home)};
    if (place.pinned)
        may_run_on(made, CpuMask::of(cpu(home)));
    if (place.node) {
        NodeMask const nodes{NodeMask::of(NodeId{static_cast<NodeId::Rep>(*place.node)})};
        require(core().set_node_affinity(owner, nodes, now_).ok(), "start", "no such node");
    }
    return made;
}

void Bench::may_run_on(Vcpu& vcpu, CpuMask const& mask)
{
    require(core().set_hard_affinity(cpu(0), vcpu, mask, now_).ok(), "start", "no such pCPU");
}

Vcpu& Bench::queue(unsigned home, Place place)
{
    Vcpu& made{asleep(home, place)};
    wake_at_the_tail(made);
    return made;
}

Vcpu& Bench::run(unsigned home, Place place)
{
    Vcpu& made{asleep(home, place)};
    wake(made);
    reschedule(home);
    require(pcpu(home).current == &made, "start", "a vCPU that shall run does not");
    if (counted_ops().has_credit)
        credit_of(made).set_prio(Prio::under);
    return made;
}

bool Bench::shall_be_busy(unsigned number, Others others) const
{
    switch (others) {
    case Others::idle:
        return false;
    case Others::every_second_busy:
        return number % 2 == 0;
    case Others::busy:
        return true;
    case Others::first_node_busy:
        return shape_.topology().node_of(cpu(number)) == NodeId{0};
    }
    return false;
}

void Bench::occupy(Others others)
{
    for (unsigned i = 1; i < core().pool().pcpu_limit(); ++i)
        if (shall_be_busy(i, others))
            run(i);
}

void Bench::wake(Vcpu& vcpu) { require(core().unblock(cpu(0), vcpu, now_), "wake", "it was not blocked"); }

void Bench::wake_at_the_tail(Vcpu& vcpu)
{
    if (!counted_ops().has_credit)
        return wake(vcpu);
    credit_of(vcpu).set_prio(Prio::over);
    wake(vcpu);
    credit_of(vcpu).set_prio(Prio::under);
}

void Bench::put_to_sleep(Vcpu& vcpu)
{
    vcpu.set_flag(sched::PauseFlag::blocked);
    core().sleep_nosync(cpu(0), vcpu, now_);
}

void Bench::block(Vcpu& vcpu) { require(core().block(cpu(0), vcpu, now_), "block", "an event was pending"); }

void Bench::reschedule(unsigned on)
{
    sched::Switch const change{core().schedule(cpu(on), now_)};
    if (change.previous != change.next)
        core().context_saved(cpu(on), *change.previous, now_);
}

void Bench::timer(TimerId id) { require(core().timer(cpu(0), id, now_), "timer", "it is nobody's"); }

CpuId Bench::pick(Vcpu& vcpu)
{
    Guard guard{pcpu(vcpu.processor().value()).lock, irqs_off};
    return counted_ops().pick_cpu(policy_, cpu(0), vcpu, now_);
}

bool Bench::tick(unsigned on, Vcpu& current) { return counted_ops().tick(policy_, cpu(on), current, now_); }

} // namespace hv::bench
