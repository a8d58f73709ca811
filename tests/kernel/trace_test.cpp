// The trace in the kernel: what it costs, in instructions (under QEMU's instruction counter a tick of the TSC is one),
// and what is left of it after a panic.
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/frames.hpp"
#include "arch/x86_64/layout.hpp"
#include "boot/selftest.hpp"
#include "boot/trace_report.hpp"
#include "sched/system.hpp"
#include "tests/kernel/cost.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

namespace hv::test {
namespace {

using namespace sched::trace;

constexpr unsigned rounds = cost_rounds;
constexpr std::uint64_t most_for_event_off = 4;
constexpr std::uint64_t most_for_run_state = 30;
constexpr std::uint64_t most_for_switch = 200;

// A ring of 64 KiB for the calling pCPU, among rings of nobody's.
class Rig {
public:
    Rig() : all_{}
    {
        {
            arch::IrqSave const irqs; // as whoever allocates has them
            pages_ = arch::allocate_pages(arch::this_percpu().node, order);
        }
        if (!pages_)
            return;
        ring_.attach({arch::direct_map<std::byte>(*pages_), arch::page_size << order}, Mode::drop);
        all_.fill(&ring_);
    }
    ~Rig()
    {
        if (!pages_)
            return;
        arch::IrqSave const irqs;
        arch::release_pages(*pages_, order);
    }
    Rig(Rig const&) = delete;
    Rig& operator=(Rig const&) = delete;

    [[nodiscard]] bool is_ready() const { return pages_.has_value(); }
    [[nodiscard]] std::span<Ring* const> rings() const { return {all_.data(), arch::pcpu_count()}; }
    [[nodiscard]] Ring& ring() { return ring_; }

private:
    static constexpr unsigned order = 4;
    std::optional<PhysAddr> pages_;
    Ring ring_;
    std::array<Ring*, arch::max_pcpus> all_;
};

} // namespace

HV_SELFTEST(trace_costs_few_instructions)
{
    if (!counts_instructions())
        HV_SKIP("only the instruction counter (khz=1000000) tells instructions");
    Rig rig;
    HV_CHECK(rig.is_ready());
    arch::Env env;
    Tracer tracer{env, rig.rings()};
    CpuId const self{arch::this_cpu()};
    Instant const now{arch::clock_now()};
    arch::IrqSave const irqs;
    auto const run_state = [=, &tracer]() __attribute__((always_inline)) {
        tracer.runstate(self, now, RunStateCode::runnable, RunStateCode::running, 0x00010000);
    };
    run_state(); // The first one finds out where the ring's end is.
    std::uint64_t const on{cost_of(run_state)};
    std::uint64_t const head{rig.ring().control()->head};
    tracer.set_mask(0);
    std::uint64_t const off{cost_of(run_state)};
    std::uint64_t const call_off{cost_of([=, &tracer] { tracer.emit(self, now, Event::wake, 1u, 2u); })};
    arch::say("# trace: instructions of a run-state record {}, off {}, of another event off {}", on, off, call_off);
    HV_CHECK(head == (rounds + 1) * record_bytes(1)); // All of them were recorded, and none while it was off.
    HV_CHECK(rig.ring().control()->head == head);
    HV_CHECK(on <= most_for_run_state);
    HV_CHECK(off <= most_for_event_off);
    HV_CHECK(call_off <= most_for_event_off);
}

namespace {

// Two vCPUs that take turns on this pCPU: each decision is a switch with all its records.
struct Switches {
    sched::System* system{nullptr};
    Instant now{};

