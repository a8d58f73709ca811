// Domains and vCPUs as the scheduler sees them: identity, run state, affinity, and the policy's own data behind a
// pointer. The core owns them; a policy reads them and changes only what is marked as its own.
//
// Locking: "run-queue lock" is the lock of the pCPU that `processor` names; it changes hands with `processor`, which is
// written under both locks. Atomics are those that are read or written without it. Floor: sched.
#pragma once

#include "arch/generic/list.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"
#include "sched/trace/events.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace hv::sched {

struct Domain;
class Pool;

inline constexpr DomainId idle_domain_id{32767};

using RunState = trace::RunStateCode; // running, runnable, blocked, offline

// Why a vCPU may not run. It may when no flag is set and neither it nor its domain is paused.
enum class PauseFlag : std::uint32_t {
    blocked = 1u << 0,      // waits for an event
    down = 1u << 1,         // not started yet
    migrating = 1u << 3,    // a move to another pCPU was asked for and is not complete
    ending = 1u << 4,       // its domain ends: it never runs again
    changes_pool = 1u << 5, // its domain does, as soon as all of it has stopped
    // Not a reason to pause, but kept in the same word, so that "block unless an event is pending" is one atomic step:
    // an event came while the vCPU was not blocked.
    event_pending = 1u << 31,
};

// Two clocks: a decision goes by the time that it was given, the books by the stamps of the trace's records, which are
// written later in it; so that the two agree.
struct RunStateClock {
    RunState state{RunState::offline};
    Instant entered;                 // for decisions
    Instant counted;                 // what `spent` goes up to
    std::array<Duration, 4> spent{}; // by RunState; excludes the state that lasts
};

struct DomainVcpuTag;

// alignas: two pCPUs that each run a vCPU must not write to one cache line.
struct alignas(64) Vcpu : ListNode<DomainVcpuTag> {
    Vcpu(Domain& owner, VcpuIndex number, CpuId home);

    Domain& domain;
    VcpuIndex const index;

    // The pCPU whose run queue and lock this vCPU belongs to, whether it runs, waits or sleeps. Without that lock held
    // the answer is a hint.
    [[nodiscard]] CpuId processor() const { return CpuId{processor_.load(std::memory_order_relaxed)}; }
    void set_processor(CpuId cpu) { processor_.store(cpu.value(), std::memory_order_relaxed); } // both locks held

    // From the moment a pCPU selects it until its context is saved: who sees false may use the saved context. seq_cst,
    // because it is one half of an order against `migrating` (core.hpp).
    [[nodiscard]] bool is_running() const { return is_running_.load(); }
    void set_running(bool running) { is_running_.store(running); }

    [[nodiscard]] bool is_idle() const;
    [[nodiscard]] bool is_runnable() const;
    // Both ids in a word, as the trace has them.
    [[nodiscard]] std::uint32_t packed() const { return packed_; }

    [[nodiscard]] bool has_flag(PauseFlag flag) const
    {
        return (pause_flags.load() & static_cast<std::uint32_t>(flag)) != 0;
    }
    // Both return whether the flag was set before. seq_cst: a flag is set, then something else is read (see core.hpp).
    bool set_flag(PauseFlag flag)
    {
        return (pause_flags.fetch_or(static_cast<std::uint32_t>(flag)) & static_cast<std::uint32_t>(flag)) != 0;
    }
    bool clear_flag(PauseFlag flag)
    {
        return (pause_flags.fetch_and(~static_cast<std::uint32_t>(flag)) & static_cast<std::uint32_t>(flag)) != 0;
    }

    std::atomic<std::uint32_t> pause_flags{0};
    std::atomic<std::uint32_t> pause_count{0};

    // Run-queue lock from here on.
    CpuMask hard_affinity;  // where it may run
    CpuMask saved_affinity; // what it was before all of it went away for a while; if affinity_broken
    bool affinity_broken{false};
    CpuMask soft_affinity;          // where it would rather run; meaningful if prefers
    bool prefers{false};            // soft_affinity was asked for (by domain or by vCPU), not merely defaulted
    bool has_own_preference{false}; // asked for by vCPU: the domain's node affinity says nothing about it any more
    RunStateClock run_state;
    Instant last_run_time; // when it last stopped running

    Pool* pool{nullptr};        // whose policy decides about it: its domain's; of an idle vCPU, its pCPU's
    void* policy_data{nullptr}; // that policy's
    void* next_data{nullptr};   // its domain moves: the next policy's. Steering lock
    void* guest{nullptr};       // of sched/guest: what it executes
    void* context{nullptr};     // the machine's: how to switch to it

private:
    std::uint32_t const packed_;
    std::atomic<CpuId::Rep> processor_;
    std::atomic<bool> is_running_{false};
};

struct AllDomainsTag;

struct DomainParams {
    std::uint16_t weight{256};
    std::uint16_t cap{0}; // percent of one pCPU; 0 = no limit
};

// How far a domain's life has gone. core.hpp has the steps.
enum class LifeStage : std::uint8_t {
    alive,
    ending,   // none of its vCPUs will run again, but some may not have stopped yet
    unlinked, // on no list of those who schedule; somebody may still look at it
};

struct Domain : ListNode<AllDomainsTag> {
    explicit Domain(DomainId number, std::uint64_t which = 0) : id{number}, serial{which} {}

    DomainId const id;
    // Which one it is of all that the machine has ever had, counted from 1: an id may come again, this does not.
    std::uint64_t const serial;
    // Steering lock from here to auto_node_affinity, for the pools, and for what `vcpus` holds.
    LifeStage stage{LifeStage::alive};
    DomainParams params;
    // Where its memory comes from and, while `auto_node_affinity` is off, where its vCPUs would rather run.
    NodeMask node_affinity{NodeMask::all()};
    bool auto_node_affinity{true};
    std::atomic<std::uint32_t> pause_count{0};
    List<Vcpu, DomainVcpuTag> vcpus;
    std::uint16_t vcpu_count{0};
    Pool* pool{nullptr};
    Pool* moves_to{nullptr}; // as soon as all its vCPUs have stopped
    void* policy_data{nullptr};
    void* next_data{nullptr}; // while it moves: that pool's policy's
    void* context{nullptr};   // the machine's: memory and whatever else it has for it

    [[nodiscard]] bool is_idle() const { return id == idle_domain_id; }
};

inline bool Vcpu::is_idle() const { return domain.is_idle(); }

inline bool Vcpu::is_runnable() const
{
    return (pause_flags.load() & ~static_cast<std::uint32_t>(PauseFlag::event_pending)) == 0 &&
           pause_count.load() == 0 && domain.pause_count.load() == 0;
}

inline Vcpu::Vcpu(Domain& owner, VcpuIndex number, CpuId home)
    : domain{owner}, index{number}, packed_{trace::pack_vcpu(owner.id.value(), number.value())},
      processor_{home.value()}
{
}

} // namespace hv::sched
