// The end after a bug: one pCPU reports, all others are stopped by NMI, the machine exits with ExitCode::panic.
//
// Works with any lock held, with interrupts on or off, on any stack, before the other pCPUs run, and never hangs:
// waiting for others is bounded. A fault while reporting ends the report. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"
#include "arch/x86_64/trap_frame.hpp"

#include <string_view>

namespace hv::arch {

// Stops the others and starts the report; its first line is to be printed to the result. Does not return on a pCPU that
// comes second.
[[nodiscard]] Sink& panic_begin() noexcept;
// Ends the report: registers if there is a frame, backtrace from it or else from the caller. Exits.
[[noreturn]] void panic_end(TrapFrame const* frame) noexcept;
// What is still to be saved when the report is complete: runs on the pCPU that panics, the others stopped, any lock
// held. A fault in it ends the report. There is one.
using PanicHook = void (*)(void* self) noexcept;
void set_panic_hook(PanicHook hook, void* self) noexcept;
// For the NMI handler: stops for ever if some pCPU panics, else returns.
void panic_stop_if_under_way() noexcept;

template <typename... Args>
[[noreturn, gnu::noinline]] void panic(std::string_view format, Args const&... args) noexcept
{
    print(panic_begin(), format, args...);
    panic_end(nullptr);
}

} // namespace hv::arch
