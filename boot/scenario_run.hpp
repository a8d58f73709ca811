// Running the scenario that came as the boot module. Floor: boot.
#pragma once

#include "arch/x86_64/exit.hpp"
#include "boot/kernel.hpp"

namespace hv::boot {

// The machine is up, interrupts are on, the boot pCPU runs this on its own stack. The result is the exit status.
[[nodiscard]] arch::ExitCode run_scenario(Kernel& k);

} // namespace hv::boot
