// How far the guests of a machine with a memory cost model get: a phase is an amount of work, and the time it takes
// depends on where the vCPU runs, on what its SMT sibling does and on how busy memory is.
//
// A vCPU's pace is set when it is dispatched, at each sample of the model (once a virtual millisecond while it runs)
// and when its sibling begins or ends to run something. At each change the work done since the last one is counted and
// timer::phase of the pCPU is set anew for the end of the phase. Time in which nothing gets done (context switch, cache
// refill after a move) comes first.
//
// Locking: one lock of the machine's (rank 25: no run-queue lock is held when it is taken, timers are armed under it)
// guards everything here and every Progress. Interrupts off. Floor: sched.
#pragma once

#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "sched/env.hpp"
#include "sched/guest/memory_model.hpp"

#include <optional>

namespace hv::sched::guest {

// Fires once a virtual millisecond on a pCPU that runs a task of the model.
inline constexpr TimerId sample_timer{5};
inline constexpr Duration sample_period = Duration::from_ms(1);

// What a vCPU has done since it was made. Work is in ns of a vCPU that runs alone and at home.
struct Tally {
    Duration work;
    Duration run;         // time on a pCPU
    Duration stall;       // of it, waiting for memory
    Duration refill;      // of it, waiting for a cache to fill after a move
    Duration home;        // of it, weighted with the share of its memory that is local
    std::uint64_t issued; // work weighted with share_one, and the parts of it that went to...
    std::uint64_t local, remote;
    std::uint64_t core_moves, node_moves; // dispatches on another core of the node, on another node
};

// The model's side of one vCPU.
struct Progress {
    Progress(ClassParams const& c, MemoryShares const& m) : task{c}, memory{m} {}

    ClassParams task;
    MemoryShares memory;
    bool computing{false};
    bool running{false};
    bool has_run{false};
    CpuId on{};         // where it runs, or ran last
    Duration left;      // of the phase: work
    Duration switching; // time before it makes progress again: of the context switch...
    Duration refilling; // ...then of the refill
    Instant counted;    // up to when all of this is true
    Pace pace;
    Tally tally{};

    // Accesses of 64 bytes that a part of `issued` stands for.
    [[nodiscard]] std::uint64_t accesses(std::uint64_t part) const
    {
        return (part >> share_bits) * task.traffic_mbps / 64'000;
    }
};

class Pacer {
public:
    // On node 0, in memory of the machine's; nullptr: there is none.
    [[nodiscard]] static Pacer* create(arch::Env& env, ModelParams const& params);

    [[nodiscard]] ModelParams const& params() const { return model_.params(); }

    // The pCPU goes from one vCPU to another. nullptr: one that the model does not know; `busy`: the new one is not the
    // idle vCPU. context_switch: see SystemConfig.
    void switched(CpuId self, Progress* previous, Progress* next, bool busy, Duration context_switch, Instant now)
        HV_EXCLUDES(lock_);
    // A phase of `work` begins. Its vCPU need not run.
    void begin(Progress& progress, Duration work, Instant now) HV_EXCLUDES(lock_);
    // timer::phase fired where it runs. false: the phase has not ended, the timer is set anew.
    [[nodiscard]] bool ends(Progress& progress, Instant now) HV_EXCLUDES(lock_);
    // sample_timer fired.
    void sample(CpuId self, Instant now) HV_EXCLUDES(lock_);
    // `self` has left the pool and runs its idle vCPU: nothing of it is left armed.
    void evacuate(CpuId self) HV_EXCLUDES(lock_);
    // Where its memory really is. Not while it runs.
    void set_memory(Progress& progress, MemoryShares const& memory) HV_EXCLUDES(lock_);
    // Up to now, also of one that runs.
    [[nodiscard]] Tally tally_of(Progress& progress, Instant now) HV_EXCLUDES(lock_);

private:
    struct Pcpu {
        Progress* running{nullptr};
        bool busy{false};
        bool samples{false}; // its sample_timer is armed
    };

    Pacer(arch::Env& env, ModelParams const& params, std::span<std::uint64_t> storage, std::span<Pcpu> pcpus);

    void leave(Progress& progress, Instant now) HV_REQUIRES(lock_);
    void arrive(CpuId self, Progress& progress, Duration context_switch, Instant now) HV_REQUIRES(lock_);
    void count(Progress& progress, Instant now) HV_REQUIRES(lock_);
    void repace(Progress& progress, Instant now) HV_REQUIRES(lock_);
    void arm(Progress& progress) HV_REQUIRES(lock_);
    void repace_siblings(CpuId self, Instant now) HV_REQUIRES(lock_);
    [[nodiscard]] bool sibling_is_busy(CpuId self) const HV_REQUIRES(lock_);
    [[nodiscard]] NodeId node_of(CpuId cpu) const { return env_.topology().node_of(cpu); }

    arch::Env& env_;
    TicketLock lock_;
    ModelState model_;
    std::span<Pcpu> pcpus_;
    Instant next_sample_;
};

} // namespace hv::sched::guest
