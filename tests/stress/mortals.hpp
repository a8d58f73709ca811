// Domains that come and go while a storm rages: created, steered, paused and destroyed by disturbances on any pCPU,
// found by id and serial only. Whatever is left of one that has gone, a context, a byte of a node's memory, shows.
//
// Locking: a slot is filled and emptied by one pCPU at a time (`is_in_use`); the serial in it, written when the domain
// is complete, hands that on, acquire and release, as whoever manages domains must. What became of the domain since
// then, the core says. Floor: tests.
#pragma once

#include "arch/host/thread_machine.hpp"
#include "sched/system.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace hv::test {

// What a vCPU's registers and stack are in the kernel.
struct StormContext {
    static constexpr CpuId::Rep nobody = 0xffff;

    CpuId::Rep runs_on{nobody};
    std::array<std::uint64_t, 4> registers{}; // all alike whenever nobody is in the middle of a save
    std::atomic<std::uint64_t> progress{0};   // how often it was seen to run
    std::atomic<bool> paused{false};          // by the storm
    sched::Vcpu* vcpu{nullptr};
};

class Mortals {
public:
    static constexpr unsigned slot_count = 8;
    static constexpr unsigned most_vcpus = 4; // of a domain
    static constexpr DomainId::Rep first_id = 100;

    explicit Mortals(arch::ThreadMachine& machine) : machine_{machine} {}

    // Before the machine starts.
    void attach(sched::System& system);
    // Does something to one of them, or makes one. What has to be done later is posted; `done` runs when all is.
    void disturb(CpuId self, std::uint64_t draw, Instant now, std::function<void()> done);
    void end_all(CpuId self, Instant now);

    [[nodiscard]] std::uint64_t births() const { return births_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t deaths() const { return deaths_.load(std::memory_order_relaxed); }

private:
    struct Slot {
        DomainId id{};
        std::atomic<bool> is_in_use{false};
        std::atomic<std::uint64_t> serial{0}; // of the domain that is complete; 0: none
    };

    [[nodiscard]] sched::Core& core() { return system_->core(); }
    void create(CpuId self, Slot& slot, std::uint64_t draw, Instant now);
    void destroy(CpuId self, Slot& slot, Instant now);
    void pause(CpuId self, Slot& slot, std::uint64_t draw, Instant now, std::function<void()> done);
    void steer(CpuId self, sched::Domain& domain, std::uint64_t draw, Instant now);
    void gone(sched::Vcpu& vcpu);

    arch::ThreadMachine& machine_;
    sched::System* system_{nullptr};
    std::array<Slot, slot_count> slots_;
    std::atomic<std::uint64_t> births_{0}, deaths_{0};
};

} // namespace hv::test
