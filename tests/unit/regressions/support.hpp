// What the regression tests need beyond tests/support/sim_fixture.hpp: a look into `credit`, and a machine that does
// nothing by itself, so that threads can play its pCPUs or some of them never come up. Floor: tests.
#pragma once

#include "sched/credit/credit.hpp"
#include "tests/support/sim_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <random>
#include <vector>

namespace hv::sched::test {

[[nodiscard]] inline credit::CreditVcpu& credit_of(Vcpu& vcpu)
{
    return *static_cast<credit::CreditVcpu*>(vcpu.policy_data);
}
[[nodiscard]] inline std::int32_t credits(Vcpu& vcpu) { return credit_of(vcpu).credit.load(); }
[[nodiscard]] inline Prio prio(Vcpu& vcpu) { return credit_of(vcpu).prio(); }
[[nodiscard]] inline CpuId idle_bias(Sim& sim, unsigned on)
{
    return static_cast<credit::CreditPcpu*>(sim.pool().pcpu(cpu(on)).policy_data)->idle_bias;
}

inline void set_hard(Sim& sim, Vcpu& vcpu, CpuMask const& mask)
{
    sim.on(vcpu.processor().value(),
           [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().set_hard_affinity(self, vcpu, mask, now).ok()); });
}

inline void block(Sim& sim, Vcpu& vcpu)
{
    sim.on(vcpu.processor().value(), [&](CpuId self, Instant now) { EXPECT_TRUE(sim.core().block(self, vcpu, now)); });
}

inline void yield(Sim& sim, Vcpu& vcpu)
{
    sim.on(vcpu.processor().value(), [&](CpuId self, Instant now) { sim.core().yield(self, vcpu, now); });
}

// A vCPU that runs and runs, bound to one pCPU and no longer boosted.
inline Vcpu& pinned_hog(Sim& sim, unsigned on)
{
    Vcpu& vcpu{sim.vcpu(on)};
    set_hard(sim, vcpu, cpus({on}));
    sim.start(vcpu);
    credit_of(vcpu).set_prio(Prio::under);
    return vcpu;
}

// An accounting, now.
inline void account(Sim& sim)
{
    sim.on(0, [&](CpuId self, Instant now) {
        Parking parking{sim.core(), self, now};
        sim.policy<credit::Credit>().account(self, now, parking);
    });
}

// Let a tick catch the vCPU, which runs and is inactive: it becomes active.
inline void activate(Sim& sim, Vcpu& vcpu)
{
    sim.on(vcpu.processor().value(),
           [&](CpuId self, Instant now) { EXPECT_FALSE(sim.policy<credit::Credit>().tick(self, vcpu, now)); });
    EXPECT_TRUE(credit_of(vcpu).is_active());
}

// The pCPUs of all records of an event whose word `index` names one.
[[nodiscard]] inline std::vector<unsigned> named_in(Sim& sim, trace::Event event, std::size_t index)
{
    std::vector<unsigned> result;
    for (Sim::Heard const& record : sim.heard_of(event))
        result.push_back(record.words[index]);
    return result;
}
[[nodiscard]] inline std::vector<unsigned> tickled(Sim& sim) { return named_in(sim, trace::Event::tickle, 0); }
[[nodiscard]] inline std::vector<unsigned> picked(Sim& sim) { return named_in(sim, trace::Event::picked_cpu, 2); }

[[nodiscard]] inline bool names(std::vector<unsigned> const& pcpus, unsigned one)
{
    return std::ranges::find(pcpus, one) != pcpus.end();
}

[[nodiscard]] inline double share(Sim& sim, Vcpu const& vcpu)
{
    return static_cast<double>(sim.spent(vcpu, RunState::running).ns()) / static_cast<double>(sim.now().ns());
}

[[nodiscard]] inline CpuMask random_mask(std::mt19937& random, unsigned pcpus)
{
    CpuMask mask;
    while (mask.empty())
        for (unsigned i = 0; i < pcpus; ++i)
            if (random() % 2 == 0)
                mask.set(cpu(i));
    return mask;
}

