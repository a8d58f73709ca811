// The kernel's composition root: start.S calls kernel_main, which brings the machine up step by step, runs what it was
// asked to run and exits.
#include "arch/x86_64/clock.hpp"
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/context.hpp"
#include "arch/x86_64/exit.hpp"
#include "arch/x86_64/features.hpp"
#include "arch/x86_64/instructions.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/machine_check.hpp"
#include "arch/x86_64/percpu.hpp"
#include "arch/x86_64/watchdog.hpp"
#include "boot/console_task.hpp"
#include "boot/kernel.hpp"
#include "boot/refuse.hpp"
#include "boot/scenario_run.hpp"
#include "boot/selftest.hpp"

extern "C" void kernel_main(std::uint32_t magic, std::uint32_t info) noexcept;

namespace hv::boot {
namespace {

constinit Kernel the_kernel;
// The start-up code's stack becomes a context that nothing continues.
constinit arch::Context start_context;
constinit arch::Context main_context;

arch::ExitCode run(Kernel& k)
{
    if (k.options.selftest) {
        arch::ExitCode const result{run_selftests(k.options.selftest_pattern)};
        if (result != arch::ExitCode::pass)
            return result;
    }
    if (k.info.module)
        return run_scenario(k);
    if (!k.options.selftest)
        arch::say("no scenario: nothing to run (qemu: -initrd FILE, made by nv pack)");
    return arch::ExitCode::pass;
}

// From here on with a guarded stack.
[[noreturn]] void run_and_exit(void*)
{
    arch::irqs_enable();
    start_pcpus(the_kernel);
    if (the_kernel.options.watchdog_ms != 0)
        arch::watchdog_start(Duration::from_ms(the_kernel.options.watchdog_ms));
    log_machine(the_kernel);
    arch::exit_machine(run(the_kernel));
}

[[noreturn]] void start(std::uint32_t magic, PhysAddr info)
{
    Kernel& k{the_kernel};
    read_boot_info(k, magic, info);
    read_options(k);
    log_banner(k);
    map_machine(k);
    start_memory(k);
    start_apic_and_clock(k);
    route_console_input(k);
    build_topology(k);
    build_percpu_blocks(k);
    arch::prepare(main_context, arch::this_percpu().stack_top, run_and_exit, nullptr);
    arch::switch_to(start_context, main_context);
    arch::exit_machine(arch::ExitCode::panic);
}

} // namespace

Kernel& kernel() { return the_kernel; }

} // namespace hv::boot

void kernel_main(std::uint32_t magic, std::uint32_t info) noexcept
{
    using namespace hv;
    arch::percpu_init_early();
    arch::clock_start();
    arch::console_init();
    arch::mask_legacy_interrupts();
    if (!arch::features_suffice())
        arch::exit_machine(arch::ExitCode::refused);
    arch::features_enable();
    arch::machine_check_enable();
    boot::start(magic, PhysAddr{info});
}
