// What a vCPU executes: a pure function from a state and the time to the next action, the same in the kernel and in the
// simulator. The kinds and their rules are those of the scenario format (docs/scenario-format.md). No locks: a workload
// state belongs to its vCPU. Floor: sched.
#pragma once

#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"
#include "sched/guest/memory_model.hpp"
#include "sched/guest/step.hpp"

#include <cstdint>
#include <span>

namespace hv::sched::guest {

// From jbb to cpu, the classes of the memory cost model: a phase is an amount of work (memory_model.hpp).
enum class WorkloadKind : std::uint8_t { hog, burst, periodic, pingpong, gridsleep, jbb, memory, fork, cpu, recorded };

[[nodiscard]] constexpr bool is_of_model(WorkloadKind kind)
{
    return kind >= WorkloadKind::jbb && kind <= WorkloadKind::cpu;
}
[[nodiscard]] constexpr TaskClass class_of(WorkloadKind kind)
{
    return static_cast<TaskClass>(static_cast<unsigned>(kind) - static_cast<unsigned>(WorkloadKind::jbb));
}
static_assert(class_of(WorkloadKind::jbb) == TaskClass::jbb && class_of(WorkloadKind::memory) == TaskClass::memory &&
              class_of(WorkloadKind::fork) == TaskClass::fork && class_of(WorkloadKind::cpu) == TaskClass::cpu);

struct Workload {
    WorkloadKind kind{WorkloadKind::hog};
    Duration run_min, run_max;     // burst, jbb, memory: drawn for each phase; fork: the parent alone; else equal
    Duration block_min, block_max; // burst, jbb, memory; fork: the work that parent and child do side by side
    Duration period, phase;        // periodic: activations at start + phase + k * period
    Duration grid, guard;          // gridsleep
    VcpuIndex partner;             // pingpong, fork
    bool has_token{false};         // pingpong: this one begins; fork: this one is the parent
    std::span<Step const> steps;   // recorded: one after the other, then it waits for ever; outlives the workload
};

struct Action {
    enum class Kind : std::uint8_t {
        compute,       // use the pCPU for `amount`
        compute_until, // use it until the clock says `until`
        wait,          // block until an event comes
        wait_until,    // block until `until`
        notify,        // an event for vCPU `partner` of the own domain
        notify_any,    // an event for the machine's vCPU number `target`
    };
    Kind kind;
    Duration amount{};
    Instant until{};
    VcpuIndex partner{};
    std::uint32_t target{0};
};

// A hog's amount: longer than any run.
inline constexpr Duration forever = Duration::from_ns(std::int64_t{1} << 60);

// splitmix64, one a vCPU, so that what one vCPU draws does not depend on what others do.
class Random {
public:
    constexpr Random() = default;
    constexpr Random(std::uint64_t seed, DomainId domain, VcpuIndex vcpu)
        : state_{(seed * 0x2545F4914F6CDD1Dull) ^ ((domain.value() + 1ull) << 32) ^ ((vcpu.value() + 1ull) << 8)}
    {
    }

    // Uniform in [low, high], low <= high, up to the bias of a modulo.
    constexpr Duration between(Duration low, Duration high)
    {
        auto const span = static_cast<std::uint64_t>((high - low).ns()) + 1;
        return low + Duration::from_ns(static_cast<std::int64_t>(draw() % span));
    }

private:
    constexpr std::uint64_t draw()
    {
        state_ += 0x9E3779B97F4A7C15ull;
        std::uint64_t z{state_};
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }

    std::uint64_t state_{0};
};

struct WorkloadState {
    Workload workload;
    Random random;
    std::uint8_t step{0};
    std::uint32_t next_step{0}; // recorded
    std::uint32_t wake_cost{0}; // recorded: of the step that it waits in, ns
};

// Whether the vCPU begins by waiting for its first event instead of with a phase.
[[nodiscard]] constexpr bool begins_waiting(Workload const& workload)
{
    if (workload.kind == WorkloadKind::recorded)
        return workload.steps.empty() || workload.steps.front().kind == StepKind::sleep ||
               workload.steps.front().kind == StepKind::wait;
    bool const pair{workload.kind == WorkloadKind::pingpong || workload.kind == WorkloadKind::fork};
    return workload.kind == WorkloadKind::periodic || (pair && !workload.has_token);
}

// What it does next, at `now`. Never twice in a row without time passing or a wait: each round of a workload has a
// phase, and a recording ends.
[[nodiscard]] Action next(WorkloadState& state, Instant now);

} // namespace hv::sched::guest
