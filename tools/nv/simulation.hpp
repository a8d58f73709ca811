// A scenario on the simulated machine: the composition root of the simulator, as boot/ is that of the kernel. The very
// same scheduler, guests and domain building; only the machine differs. Single-threaded. Floor: tools.
#pragma once

#include "arch/host/sim_machine.hpp"
#include "boot/scenario/changes.hpp"
#include "sched/system.hpp"

#include <functional>
#include <optional>

namespace hv::nv {

struct SimulationConfig {
    std::size_t trace_bytes_per_pcpu{0};
    std::optional<std::uint32_t> trace_mask{}; // instead of the scenario's
    sched::trace::Listener listener{};
    std::function<void(sched::System&, Instant)> after_event{}; // invariants
};

class Simulation final : private arch::SimClient {
public:
    // Throws Error (errors.hpp) with one line for whoever wrote the scenario.
    Simulation(scenario::ScenarioView scenario, SimulationConfig config);

    void run_until(Instant end) { machine_.run_until(end); }
    [[nodiscard]] sched::System& system() { return *system_; }
    [[nodiscard]] arch::SimMachine& machine() { return machine_; }

private:
    void timer(CpuId self, TimerId id, Instant now) override;
    void reschedule(CpuId self, Instant now) override;
    CpuId place_of(TimerId id, CpuId armed_on) override;
    [[nodiscard]] std::optional<Duration> wake_cost(CpuId cpu) const override;
    [[nodiscard]] bool is_busy(CpuId cpu) const override;
    void turn_ends(CpuId cpu, Instant now) override { system_->guests().stand_still(cpu, now); }
    void turn_begins(CpuId cpu, Instant now) override { system_->guests().go_on(cpu, now); }
    void settled(Instant now) override;

    SimulationConfig config_;
    arch::MachineShape shape_;
    arch::SimMachine machine_;
    sched::System* system_{nullptr};
    std::vector<scenario::Home> homes_;
    std::optional<scenario::Changes> changes_;
};

} // namespace hv::nv
