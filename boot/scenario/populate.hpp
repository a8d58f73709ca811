// Builds a scenario's domains and vCPUs in a scheduler, in the order that docs/scenario-format.md states: kernel and
// simulator both call this, so that a scenario means the same in both. Memory is not its business: the kernel gives
// each domain its memory before it calls this. No state, no locks held. Floor: boot (shared with the host; includes
// sched).
#pragma once

#include "boot/scenario/homes.hpp"
#include "sched/system.hpp"

namespace hv::scenario {

// One thing that could not be done, with a text that says what is allowed.
struct PopulateError {
    char const* what;
    std::string_view subject; // a key or a domain's name
    std::string_view allowed;
    bool is_early{false}; // of a domain whose predecessor has not gone yet
};

void describe(PopulateError const& error, Sink& sink);

// The scheduler's and the policy's parameters, before any pCPU is up. `policy_name` as chosen by whoever starts the
// machine.
[[nodiscard]] Status<PopulateError> set_parameters(sched::System& system, ScenarioView scenario);

// Tells a machine on whose behalf the following calls are made; the simulator needs to know, the kernel does not.
struct Executing {
    void* self{nullptr};
    void (*on)(void* self, CpuId cpu){nullptr};
    void operator()(CpuId cpu) const
    {
        if (on != nullptr)
            on(self, cpu);
    }
};

// One domain, a row of the scenario's: parameters, vCPUs, hard affinity, node affinity (its own, or `home` where it was
// placed), and the timer that starts it.
[[nodiscard]] Status<PopulateError> create_domain(sched::System& system, ScenarioView scenario, std::uint32_t row,
                                                  Home const& home, std::uint64_t seed, Instant start, Instant now,
                                                  Executing executing);

// Every domain that is there from the beginning, in the file's order: parameters, vCPUs, hard affinity, node affinity
// (its own, or `homes` where it was placed), and the timer that starts it at `origin` + its start time. The pCPUs are
// up. With a memory cost model, each domain's memory counts as striped over its home; who knows better says so
// afterwards (Guests::set_memory).
[[nodiscard]] Status<PopulateError> create_domains(sched::System& system, ScenarioView scenario,
                                                   std::span<Home const> homes, std::uint64_t seed, Instant origin,
                                                   Instant now, Executing executing);

} // namespace hv::scenario
