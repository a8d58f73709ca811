// A machine of three pCPUs, two of them on one node, and the scheduler on it, all in the arena. What a pCPU does beyond
// its part of the scenario is what the kernel does: it reschedules when it is tickled, and says so when a context is
// saved.
//
// Time stands still while the fibers execute. Afterwards it goes on, without them: whoever may run then has to run.
// Floor: tests.
#pragma once

#include "arch/host/machine_shape.hpp"
#include "sched/system.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>

namespace hv::explorer {

inline constexpr unsigned pcpu_count = 3;

[[nodiscard]] constexpr CpuId cpu(unsigned number) { return CpuId{static_cast<CpuId::Rep>(number)}; }
[[nodiscard]] CpuMask cpus(std::initializer_list<unsigned> members);

class Machine final : public arch::Machine {
public:
    // In the arena, of which it is the first object.
    [[nodiscard]] static Machine& make(sched::PolicyOps const& policy);
    ~Machine() override = default;

    [[nodiscard]] sched::System& system() { return *system_; }
    [[nodiscard]] sched::Core& core() { return system_->core(); }
    [[nodiscard]] Instant now() const { return now_; }
    [[nodiscard]] HeldLocks& held_locks(unsigned fiber) { return held_[fiber]; }

    // Set-up, by one thread: everybody serves at once.
    sched::Domain& domain(unsigned number, sched::DomainParams params = {});
    sched::Vcpu& vcpu(sched::Domain& owner, unsigned home, std::initializer_list<unsigned> hard = {0, 1, 2},
                      std::initializer_list<unsigned> soft = {});
    void start(sched::Vcpu& vcpu, bool blocked = false);
    void serve_all();
    void skip(Duration time) { now_ = now_ + time; } // timers that are due are late
    void pass(Duration time);                        // with the timers that are due meanwhile

    // On a pCPU.
    void reschedule(CpuId self);
    void serve(CpuId self); // once, if it was tickled
    [[noreturn]] void idle(CpuId self);

    // What has to hold when all are quiet.
    void check();
    void check_states(); // of vCPUs and locks
    // Within what the policy promises, if it promises anything. Returns how long somebody waited while a pCPU idled.
    Duration check_conservation();
    [[nodiscard]] bool is_armed(TimerId timer) const; // on any pCPU

    // For a scenario: whatever it wants to find again.
    std::array<sched::Vcpu*, 6> vcpus{};
    std::array<sched::Domain*, 3> domains{};

    [[nodiscard]] Topology const& topology() const noexcept override { return shape_.topology(); }
    void tickle(CpuId cpu) noexcept override;
    void arm(CpuId cpu, TimerId timer, Instant when) noexcept override;
    void disarm(CpuId cpu, TimerId timer) noexcept override;
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept override;
    void release(void* memory, std::size_t bytes) noexcept override;
    [[nodiscard]] std::uint64_t trace_clock(CpuId cpu) noexcept override;
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId) noexcept override { return {}; }

private:
    // What a context switch saves and loads, as far as it matters: on which pCPU it is, plus 1; 0: saved.
    struct Context {
        unsigned on{0};
    };
    static constexpr std::int64_t never = std::int64_t{1} << 62;

    explicit Machine(arch::MachineShape const& shape) : shape_{shape} {}

    [[nodiscard]] bool fire_next(Instant until);
    [[nodiscard]] sched::Vcpu& current(unsigned cpu) { return *core().pool().pcpu(explorer::cpu(cpu)).current; }
    void check_one(sched::Vcpu& vcpu);
    [[nodiscard]] bool waits_in_vain(sched::Vcpu const& vcpu);
    [[nodiscard]] sched::Vcpu* first_in_vain();
    void check_progress();

    arch::MachineShape const& shape_;
    arch::Env env_{*this};
    sched::System* system_{nullptr};
    Instant now_{Instant::at_ns(1'000'000'000)};
    // relaxed: a tickle, and a timer, order nothing.
    std::array<std::atomic<bool>, pcpu_count> tickled_{};
    std::array<std::array<std::atomic<std::int64_t>, 4>, pcpu_count> timers_; // by pCPU, then by id
    std::array<HeldLocks, pcpu_count + 1> held_;                              // the last: outside of all fibers
    std::uint64_t stamp_{0};
};

[[nodiscard]] Machine& machine(); // the last one made

// What there is to explore.
struct Scenario {
    char const* name;
    char const* text;
    void (*set_up)(Machine& machine);
    // What each pCPU does; afterwards it serves.
    std::array<void (*)(Machine& machine, CpuId self), pcpu_count> programs;
    char const* only{nullptr};                // under one policy
    void (*check)(Machine& machine){nullptr}; // when all are quiet, before time goes on
};

[[nodiscard]] std::span<Scenario const> scenarios();

} // namespace hv::explorer
