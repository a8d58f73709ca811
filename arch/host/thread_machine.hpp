// A machine of real threads, one a pCPU: what stands on the port runs as concurrently as the host allows, so that
// ThreadSanitizer and the checks of a client see what it forgets to order.
//
// A pCPU's thread goes round: work that was posted to it, timers of its own that are due, a reschedule if it was
// tickled, and then whatever runs on it; when there is nothing to do it sleeps. Time is the host's, sped up. Interrupts
// do not exist: all calls up come from that loop. An order of events is not reproducible; a seed only varies where
// threads dawdle.
//
// Locking: each pCPU's timers have a lock, a leaf (key 50, pCPU); none is held while calling up. Everything else is
// relaxed on purpose: a tickle orders nothing, and posted work orders only who posts it before who does it. Whatever
// this machine ordered beyond that, it would hide. Floor: arch/host.
#pragma once

#include "arch/generic/thread_safety.hpp"
#include "arch/generic/ticket_lock.hpp"
#include "arch/host/host_memory.hpp"
#include "arch/host/machine_shape.hpp"

#include <arch/env.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace hv::arch {

// What the machine calls, always on the thread of pCPU `self`.
class ThreadClient {
public:
    virtual void timer(CpuId self, TimerId id, Instant now) = 0;
    // Somebody tickled this pCPU since the last one. Switches contexts too.
    virtual void reschedule(CpuId self, Instant now) = 0;
    // Goes on with what runs on this pCPU. false: it has nothing to do until something happens.
    [[nodiscard]] virtual bool go_on(CpuId self, Instant now) = 0;

protected:
    ~ThreadClient() = default;
};

struct ThreadOptions {
    std::int64_t speed{10};     // how many times as fast as the host's the machine's time passes; at least 1
    unsigned dawdle_one_in{16}; // calls of the port that give up the host's CPU; 0: none
    std::uint64_t seed{1};      // which ones
    std::size_t trace_bytes_per_pcpu{0};
};

class ThreadMachine final : public Machine {
public:
    using Work = std::function<void(CpuId self, Instant now)>;

    ThreadMachine(MachineShape const& shape, ThreadOptions options);
    ~ThreadMachine() override; // stop() first

    [[nodiscard]] Env& env() { return env_; }
    [[nodiscard]] Instant now() const;

    // Sets the threads going. `client` must outlast stop().
    void start(ThreadClient& client);
    // Returns when every thread has ended the round that it was at; the caller then sees all they did. May be started
    // again: timers, tickles and posted work are kept.
    void stop();
    // `work` shall be done on the thread of `cpu`, in the order of posting. From any thread.
    void post(CpuId cpu, Work work);
    // The same, and waits for it. Not from a pCPU's thread.
    void call(CpuId cpu, Work work);
    // The timers that are armed there right now.
    [[nodiscard]] std::vector<TimerId> armed_on(CpuId cpu);
    // Memory that was asked for on the node and not given back.
    [[nodiscard]] std::size_t bytes_in_use(NodeId node) const { return memory_.in_use(node); }
    // Perhaps gives up the host's CPU, so that others come in between. From any thread.
    void dawdle();

    [[nodiscard]] Topology const& topology() const noexcept override { return shape_.topology(); }
    void tickle(CpuId cpu) noexcept override;
    void arm(CpuId cpu, TimerId timer, Instant when) noexcept override;
    void disarm(CpuId cpu, TimerId timer) noexcept override;
    [[nodiscard]] void* allocate(NodeId node, std::size_t bytes, std::size_t align) noexcept override;
    void release(void* memory, std::size_t bytes) noexcept override;
    [[nodiscard]] std::uint64_t trace_clock(CpuId cpu) noexcept override;
    [[nodiscard]] std::span<std::byte> trace_memory(CpuId cpu) noexcept override;

private:
    struct Posted {
        Work work;
        Posted* next;
    };
    struct alignas(cache_line) Pcpu {
        explicit Pcpu(CpuId cpu) : timer_lock{{.rank = 50, .ordinal = cpu.value()}} {}

        std::atomic<bool> tickled{false};
        std::atomic<std::uint32_t> attention{0}; // what the thread sleeps on; not 0: look around first
        std::atomic<std::int64_t> first_due_ns{never};
        std::atomic<Posted*> posted{nullptr}; // last posted first
        TicketLock timer_lock;
        std::map<TimerId, Instant> timers HV_GUARDED_BY(timer_lock);
        std::uint64_t last_stamp{0}; // this pCPU's own
        std::vector<std::byte> trace_memory;
        std::thread thread;
    };

    static constexpr std::int64_t never = std::int64_t{1} << 62;

    [[nodiscard]] Pcpu& at(CpuId cpu) { return *pcpus_[cpu.value()]; }
    void run(CpuId self);
    bool do_posted(CpuId self);
    bool fire_due(CpuId self);
    [[nodiscard]] std::optional<TimerId> take_due(Pcpu& pcpu);
    static void note_first_due(Pcpu& pcpu) HV_REQUIRES(pcpu.timer_lock);
    void rest(Pcpu& pcpu);
    static void rouse(Pcpu& pcpu);

    MachineShape const& shape_;
    ThreadOptions options_;
    Env env_{*this};
    ThreadClient* client_{nullptr};
    std::chrono::steady_clock::time_point const origin_{std::chrono::steady_clock::now()};
    std::vector<std::unique_ptr<Pcpu>> pcpus_;
    std::atomic<bool> stopping_{false};
    HostMemory memory_;
};

} // namespace hv::arch
