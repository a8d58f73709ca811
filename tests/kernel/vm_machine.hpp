// A scheduler over the running machine for as long as a test runs, and VMs on it that run programs of the test. The
// test itself is pCPU 0's idle vCPU, so VMs are kept off pCPU 0. Interrupts on. Floor: tests (kernel).
#pragma once

#include "arch/x86_64/layout.hpp"
#include "arch/x86_64/timers.hpp"
#include "boot/vm_life.hpp"
#include "boot/vm_tasks.hpp"
#include "guest/state.hpp"
#include "tests/kernel/ring3_programs.hpp"
#include "tests/kernel/support.hpp"

#include <arch/env.hpp>

#include <string_view>

namespace hv::test {

// Machines on which such a test is worth its time: not each of the hundred that are booted.
[[nodiscard]] inline bool is_for_vm_tests() { return pcpus_up() >= 2 && pcpus_up() <= 8; }

// For tests that take a second: `part` is in the pattern of this run.
[[nodiscard]] inline bool is_asked_for(std::string_view part)
{
    return boot::kernel().options.selftest_pattern.find(part) != std::string_view::npos;
}

class VmTestMachine {
public:
    explicit VmTestMachine(std::int64_t slice_ms, std::string_view policy_name = "credit")
        : before_{arch::installed_up_calls()}
    {
        arch::IrqSave const irqs;
        sched::PolicyOps const* const policy{sched::find_policy(policy_name)};
        HV_ASSERT(policy != nullptr);
        auto const system = sched::System::create(env_, {.policy = policy,
                                                         .guest_limit = 64,
                                                         .driver = sched::guest::Driver::tasks,
                                                         .context_switch = Duration{},
                                                         .trace_mode = sched::trace::Mode::flight});
        HV_ASSERT(system.ok());
        machine_.system = *system;
        // With the usual rate limit of a millisecond.
        bool const is_set = machine_.system->core().set_policy_param("tslice_ms", slice_ms).ok();
        HV_ASSERT(is_set);
        boot::install_vm_up_calls(machine_);
        arch::irqs_enable();
        boot::bring_pcpus_under(machine_);
    }
    // The machine as it was; what the scheduler itself took stays taken.
    ~VmTestMachine()
    {
        while (!machine_.vms.empty())
            static_cast<void>(boot::destroy_vm(machine_, machine_.vms.begin()->domain.id));
        arch::install_up_calls(before_);
        constexpr TimerId::Rep timers = sched::timer::first_vcpu + 64;
        for (CpuId::Rep cpu = 0; cpu < arch::pcpu_count(); ++cpu)
            for (TimerId::Rep timer = 0; timer < timers; ++timer)
                arch::timer_disarm(CpuId{cpu}, TimerId{timer});
    }
    VmTestMachine(VmTestMachine const&) = delete;
    VmTestMachine& operator=(VmTestMachine const&) = delete;

    // nullptr: no memory.
    [[nodiscard]] boot::Vm* run(std::string_view name, Program const& program, std::span<std::uint64_t const> words,
                                CpuId on, std::uint32_t vcpus = 1)
    {
        auto const vm = boot::create_vm(machine_, {.name = name,
                                                   .vcpus = vcpus,
                                                   .memory_mib = 0,
                                                   .cpus = CpuMask::of(on),
                                                   .program = {.code = program.code(), .words = words}});
        return vm ? *vm : nullptr;
    }
    void destroy(boot::Vm& vm) { HV_ASSERT(boot::destroy_vm(machine_, vm.domain.id).ok()); }
    [[nodiscard]] boot::VmMachine& operator*() { return machine_; }

private:
    static inline constinit arch::Env env_{};

    arch::UpCalls const* const before_;
    boot::VmMachine machine_;
};

// A word of the State's page of a VM's first vCPU, which its program uses as it likes.
[[nodiscard]] inline std::uint64_t volatile& word_of(boot::Vm& vm, std::size_t index)
{
    arch::IrqSave const irqs;
    auto const page = vm.space.space().translate(arch::this_cpu(), VirtAddr{guest::vcpus_at});
    HV_ASSERT(page.has_value());
    return arch::direct_map<std::uint64_t volatile>(page->physical)[index];
}

[[nodiscard]] inline Duration up_to_now(sched::RunStateClock const& clock)
{
    Duration const spent{clock.spent[static_cast<std::size_t>(sched::RunState::running)]};
    return clock.state == sched::RunState::running ? spent + (arch::clock_now() - clock.counted) : spent;
}
[[nodiscard]] inline Duration run_time(boot::Vm& vm)
{
    Duration sum{};
    for (sched::Vcpu const& vcpu : vm.domain.vcpus)
        sum += up_to_now(vcpu.run_state);
    return sum;
}

} // namespace hv::test
