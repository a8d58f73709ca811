// One machine with the counted policy on it, brought by hand into the state whose decision is to be counted.
//
// The machine is a stand-in: reschedule requests are noted, timers go nowhere, memory comes from the heap, and nothing
// is traced. The scheduler is the whole real one, and gets where it is by ordinary wake-ups, blocks and decisions; only
// `credit`'s priorities and credits are set directly. Machines are upstream's: node = socket, two threads a core.
// Single-threaded.
// Floor: tests.
#pragma once

#include "arch/host/machine_shape.hpp"
#include "sched/credit/types.hpp"
#include "sched/numacredit/types.hpp"
#include "sched/system.hpp"
#include "tests/bench/collect.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace hv::bench {

class StillMachine final : public arch::Machine {
public:
    explicit StillMachine(arch::MachineShape const& shape) : shape_{shape} {}
    ~StillMachine() override;

    [[nodiscard]] arch::Env& env() { return env_; }
    // The pCPU that was asked to reschedule last, if any was since this was last called.
    [[nodiscard]] std::optional<CpuId> take_tickled() { return std::exchange(tickled_, std::nullopt); }

    [[nodiscard]] Topology const& topology() const noexcept override { return shape_.topology(); }
    void tickle(CpuId cpu) noexcept override { tickled_ = cpu; }
    void arm(CpuId, TimerId, Instant) noexcept override {}
    void disarm(CpuId, TimerId) noexcept override {}
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept override;
    void release(void*, std::size_t) noexcept override {}
    [[nodiscard]] std::uint64_t trace_clock(CpuId) noexcept override { return 0; }
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId) noexcept override { return {}; }

private:
    arch::MachineShape const& shape_;
    arch::Env env_{*this};
    std::optional<CpuId> tickled_;
    std::vector<void*> blocks_;
};

// Who is busy, besides pCPU 0.
enum class Others : std::uint8_t { idle, every_second_busy, busy, first_node_busy };

// What a vCPU of the bench prefers, or may do.
struct Place {
    std::optional<unsigned> node{}; // its domain's node affinity
    bool pinned{false};             // to its home
};

[[nodiscard]] constexpr CpuId cpu(unsigned number) { return CpuId{static_cast<CpuId::Rep>(number)}; }
[[nodiscard]] inline sched::credit::CreditVcpu& credit_of(sched::Vcpu& vcpu)
{
    return *static_cast<sched::credit::CreditVcpu*>(vcpu.policy_data);
}

class Bench {
public:
    // 8 or 16 pCPUs: two nodes; 64: four; 256: eight; 4096: 64.
    explicit Bench(unsigned pcpus);

    [[nodiscard]] sched::Core& core() { return system_->core(); }
    [[nodiscard]] sched::Pcpu& pcpu(unsigned number) { return core().pool().pcpu(cpu(number)); }
    [[nodiscard]] sched::Vcpu& current(unsigned on) { return *pcpu(on).current; }
    [[nodiscard]] sched::credit::CreditPcpu& credit_of_pcpu(unsigned number)
    {
        return *static_cast<sched::credit::CreditPcpu*>(pcpu(number).policy_data);
    }
    [[nodiscard]] std::optional<CpuId> take_tickled() { return machine_.take_tickled(); }
    [[nodiscard]] Instant now() const { return now_; }
    void advance(Duration d) { now_ = now_ + d; }

    sched::Domain& domain();
    // Born blocked.
    sched::Vcpu& vcpu(sched::Domain& owner, unsigned home);
    // In a domain of its own; blocked, queued, or running, UNDER.
    sched::Vcpu& asleep(unsigned home, Place place = {});
    sched::Vcpu& queue(unsigned home, Place place = {});
    sched::Vcpu& run(unsigned home, Place place = {});
    // It sleeps and shall be able to run nowhere else.
    void may_run_on(sched::Vcpu& vcpu, CpuMask const& mask);
    // One vCPU on each pCPU but 0 that shall be busy.
    void occupy(Others others);

    // By pCPU 0.
    void wake(sched::Vcpu& vcpu);
    // The same, but with `credit` it goes behind all others of its pCPU and stays UNDER.
    void wake_at_the_tail(sched::Vcpu& vcpu);
    // It waits in a queue, and shall not any more.
    void put_to_sleep(sched::Vcpu& vcpu);
    // It runs on pCPU 0, and shall not any more: the next decision is about somebody else.
    void block(sched::Vcpu& vcpu);
    void reschedule(unsigned on);
    // A timer of pCPU 0 fires.
    void timer(TimerId id);
    [[nodiscard]] CpuId pick(sched::Vcpu& vcpu);
    // The policy's hook for a tick that finds `current` on this pCPU, whatever runs there.
    [[nodiscard]] bool tick(unsigned on, sched::Vcpu& current);

private:
    [[nodiscard]] bool shall_be_busy(unsigned number, Others others) const;

    arch::MachineShape shape_;
    StillMachine machine_{shape_};
    sched::System* system_{nullptr};
    void* policy_{nullptr};
    Instant now_{Instant::at(Duration::from_ms(1'000))};
    DomainId::Rep next_domain_{1};
};

} // namespace hv::bench
