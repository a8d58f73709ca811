// The console of a running machine: what pCPU 0's idle vCPU does when something was typed.
//
// A byte that arrives at a serial port is an interrupt, and idle work for pCPU 0 (Core::set_idle_work): it runs nothing
// else until the command is done, outside of interrupts and with interrupts on. So commands work on a busy machine, and
// take of it what they take of one pCPU. People type on COM1, whose line survives what others print meanwhile; programs
// write lines to COM2 and read JSON. Floor: boot.
#pragma once

#include "boot/kernel.hpp"
#include "boot/vm_tasks.hpp"

namespace hv::boot {

// With the option `console`: routes the ports' interrupts to the boot pCPU, which is alone yet.
void route_console_input(Kernel const& k);

// Opens the console on the calling pCPU, whose idle vCPU the caller is, and serves it.
[[noreturn]] void serve_console(VmMachine& vms);

} // namespace hv::boot
