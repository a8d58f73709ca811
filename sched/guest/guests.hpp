// Carries out what workloads do: phases of computation, waits, notifications, wake-ups. On top of the core, the same in
// the kernel and in the simulator.
//
// A phase of computation is time on the pCPU: while its vCPU runs, timer::phase of that pCPU stands at its end; when
// the vCPU is switched out, what is left is kept. A wake-up is a timer of the vCPU's own. Who asks the workload for the
// next action differs: in the kernel the guest task does, on its own stack, and calls perform(); a simulated machine
// has no tasks, so there (Driver::events) the end of a phase and the arrival of an event do.
//
// With a memory cost model (use_model), a phase of the workloads that it knows is an amount of work instead, and a
// Pacer says how long it takes. Without one nothing of it is there.
//
// Locking: none of its own. A guest's phase is touched only on the pCPU where its vCPU is current, or by whoever wakes
// it while it is blocked; the core's run-queue locks order the two. Floor: sched.
#pragma once

#include "sched/core.hpp"
#include "sched/guest/pacer.hpp"
#include "sched/guest/workload.hpp"

#include <atomic>
#include <optional>
#include <span>

namespace hv::sched::guest {

struct Guest {
    Guest(Vcpu& v, std::uint32_t n) : vcpu{v}, number{n} {}

    Vcpu& vcpu;
    std::uint32_t const number; // over the whole machine, in order of creation
    WorkloadState work;
    Progress* progress{nullptr}; // of a workload that the memory cost model knows, where there is one

    bool started{false};
    bool computing{false};
    bool has_deadline{false}; // the phase ends at `deadline`, not after an amount
    Duration left;            // of the phase, when it last stopped running
    Instant deadline;
    Instant resumed; // when work last began to make progress

    // When what it works on was asked for: the wake-up, or the event that came while it was busy. relaxed atomics:
    // whoever notifies writes them, and of two who do at once either may be the one.
    std::atomic<std::int64_t> activated_ns{0};
    std::atomic<std::int64_t> pending_since_ns{0};

    // Of a recorded workload, which loses no event: those that could not be delivered yet, and whether it sleeps for a
    // time, so that events must not cut that short. relaxed: whoever notifies may see the one or the other.
    std::atomic<std::uint32_t> owed{0};
    std::atomic<bool> sleeps{false};

    std::uint64_t phases{0};              // ended
    std::atomic<std::uint64_t> missed{0}; // events lost because one was pending

    [[nodiscard]] bool is_recorded() const { return work.workload.kind == WorkloadKind::recorded; }
    [[nodiscard]] TimerId wake_timer() const { return TimerId{timer::first_vcpu + number}; }
};

enum class Driver : std::uint8_t { tasks, events };

// What became of an action.
enum class Outcome : std::uint8_t {
    goes_on,  // done: ask for the next one
    computes, // a phase began; it has ended when the guest's `computing` is false
    waits,    // blocked; the pCPU has been asked to reschedule
};

class Guests {
public:
    // `table` has room for every guest of the machine. context_switch: how long after a switch work makes no progress.
    Guests(Core& core, std::span<Guest*> table, Driver driver, Duration context_switch)
        : core_{core}, table_{table}, driver_{driver}, context_switch_{context_switch}
    {
    }

    // From here on guests are subject to this memory cost model. Before the first is added. false: no memory.
    [[nodiscard]] bool use_model(ModelParams const& params);
    [[nodiscard]] Pacer* pacer() const { return pacer_; } // nullptr: there is no model
    // Where the memory of the domain's vCPUs is (until told otherwise, on node 0). Before they are started.
    void set_memory(Domain& domain, MemoryShares const& memory);

    // nullptr: no memory, or the table is full.
    [[nodiscard]] Guest* add(Vcpu& vcpu, Workload const& workload, std::uint64_t seed);
    [[nodiscard]] std::span<Guest* const> all() const { return table_.first(count_); }
    [[nodiscard]] Guest& of(Vcpu& vcpu) const { return *static_cast<Guest*>(vcpu.guest); }

    // The vCPU becomes able to run at `when`, by a timer of pCPU `on`. Its workload's clock starts then.
    void start_at(CpuId on, Guest& guest, Instant when);
    // The guest whose start or wake-up this timer is; nullptr if it is another timer.
    [[nodiscard]] Guest* of(TimerId id) const;
    // The pCPU goes from one vCPU to another; before the machine switches contexts.
    void switched(CpuId self, Vcpu& previous, Vcpu& next, Instant now);
    // false: not one of ours.
    bool timer(CpuId self, TimerId id, Instant now);
    // For a simulated machine, while `cpu` is asked to reschedule: what the wake-up that asks is said to take there.
    // Nothing: what wake-ups take. Only the vCPU's own pCPU is spoken of.
    [[nodiscard]] std::optional<Duration> wake_cost(CpuId cpu) const
    {
        return cpu == woken_on_ ? wake_cost_ : std::nullopt;
    }
    // For the current vCPU of `self` (or, with Driver::events, one that is about to wake).
    Outcome perform(CpuId self, Guest& guest, Action const& action, Instant now);

private:
    void start(CpuId self, Guest& guest, Instant now);
    void begin_phase(CpuId self, Guest& guest, Action const& action, Instant now);
    void resume_phase(CpuId self, Guest& guest, Instant from);
    void suspend_phase(CpuId self, Guest& guest, Instant now);
    void end_phase(CpuId self, Instant now);
    bool wait(CpuId self, Guest& guest, Instant now);
    void sleep(CpuId self, Guest& guest, Instant now);
    void notify(CpuId self, Guest& guest, Instant now);
    void deliver(CpuId self, Guest& guest, Instant now);
    void advance(CpuId self, Guest& guest, Instant now);
    [[nodiscard]] bool is_current(Guest const& guest) const;

    Core& core_;
    std::span<Guest*> table_;
    std::uint32_t count_{0};
    Driver driver_;
    Duration context_switch_;
    Pacer* pacer_{nullptr};
    std::optional<Duration> wake_cost_; // Driver::events only: one thread
    CpuId woken_on_{};                  // of the vCPU that wake_cost_ is about
};

} // namespace hv::sched::guest
