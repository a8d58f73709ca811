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
// A guest goes with its vCPU: retired as soon as its domain ends, so that no timer and no peer finds it any more, and
// released when nobody can refer to it (core.hpp).
//
// Locking: a guest's phase is touched only on the pCPU where its vCPU is current, or by whoever wakes it while it is
// blocked; the core's run-queue locks order the two. Its wake-up timer has a lock (rank 27), so that it is armed on one
// pCPU at most, one of the pool, and never once the guest is retired. Floor: sched.
#pragma once

#include "sched/core.hpp"
#include "sched/guest/pacer.hpp"
#include "sched/guest/workload.hpp"

#include <array>
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

    // How long it has run on each node, up to when it last stopped; and since when it runs, while it does. Written by
    // the pCPU where it is current. relaxed: for who looks, and each figure by itself.
    std::array<std::atomic<std::int64_t>, NodeMask::capacity> ran_on_ns{};
    std::atomic<std::int64_t> runs_since_ns{not_running};
    static constexpr std::int64_t not_running = -1;

    std::uint64_t phases{0};              // ended
    std::atomic<std::uint64_t> missed{0}; // events lost because one was pending

    // The wake-up timer. One that fires early is an old setting that was on its way.
    TicketLock timer_lock{wake_timer_lock_key()};
    bool armed HV_GUARDED_BY(timer_lock){false};
    bool retired HV_GUARDED_BY(timer_lock){false};
    CpuId armed_on HV_GUARDED_BY(timer_lock){};
    Instant wakes_at HV_GUARDED_BY(timer_lock);

    Guest* partner{nullptr}; // whom it notifies, once it has: of its own domain, so it lasts as long

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

// Where a guest stands in the table of all. A place is free again when nobody can know its last guest any more.
struct GuestPlace {
    std::atomic<Guest*> guest{nullptr}; // nullptr: none, or one that is retired
    std::atomic<bool> taken{false};
};

// The guests of a table in the order of their numbers, the retired left out.
class GuestsView {
public:
    class Iterator {
    public:
        Iterator(GuestPlace const* at, GuestPlace const* end) : at_{at}, end_{end} { skip(); }
        [[nodiscard]] Guest* operator*() const { return guest_; }
        Iterator& operator++()
        {
            ++at_;
            skip();
            return *this;
        }
        friend bool operator==(Iterator const& a, Iterator const& b) { return a.at_ == b.at_; }

    private:
        void skip()
        {
            // acquire: pairs with the release of add(), as wherever a place is read.
            while (at_ != end_ && (guest_ = at_->guest.load(std::memory_order_acquire)) == nullptr)
                ++at_;
        }
        GuestPlace const* at_;
        GuestPlace const* end_;
        Guest* guest_{nullptr};
    };

    explicit GuestsView(std::span<GuestPlace const> table) : table_{table} {}
    // All numbers are below this.
    [[nodiscard]] std::size_t size() const { return table_.size(); }
    [[nodiscard]] Iterator begin() const { return {table_.data(), table_.data() + table_.size()}; }
    [[nodiscard]] Iterator end() const
    {
        GuestPlace const* const end{table_.data() + table_.size()};
        return {end, end};
    }

private:
    std::span<GuestPlace const> table_;
};

class Guests {
public:
    // `table` has room for every guest of the machine. context_switch: how long after a switch work makes no progress.
    Guests(Core& core, std::span<GuestPlace> table, Driver driver, Duration context_switch)
        : core_{core}, table_{table}, driver_{driver}, context_switch_{context_switch}
    {
    }

    // From here on guests are subject to this memory cost model. Before the first is added. false: no memory.
    [[nodiscard]] bool use_model(ModelParams const& params);
    [[nodiscard]] Pacer* pacer() const { return pacer_; } // nullptr: there is no model
    // Where the memory of the domain's vCPUs is (until told otherwise, on node 0). Before they are started.
    void set_memory(Domain& domain, MemoryShares const& memory);

    // With that number, or else with the lowest that is free. nullptr: no memory, or it is not free, or none is.
    [[nodiscard]] Guest* add(Vcpu& vcpu, Workload const& workload, std::uint64_t seed,
                             std::optional<std::uint32_t> number = std::nullopt);
    [[nodiscard]] GuestsView all() const { return GuestsView{table_.first(end_.load(std::memory_order_relaxed))}; }
    // The domain ends: its guests get no event and no timer any more. Steering lock held.
    void retire(Domain& domain);
    // Nobody refers to it any more: its storage goes.
    void release(Vcpu& vcpu);
    // Moves to `to` what wakes up by a timer of `self`, which has left the pool. On `self`.
    void evacuate(CpuId self, CpuId to);
    [[nodiscard]] Guest& of(Vcpu& vcpu) const { return *static_cast<Guest*>(vcpu.guest); }

    // The vCPU becomes able to run at `when`, by a timer of pCPU `on`. Its workload's clock starts then.
    void start_at(CpuId on, Guest& guest, Instant when);
    // Its wake-up timer: an event at `when`, by a timer of `on`, or of another pCPU if that is not in the pool.
    void set_timer(CpuId on, Guest& guest, Instant when) HV_EXCLUDES(guest.timer_lock);
    void stop_timer(Guest& guest) HV_EXCLUDES(guest.timer_lock);
    // The guest whose start or wake-up this timer is; nullptr if it is another timer.
    [[nodiscard]] Guest* of(TimerId id) const;
    // How long it has run on that node, up to now. Any pCPU; of one that runs there the last bit may be missing.
    [[nodiscard]] Duration ran_on(Guest const& guest, NodeId node, Instant now) const;
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
    // For a simulated machine: work on `self` stands still from `now` on, or goes on.
    void stand_still(CpuId self, Instant now);
    void go_on(CpuId self, Instant now);
    // For the current vCPU of `self` (or, with Driver::events, one that is about to wake).
    Outcome perform(CpuId self, Guest& guest, Action const& action, Instant now);

private:
    void start(CpuId self, Guest& guest, Instant now);
    void count_run(CpuId self, Vcpu& previous, Vcpu& next, Instant now);
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
    void disarm(Guest& guest) HV_REQUIRES(guest.timer_lock);
    [[nodiscard]] static bool is_due(Guest& guest, Instant now) HV_EXCLUDES(guest.timer_lock);
    [[nodiscard]] Guest* make(Vcpu& vcpu, Workload const& workload, std::uint64_t seed, std::uint32_t number);
    void give_back(std::uint32_t number);
    [[nodiscard]] std::optional<std::uint32_t> take_place(std::optional<std::uint32_t> wanted);
    [[nodiscard]] Guest* numbered(std::uint32_t number) const
    {
        return number < table_.size() ? table_[number].guest.load(std::memory_order_acquire) : nullptr;
    }
    [[nodiscard]] static Guest* partner_of(Guest& guest, VcpuIndex partner);

    Core& core_;
    std::span<GuestPlace> table_;
    // relaxed: where a search begins, no place before that being free, and where all end.
    std::atomic<std::uint32_t> first_free_{0}, end_{0};
    Driver driver_;
    Duration context_switch_;
    Pacer* pacer_{nullptr};
    std::optional<Duration> wake_cost_; // Driver::events only: one thread
    CpuId woken_on_{};                  // of the vCPU that wake_cost_ is about
};

} // namespace hv::sched::guest
