// A machine made of data: a discrete-event simulation with a virtual clock, deterministic to the bit.
//
// Events are handled by time, then in the order in which they were created. After each event the reschedules that were
// asked for are carried out, lowest pCPU first, until none is left. A reschedule asked of another pCPU arrives `ipi`
// later, one that a vCPU's timer asks of its own pCPU `wake` later; while one is asked for and not carried out, further
// requests to that pCPU are dropped. Timers from timer 16 on (see sched/pool.hpp: the wake-ups of vCPUs) are told apart
// by their number alone: arming one on another pCPU moves it, and the client says on which pCPU it is handled.
// Scheduler code takes no time. The rules are those of docs/scenario-format.md. Single-threaded. Floor: arch/host.
//
// pCPUs may also take turns, like those of an emulator that executes all of them on one thread: only one makes progress
// at a time, until its turn ends (sim_turns.cpp says when); then the next one by number that has something to do.
// Timers that are due, and what another pCPU asks of one, wait for its turn.
#pragma once

#include "arch/host/event_heap.hpp"
#include "arch/host/host_memory.hpp"
#include "arch/host/machine_shape.hpp"

#include <arch/env.hpp>

#include <optional>
#include <vector>

namespace hv::arch {

// What the simulated machine calls when something happens.
class SimClient {
public:
    virtual void timer(CpuId self, TimerId id, Instant now) = 0;
    virtual void reschedule(CpuId self, Instant now) = 0;
    // Where a timer that was armed on `armed_on` is handled.
    [[nodiscard]] virtual CpuId place_of(TimerId id, CpuId armed_on) = 0;
    // What the wake-up takes that asks `cpu` for a reschedule right now; nothing: what the machine's do.
    [[nodiscard]] virtual std::optional<Duration> wake_cost(CpuId) const { return std::nullopt; }
    // Of a machine whose pCPUs take turns: whether somebody runs on `cpu`; and who runs there stands still from `now`
    // on, or goes on.
    [[nodiscard]] virtual bool is_busy(CpuId) const { return false; }
    virtual void turn_ends(CpuId, Instant) {}
    virtual void turn_begins(CpuId, Instant) {}
    // After each event and its reschedules; for invariants.
    virtual void settled(Instant) {}

protected:
    ~SimClient() = default;
};

struct SimCosts {
    Duration ipi;         // from a request to the reschedule of another pCPU
    Duration timer_late;  // timers of the scheduler fire up to this late
    Duration wake{};      // from a vCPU's wake-up by its timer to the reschedule of the same pCPU
    bool by_turns{false}; // pCPUs take turns; the costs count what their pCPU executes
    // Of a turn that ends for reasons outside the machine, the mean; from 0 to twice that, at random. 0: none does.
    Duration turn{};
    std::uint64_t turn_seed{1};
};

class SimMachine final : public Machine {
public:
    SimMachine(MachineShape const& shape, SimCosts costs, std::size_t trace_bytes_per_pcpu = 0);
    ~SimMachine() override;

    void set_client(SimClient& client) { client_ = &client; }
    [[nodiscard]] Env& env() { return env_; }
    [[nodiscard]] Instant now() const { return now_; }
    [[nodiscard]] std::uint64_t events_handled() const { return events_handled_; }

    // The timers that are armed there.
    [[nodiscard]] std::vector<TimerId> armed_on(CpuId cpu) const;
    // Memory that was asked for on the node and not given back.
    [[nodiscard]] std::size_t bytes_in_use(NodeId node) const { return memory_.in_use(node); }

    // For set-up: set-up happens at this time and on this pCPU.
    void set_clock(Instant now) { now_ = now; }
    void set_executing(CpuId cpu) { executing_ = cpu; }
    // Ask every pCPU to reschedule, and carry it out.
    void reschedule_all();
    // Handle every event up to and including `end`. The clock then stands at `end`.
    void run_until(Instant end);

    [[nodiscard]] Topology const& topology() const noexcept override { return shape_.topology(); }
    void tickle(CpuId cpu) noexcept override;
    void arm(CpuId cpu, TimerId timer, Instant when) noexcept override;
    void disarm(CpuId cpu, TimerId timer) noexcept override;
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept override;
    void release(void* memory, std::size_t bytes) noexcept override;
    [[nodiscard]] std::uint64_t trace_clock(CpuId cpu) noexcept override;
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId cpu) noexcept override;

private:
    // Slots of the heap: 16 a pCPU, of which the last is a reschedule on its way there, then one for each moving timer.
    static constexpr std::uint32_t slots_per_pcpu = 16;
    static constexpr std::uint32_t ipi_slot = slots_per_pcpu - 1;
    static constexpr TimerId::Rep first_moving_timer = slots_per_pcpu;

    [[nodiscard]] EventHeap::Slot slot_of(CpuId cpu, TimerId timer) const;
    [[nodiscard]] std::uint32_t fixed_slots() const
    {
        return static_cast<std::uint32_t>(requested_.size()) * slots_per_pcpu;
    }
    void step(EventHeap::Event const& event);
    void run_by_turns(Instant end);
    [[nodiscard]] Instant next_turn_end() const;
    [[nodiscard]] bool serve_due();
    [[nodiscard]] bool is_due(CpuId cpu) const;
    [[nodiscard]] bool is_own_time(EventHeap::Slot slot) const;
    void note_deadline(CpuId cpu, EventHeap::Slot slot, Instant when);
    void drop_deadline(EventHeap::Slot slot);
    void end_turn();
    void limit_turn();
    void pass_turn();
    void stop_all_but(CpuId cpu);
    void give_turn(CpuId cpu);
    [[nodiscard]] bool has_work(CpuId cpu) const;
    [[nodiscard]] CpuId pcpu_of(EventHeap::Slot slot) const;
    [[nodiscard]] static EventHeap::Slot request_slot(CpuId cpu) { return cpu.value() * slots_per_pcpu + ipi_slot; }
    void handle(EventHeap::Slot slot);
    void carry_out_reschedules();
    [[nodiscard]] Duration lateness();

    MachineShape const& shape_;
    SimCosts costs_;
    Env env_{*this};
    SimClient* client_{nullptr};
    Instant now_;
    CpuId executing_{};
    std::uint64_t events_handled_{0};
    std::uint64_t late_state_{88172645463325252ull};
    std::uint64_t last_stamp_{0};
    EventHeap events_;
    std::vector<CpuId> armed_on_;       // by moving timer
    bool is_waking_{false};             // the event is a vCPU's timer
    CpuMask delayed_;                   // asked for by a wake-up, on its way
    CpuMask wanted_;                    // reschedules to carry out after this event
    std::vector<char> requested_;       // asked for, not carried out yet
    CpuId turn_{};                      // whose turn it is, where pCPUs take turns...
    std::optional<CpuId> interrupted_;  // ...and whose it was, if it has ended before its work
    std::optional<Instant> turn_end_;   // when something outside the machine ends it
    std::uint64_t turn_state_;          // of the random numbers for that
    EventHeap deadlines_;               // timers that are not due and end a turn when they are
    std::vector<EventHeap::Event> due_; // timers that wait for the turn of their pCPU, in the order of their time
    std::vector<std::optional<Duration>> left_; // by pCPU: of a request's cost, while it is not its turn
    std::vector<std::vector<std::byte>> trace_memory_;
    HostMemory memory_;
};

} // namespace hv::arch
