// A pool: the pCPUs that one policy instance schedules, and what the core keeps for each of them. The core owns it; a
// policy is born with a reference to it. Every pCPU that is up is in one pool or in none; in none, it idles. Every
// domain is in one.
//
// Locking: each Pcpu has the run-queue lock. `members` is read without any: a change builds a fresh set and publishes
// it, so that a reader sees the one before or the one after, whole. Name, stage and how many domains it has are the
// steering lock's. Floor: sched.
#pragma once

#include "arch/generic/list.hpp"
#include "arch/generic/mask.hpp"
#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "sched/env.hpp"
#include "sched/locking.hpp"
#include "sched/trace/tracer.hpp"
#include "sched/vcpu.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

namespace hv::sched {

// The timers of a pCPU. A vCPU's wake-up timer is first_vcpu + its number, counted over the whole machine.
namespace timer {
inline constexpr TimerId slice{0};
inline constexpr TimerId tick{1};
inline constexpr TimerId accounting{2};
inline constexpr TimerId phase{3};
inline constexpr TimerId::Rep first_vcpu = 16;
} // namespace timer

// How a pCPU leaves its pool and comes back (system.hpp).
enum class PcpuPhase : std::uint8_t {
    in_pool, // or not up yet
    asked,   // to leave; whoever asked sends its vCPUs away
    leaving, // somebody still belonged to it: it sends them away itself, once it idles
    down,    // nobody belongs to it any more; it has yet to hand its timers on
    off,     // it idles, with nothing armed
    joining, // asked to come back, or into a pool
    parting, // as off, but it leaves the pool for good as soon as nobody there can still look at it
    free,    // it idles, in no pool
};

// A pCPU that went away for a while (a suspended machine's) gives back the affinities that its going broke.
enum class Absence : std::uint8_t { for_good, for_a_while };

// What a pCPU needs to join a pool, made before it is asked.
struct Joining {
    Pool* pool{nullptr}; // nullptr: the one that it is in
    void* pcpu_data{nullptr};
    void* idle_data{nullptr}; // for its idle vCPU
};

// alignas: a peer that spins on this lock must not slow down its neighbours.
struct alignas(64) Pcpu {
    explicit Pcpu(CpuId number) : id{number}, lock{run_queue_lock_key(number)} {}

    CpuId const id;
    TicketLock lock;
    Vcpu* current{nullptr}; // what scheduling considers current; written under the lock
    Vcpu* idle{nullptr};
    // Whose policy decides here: of a free pCPU, one that only idles. Changed by this pCPU itself, under the steering
    // lock and its own, so it may read it without either.
    Pool* pool{nullptr};
    void* policy_data{nullptr};
    bool holds_domains{false};  // its own: it looks at domains across reschedules (core.hpp)
    bool tick_suspended{false}; // this pCPU's own
    std::atomic<PcpuPhase> phase{PcpuPhase::in_pool};
    Absence absence{Absence::for_good};   // written by whoever asked it to leave, before `phase` says so
    std::atomic<bool> leaves_pool{false}; // it is to leave its pool for good, not merely to idle for a while
    std::atomic<bool> is_offline{false};  // in a pool or not, it is not to be used
    // Nobody in the pool that it left can look at it any more.
    std::atomic<bool> forgotten{false};
    Joining joining;         // written by whoever asks it into a pool, before `phase` says so
    std::uint32_t passed{0}; // this pCPU's own: the last grace period that it has passed (grace.hpp)
    // Work that only the idle vCPU can do (upstream: tasklets): bit 0, there is some; bit 1, the idle vCPU was chosen
    // for it.
    std::atomic<std::uint8_t> idle_work{0};
};

inline constexpr std::size_t most_pools{32};

struct PolicyOps;
struct EndedPoolTag;

class Pool : public ListNode<EndedPoolTag> {
public:
    static constexpr std::size_t name_limit{31}; // characters

    Pool(arch::Env& env, trace::Tracer& tracer, std::span<Pcpu* const> pcpus)
        : env_{env}, tracer_{tracer}, pcpus_{pcpus}
    {
    }

    // The boot pool is 0.
    [[nodiscard]] PoolId id() const { return id_; }
    [[nodiscard]] std::string_view name() const { return {name_.data(), name_size_}; } // steering lock
    [[nodiscard]] PolicyOps const& ops() const { return *ops_; }
    [[nodiscard]] void* policy() const { return policy_; } // ops().create() made it
    [[nodiscard]] arch::Env& env() { return env_; }
    [[nodiscard]] trace::Tracer& tracer() { return tracer_; }
    [[nodiscard]] Topology const& topology() const { return env_.topology(); }
    // acquire: pairs with publish_members. The reference stays good for the length of any hook.
    [[nodiscard]] CpuMask const& members() const { return *members_.load(std::memory_order_acquire); }
    [[nodiscard]] unsigned pcpu_limit() const { return static_cast<unsigned>(pcpus_.size()); }
    [[nodiscard]] Pcpu& pcpu(CpuId cpu) { return *pcpus_[cpu.value()]; }
    [[nodiscard]] Pcpu const& pcpu(CpuId cpu) const { return *pcpus_[cpu.value()]; }

private:
    friend class Core;

    // Steering lock held. A reader would have to sleep through all
    // versions but one to see its set change under it.
    void publish_members(CpuMask const& members)
    {
        version_ = (version_ + 1) % versions_.size();
        versions_[version_] = members;
        members_.store(&versions_[version_], std::memory_order_release);
    }

    void set_name(std::string_view name) { name_size_ = name.copy(name_.data(), name_limit); }

    PolicyOps const* ops_{nullptr};
    void* policy_{nullptr};
    arch::Env& env_;
    trace::Tracer& tracer_;
    std::span<Pcpu* const> pcpus_;
    std::array<CpuMask, 16> versions_;
    std::size_t version_{0};
    std::atomic<CpuMask const*> members_{versions_.data()};
    PoolId id_{};
    std::array<char, name_limit> name_{};
    std::size_t name_size_{0};
    bool ends_{false};          // goes with its last pCPU
    std::uint32_t pcpus_in_{0}; // whose Pcpu::pool it is
    std::uint32_t domains_{0};  // those that move here, and those that are gone but not released, included
};

} // namespace hv::sched