    [[nodiscard]] bool prepare(arch::Env& env, CpuId self, std::string_view policy)
    {
        auto const made = sched::System::create(env, {.policy = sched::find_policy(policy),
                                                      .guest_limit = 2,
                                                      .driver = sched::guest::Driver::tasks,
                                                      .context_switch = {}});
        if (!made)
            return false;
        system = *made;
        system->pcpu_up(self, now);
        auto const domain = system->core().create_domain(DomainId{1});
        for (unsigned i = 0; domain && i < 2; ++i)
            if (auto const vcpu = system->core().create_vcpu(self, **domain, self, now); vcpu)
                system->core().start(self, **vcpu, false, now);
        run(self, 4);
        return domain && !system->core().pool().pcpu(self).current->is_idle();
    }
    void run(CpuId self, unsigned times)
    {
        for (unsigned i = 0; i < times; ++i) {
            now = now + Duration::from_ms(30);
            sched::Switch const change{system->core().schedule(self, now)};
            system->core().context_saved(self, *change.previous, now);
        }
    }
};

} // namespace

namespace {

struct SwitchCost {
    bool measured{false};
    std::uint64_t records{0}; // instructions for them, of one switch
    std::uint64_t without{0}; // of the switch itself
    std::uint64_t bytes{0};   // of all rounds
};

SwitchCost cost_of_switches(std::string_view policy)
{
    arch::Env env;
    CpuId const self{arch::this_cpu()};
    arch::IrqSave const irqs;
    Switches switches;
    SwitchCost cost;
    if (env.trace_memory(self).empty() || !switches.prepare(env, self, policy))
        return cost;
    RingControl const& control{*switches.system->tracer().ring(self).control()};
    std::uint64_t const before{control.head};
    std::uint64_t const on{cost_of([&] { switches.run(self, 1); })};
    cost.bytes = control.head - before;
    switches.system->tracer().set_mask(0);
    cost.without = cost_of([&] { switches.run(self, 1); });
    cost.records = on - cost.without;
    cost.measured = true;
    for (TimerId const timer : {sched::timer::slice, sched::timer::tick, sched::timer::accounting})
        env.disarm(self, timer);
    return cost;
}

} // namespace

HV_SELFTEST(trace_of_a_switch_costs_few_instructions)
{
    if (!counts_instructions())
        HV_SKIP("only the instruction counter (khz=1000000) tells instructions");
    arch::UpCalls const calls{.timer = [](void*, CpuId, TimerId, Instant) {},
                              .reschedule = [](void*, CpuId, Instant) {}};
    UpCallsScope const scope{calls};
    SwitchCost const null{cost_of_switches("null")};
    SwitchCost const credit{cost_of_switches("credit")};
    arch::say("# trace: instructions of all records of a switch {} in {}, of credit's {} in {}", null.records,
              null.without, credit.records, credit.without);
    HV_CHECK(null.measured && credit.measured);
    // infprev, infnext, switch and two run states, each time; credit adds its decision, charge and queue
    constexpr std::uint64_t bytes{record_bytes(3) + 2 * record_bytes(4) + 2 * record_bytes(1)};
    HV_CHECK(null.bytes == rounds * bytes);
    HV_CHECK(credit.bytes == rounds * (bytes + record_bytes(1) + record_bytes(4) + record_bytes(3)));
    HV_CHECK(null.records <= most_for_switch);
    HV_CHECK(credit.records <= most_for_switch);
}

HV_SELFTEST(trace_after_a_panic_says_what_ran)
{
    Rig rig;
    HV_CHECK(rig.is_ready());
    arch::Env env;
    Tracer tracer{env, rig.rings().first(1)};
    Instant const now{arch::clock_now()};
    constexpr std::uint32_t ran = 0x00010002;
    tracer.runstate(CpuId{0}, now, RunStateCode::runnable, RunStateCode::running, 0x7fff0000);
    tracer.runstate(CpuId{0}, now, RunStateCode::running, RunStateCode::runnable, 0x7fff0000);
    tracer.runstate(CpuId{0}, now, RunStateCode::runnable, RunStateCode::running, ran);
    RingControl& control{*rig.ring().control()};
    std::uint64_t const complete{control.head};
    control.reserve += record_bytes(1); // a record that its pCPU did not come to write
    boot::salvage_trace(tracer);
    std::span<std::byte const> const memory{rig.ring().memory()};
    auto const word = [&](std::uint64_t at) {
        std::uint32_t value{0};
        __builtin_memcpy(&value, memory.data() + at, sizeof value);
        return value;
    };
    HV_CHECK(control.head == complete + record_bytes(1) + record_bytes(4)); // the departure and the counts
    HV_CHECK((word(complete) & 0x0fff'ffff) == runstate_event(RunStateCode::running, RunStateCode::offline));
    HV_CHECK(word(complete + 12) == ran);
    HV_CHECK(control.reserve == control.head);
}

} // namespace hv::test