// A machine without events: tickles are counted, timers are forgotten. Threads may use it at once.
class StillMachine final : public arch::Machine {
public:
    explicit StillMachine(arch::MachineShape const& shape) : shape_{shape}, tickles_(shape.topology().pcpus.size()) {}
    ~StillMachine() override
    {
        for (void* const block : blocks_)
            std::free(block);
    }

    [[nodiscard]] unsigned tickles(CpuId on) const { return tickles_[on.value()].load(); }
    [[nodiscard]] std::size_t allocations() const { return blocks_.size(); }
    [[nodiscard]] std::size_t bytes_in_use() const { return in_use_; }
    // There is memory for so many more allocations, then for none.
    void allow(std::size_t allocations) { allowed_ = blocks_.size() + allocations; }

    [[nodiscard]] Topology const& topology() const noexcept override { return shape_.topology(); }
    void tickle(CpuId on) noexcept override { tickles_[on.value()].fetch_add(1); }
    void arm(CpuId, TimerId, Instant) noexcept override {}
    void disarm(CpuId, TimerId) noexcept override {}
    [[nodiscard]] void* allocate(NodeId, std::size_t bytes, std::size_t align) noexcept override
    {
        std::lock_guard const guard{mutex_};
        if (blocks_.size() == allowed_)
            return nullptr;
        std::size_t const unit{align < sizeof(void*) ? sizeof(void*) : align};
        std::size_t const rounded{(bytes + unit - 1) / unit * unit};
        void* const block{std::aligned_alloc(unit, rounded)};
        std::memset(block, 0, rounded);
        blocks_.push_back(block);
        in_use_ += bytes;
        return block;
    }
    // Counted, but kept: a thread may be slow to notice.
    void release(void*, std::size_t bytes) noexcept override
    {
        std::lock_guard const guard{mutex_};
        in_use_ -= bytes;
    }
    [[nodiscard]] std::uint64_t trace_clock(CpuId) noexcept override { return clock_.fetch_add(1); }
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId) noexcept override { return {}; }

private:
    arch::MachineShape const& shape_;
    std::vector<std::atomic<unsigned>> tickles_;
    std::atomic<std::uint64_t> clock_{1};
    std::mutex mutex_;
    std::vector<void*> blocks_;
    std::size_t in_use_{0}, allowed_{~std::size_t{0}};
};

// A scheduler on such a machine, of which only the first `up` pCPUs have come up.
class Bare {
public:
    Bare(std::vector<PcpuTopology> pcpus, unsigned nodes, unsigned up, PolicyOps const* policy = find_policy("credit"))
        : shape_{std::move(pcpus), nodes}, machine_{shape_}
    {
        auto const made = System::create(
            env_, {.policy = policy, .guest_limit = 0, .driver = guest::Driver::tasks, .context_switch = {}});
        HV_ASSERT(made.ok());
        system_ = *made;
        for (unsigned i = 0; i < up; ++i)
            system_->pcpu_up(cpu(i), Instant{});
        for (unsigned i = 0; i < up; ++i)
            reschedule(cpu(i), Instant{});
    }
    Bare(unsigned cores, unsigned up) : Bare{arch::MachineShape::regular(1, cores, 1), 1, up} {}

    [[nodiscard]] Core& core() { return system_->core(); }
    [[nodiscard]] StillMachine& machine() { return machine_; }

    // Each in a domain of its own, born there and not started.
    [[nodiscard]] Vcpu& vcpu(unsigned home)
    {
        auto const domain = core().create_domain(DomainId{next_domain_++});
        auto const made = core().create_vcpu(cpu(home), **domain, cpu(home), Instant{});
        return **made;
    }
    void reschedule(CpuId on, Instant now)
    {
        Switch const change{core().schedule(on, now)};
        if (change.previous != change.next)
            core().context_saved(on, *change.previous, now);
    }
    [[nodiscard]] Vcpu& current(CpuId on) { return *core().pool().pcpu(on).current; }

private:
    arch::MachineShape shape_;
    StillMachine machine_;
    arch::Env env_{machine_};
    System* system_{nullptr};
    DomainId::Rep next_domain_{1};
};

} // namespace hv::sched::test
