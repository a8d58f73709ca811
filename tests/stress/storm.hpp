// A scheduler on real threads, with guests that compute, wait and notify, and control threads that disturb them in
// every way the core offers; and the checks of what must hold all the same:
//
//   B10  a vCPU is switched in only where its hard affinity allows
//   B13  a vCPU runs on one pCPU at a time: its context is plain memory, written by whoever runs it, at rest in between
//   B14  a context is loaded only after it was saved, and a vCPU that was waited for to stop has stopped
//   and: whoever runs does so in the pool of its domain, though pCPUs and domains change pools all the time
//   and: a pCPU that has left its pool runs no guest and, once its last is over, no accounting, until it joins again
//   and: nothing is left armed on it then
//   and: of domains that come and go meanwhile (mortals.hpp) nothing is left, not a byte
//   and: whoever may run does within patience; whoever is notified wakes; nobody stays blocked with an event pending
//
// What the checks do not see, ThreadSanitizer does: contexts, guests and all of the scheduler's data are handed from
// thread to thread by nothing but the scheduler's own locks and flags. Control threads learn nothing from the pCPUs,
// and what they want done is done on a pCPU. Counters are relaxed, so that they order nothing. Floor: tests.
#pragma once

#include "arch/host/thread_machine.hpp"
#include "sched/system.hpp"

#include "tests/stress/mortals.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

namespace hv::test {

struct StormShape {
    unsigned nodes, cores, threads;        // cores a node, threads a core
    std::vector<unsigned> vcpus_by_domain; // two at least: vCPUs 0 and 1 play ping-pong
};

// What happened, counted so that a storm can be told from a breeze.
enum class Happening : std::uint8_t {
    switches,
    wakes,
    blocks,
    yields,
    migrations,
    steals,
    parks,
    waits,
    departures,
    moves,
    births,
    deaths,
    count
};

class Storm final : private arch::ThreadClient {
public:
    using Clock = std::chrono::steady_clock;

    Storm(sched::PolicyOps const& policy, StormShape const& shape, std::uint64_t seed);
    ~Storm();
    Storm(Storm const&) = delete;
    Storm& operator=(Storm const&) = delete;

    // One round: disturbs for about `time`, then lets things settle, sees that everybody goes on, stops the threads and
    // looks at what they left behind.
    void round(Clock::duration time);
    // No disturbance: every vCPU is to be seen to run this often. Where all play ping-pong, one lost event ends a game.
    void play(std::uint64_t often);

    [[nodiscard]] std::uint64_t count(Happening happening) const;

private:
    using Random = std::mt19937_64;
    static constexpr CpuId::Rep nobody = StormContext::nobody;
    static constexpr unsigned controllers = 3;
    // Timers of the storm's own, beyond the guests'.
    static constexpr TimerId::Rep first_pause_timer = 1u << 16; // one a vCPU: ends the pause that the storm began
    static constexpr TimerId idle_work_timer{1u << 17};         // ends what only the idle vCPU may do
    static constexpr TimerId join_timer{idle_work_timer.value() + 1};

    using Context = StormContext;
    struct alignas(64) Tally {
        std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Happening::count)> counts{};
        std::atomic<bool> departed{false}; // the pCPU has left the pool
        // The pCPU's own.
        bool accounting{false};       // its accounting timer is being handled
        unsigned late_accountings{0}; // since it left
    };

    // storm.cpp: the machine's client
    void timer(CpuId self, TimerId id, Instant now) override;
    void reschedule(CpuId self, Instant now) override;
    bool go_on(CpuId self, Instant now) override;
    void own_timer(CpuId self, TimerId id, Instant now);
    void heard(CpuId self, std::uint32_t number, std::span<std::uint32_t const> words);
    void check_affinity(CpuId self, std::uint32_t domain, std::uint32_t index);
    void save(CpuId self, sched::Vcpu& vcpu);
    void load(CpuId self, sched::Vcpu& vcpu);
    void note(CpuId self, Happening happening);

    // storm_rounds.cpp: building, rounds and what must hold after one
    void make_idle_contexts();
    void make_guests(StormShape const& shape, Random& random);
    void settle();
    void expect_everybody_goes_on();
    void expect_the_notified_to_wake();
    void expect_nothing_left_of_the_dead();
    void expect_good_order();
    [[nodiscard]] std::size_t bytes_in_use() const;
    template <typename Condition>
    void wait_until(char const* what, Condition condition);

    // storm_pools.cpp
    void make_second_pool(std::string_view first_policy);
    [[nodiscard]] PoolId some_pool(std::uint64_t draw) const;
    void move_pools(CpuId self, std::uint64_t draw, Instant now);
    void make_or_end_third_pool(CpuId self, std::uint64_t draw, Instant now);
    void gather();

    // disturbance.cpp: what control threads do
    void control(std::uint64_t seed);
    void disturb(CpuId self, std::uint64_t draw, Instant now);
    void look(sched::Vcpu& vcpu, CpuId cpu, Instant now);
    void steer(CpuId self, std::uint64_t draw, Instant now);
    void give_idle_work(CpuId cpu, Instant now);
    void leave(CpuId self, CpuId cpu, std::uint64_t draw, Instant now);
    void note_departure(CpuId self, Instant now);
    void join(CpuId self, Instant now);
    void pause(CpuId self, Context& context, bool waits, std::uint64_t draw, Instant now);
    [[nodiscard]] CpuMask some_pcpus(std::uint64_t draw) const;

    [[nodiscard]] sched::Core& core() { return system_->core(); }
    [[nodiscard]] static Context& context_of(sched::Vcpu& vcpu) { return *static_cast<Context*>(vcpu.context); }
    [[nodiscard]] unsigned pcpu_count() const { return static_cast<unsigned>(tallies_.size()); }
    [[nodiscard]] CpuId some_pcpu(std::uint64_t draw) const
    {
        return CpuId{static_cast<CpuId::Rep>(draw % pcpu_count())};
    }

    arch::MachineShape shape_;
    arch::ThreadMachine machine_;
    sched::System* system_{nullptr};
    Mortals mortals_{machine_};
    std::size_t bytes_at_rest_{0}; // in use while no mortal lives
    std::vector<Tally> tallies_;
    std::vector<std::unique_ptr<Context>> idle_contexts_;
    std::vector<std::unique_ptr<Context>> contexts_; // of guests, by number
    std::vector<sched::Domain*> domains_;
    std::vector<std::size_t> first_of_domain_;
    PoolId second_pool_;
    std::atomic<PoolId> third_pool_{PoolId{}}; // the boot pool's: there is none
    Random random_;

    std::atomic<bool> raging_{false};
    std::atomic<std::uint64_t> posted_{0}, done_{0};
    std::atomic<bool> somebody_waits_{false}; // in sleep_sync; two could wait for each other
};

} // namespace hv::test
