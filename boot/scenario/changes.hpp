// What is done to the machine while a scenario runs: domains pause, end and come, pCPUs go and come back. Kernel and
// simulator carry it out by the same code.
//
// In the order of the list, each at its time by a timer of pCPU 0, or as soon as it can: a domain cannot be created
// before its predecessor of the same id has gone, nor a pCPU asked to go or come before it has done so the last time.
// Whatever comes later waits with it. Interrupts off, no lock held. Floor: boot (shared with the host; includes sched).
#pragma once

#include "boot/scenario/populate.hpp"

namespace hv::scenario {

inline constexpr TimerId change_timer{6};

// What is wrong with the row, given those before it; nullptr: nothing. A text that says what is allowed.
[[nodiscard]] char const* rule_broken_by(std::span<ChangeRecord const> changes, std::uint32_t row, std::uint32_t pcpus);
// Whether the domain is there from the beginning: it is not if the first that happens to it is that it is created.
[[nodiscard]] bool begins_alive(std::span<ChangeRecord const> changes, std::uint32_t domain);

class Changes {
public:
    // Told when a domain cannot be created.
    struct Failure {
        void* self{nullptr};
        void (*told)(void* self, PopulateError const& error){nullptr};
    };

    Changes(sched::System& system, ScenarioView scenario, std::span<Home const> homes, std::uint64_t seed,
            Executing executing, Failure failure)
        : system_{system}, scenario_{scenario}, homes_{homes}, seed_{seed}, executing_{executing}, failure_{failure}
    {
    }

    // The scenario's time begins at `origin`.
    void begin(Instant origin);
    // false: not ours.
    [[nodiscard]] bool timer(CpuId self, TimerId id, Instant now);

private:
    [[nodiscard]] bool carry_out(CpuId self, ChangeRecord const& change, Instant now);
    [[nodiscard]] bool change_domain(CpuId self, ChangeRecord const& change, Instant now);
    [[nodiscard]] bool create(std::uint32_t row, Instant now);
    void arm(Instant when) { system_.core().pool().env().arm(CpuId{0}, change_timer, when); }

    sched::System& system_;
    ScenarioView scenario_;
    std::span<Home const> homes_;
    std::uint64_t seed_;
    Executing executing_;
    Failure failure_;
    Instant origin_;
    std::size_t next_{0};
};

} // namespace hv::scenario
