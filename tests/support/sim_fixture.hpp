// A simulated machine with a scheduler, domains and vCPUs made by hand, for tests of one situation at a time.
//
// What a test does to the scheduler it does in on(cpu, ...): as an event of that pCPU, after which the machine carries
// out the reschedules that were asked for, as it does after every event. A vCPU without a workload ("manual") runs
// until the test blocks or pauses it. Everything is kept: switches, and every trace event. Single-threaded. Floor:
// tests.
#pragma once

#include "arch/host/sim_machine.hpp"
#include "sched/system.hpp"

#include "tests/support/literals.hpp"

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hv {

// GoogleTest finds these by their arguments.
inline void PrintTo(Duration d, std::ostream* out) { *out << d.ns() << " ns"; }
inline void PrintTo(Instant t, std::ostream* out) { *out << "at " << t.ns() << " ns"; }
inline void PrintTo(CpuId cpu, std::ostream* out) { *out << "pCPU " << cpu.value(); }

} // namespace hv

namespace hv::sched::test {

using hv::test::cpu;
using hv::test::node;
[[nodiscard]] CpuMask cpus(std::initializer_list<unsigned> members);

[[nodiscard]] constexpr Duration ms(std::int64_t n) { return Duration::from_ms(n); }
[[nodiscard]] constexpr Duration us(std::int64_t n) { return Duration::from_us(n); }

// Workloads, by what their kind needs.
[[nodiscard]] guest::Workload burst(Duration run_min, Duration run_max, Duration block_min, Duration block_max);
[[nodiscard]] guest::Workload periodic(Duration period, Duration run, Duration phase = {});
[[nodiscard]] guest::Workload pingpong(Duration run, std::uint16_t partner, bool has_token);
[[nodiscard]] guest::Workload gridsleep(Duration grid, Duration guard);

struct SimOptions {
    PolicyOps const* policy{find_policy("credit")};
    std::vector<std::pair<std::string_view, std::int64_t>> params{};
    arch::SimCosts costs{};
    Duration context_switch{};
    std::size_t trace_bytes_per_pcpu{0};
    std::uint32_t trace_mask{trace::mask_all};
};

class Sim final : private arch::SimClient {
public:
    struct Heard {
        CpuId on;
        Instant when;
        std::uint32_t number;
        std::vector<std::uint32_t> words;
    };
    struct Switched {
        Instant when;
        CpuId on;
        Vcpu* from;
        Vcpu* to;

        friend bool operator==(Switched const&, Switched const&) = default;
    };

    // See MachineShape for `pcpus` and `distances`. Every pCPU is up and idle at time 0.
    Sim(std::vector<PcpuTopology> pcpus, unsigned nodes, SimOptions options = {}, std::vector<Distance> distances = {});
    // One node, `cores` pCPUs.
    explicit Sim(unsigned cores, SimOptions options = {});

    [[nodiscard]] arch::SimMachine& machine() { return machine_; }
    [[nodiscard]] System& system() { return *system_; }
    [[nodiscard]] Core& core() { return system_->core(); }
    [[nodiscard]] Pool& pool() { return core().pool(); }
    // The policy itself, for a test that knows its class.
    template <typename P>
    [[nodiscard]] P& policy()
    {
        return *static_cast<P*>(policy_);
    }

    Domain& domain(DomainParams params = {});
    Vcpu& vcpu(Domain& owner, unsigned home); // manual, not started
    Vcpu& vcpu(unsigned home) { return vcpu(domain(), home); }
    guest::Guest& guest(Domain& owner, unsigned home, guest::Workload const& workload, std::uint64_t seed = 1);
    guest::Guest& hog(Domain& owner, unsigned home) { return guest(owner, home, {}); }

    // An event on this pCPU, now.
    void on(unsigned on_cpu, std::function<void(CpuId self, Instant now)> action);
    void on(unsigned on_cpu, std::function<void()> const& action);
    // Starts it from its own pCPU.
    void start(Vcpu& vcpu, bool blocked = false);
    // Starts a manual vCPU and blocks it once it has run for an instant: it is UNDER, asleep, and last ran at home.
    void start_asleep(Vcpu& vcpu);
    void start(guest::Guest& guest);
    void wake(Vcpu& vcpu, unsigned by);
    void run(Duration d) { machine_.run_until(machine_.now() + d); }
    void run_to(Duration since_start) { machine_.run_until(Instant::at(since_start)); }
    void reschedule(unsigned on_cpu);

    [[nodiscard]] Instant now() const { return machine_.now(); }
    [[nodiscard]] Vcpu& current(unsigned on_cpu) { return *pool().pcpu(cpu(on_cpu)).current; }
    [[nodiscard]] bool idles(unsigned on_cpu) { return current(on_cpu).is_idle(); }
    [[nodiscard]] bool runs(Vcpu& vcpu) { return pool().pcpu(vcpu.processor()).current == &vcpu; }
    // Time spent in a state, the state that lasts included.
    [[nodiscard]] Duration spent(Vcpu const& vcpu, RunState state) const;

    [[nodiscard]] std::vector<Heard>& heard() { return heard_; }
    [[nodiscard]] std::vector<Heard> heard_of(trace::Event event) const;
    [[nodiscard]] std::vector<Switched>& switches() { return switches_; }

    // Contexts take as long to save as the test likes: collects what is to be saved, until save_contexts().
    void hold_contexts() { holds_contexts_ = true; }
    void save_contexts();

private:
    static constexpr TimerId action_timer{14};

    void timer(CpuId self, TimerId id, Instant now) override;
    void reschedule(CpuId self, Instant now) override;
    CpuId place_of(TimerId id, CpuId armed_on) override;

    arch::MachineShape shape_;
    arch::SimMachine machine_;
    PolicyOps ops_; // a copy, with another `create`
    void* policy_{nullptr};
    System* system_{nullptr};
    DomainId::Rep next_domain_{1};
    std::function<void(CpuId, Instant)> action_;
    std::vector<Heard> heard_;
    std::vector<Switched> switches_;
    bool holds_contexts_{false};
    std::vector<std::pair<CpuId, Vcpu*>> unsaved_;
};

} // namespace hv::sched::test
