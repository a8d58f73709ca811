// Machine checks: errors that the processor finds in itself, its caches and its memory. Uncorrected ones end the
// machine, with what the banks of registers say; without this they would reset it without a word. Corrected ones are
// not asked for. No locks. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"

namespace hv::arch {

// Lets the calling pCPU report them, where it can.
void machine_check_enable() noexcept;
// For the handler: one line for each bank of the calling pCPU that has something to say. Each ends with a line end.
void describe_machine_check(Sink& sink);

} // namespace hv::arch
