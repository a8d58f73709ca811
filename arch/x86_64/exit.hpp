// The end of a run. QEMU's isa-debug-exit device turns the code c into the exit status (c << 1) | 1; only `pass` means
// success, for a triple fault or a power-off give status 0. Callable from anywhere, with any lock held. Floor:
// arch/x86_64.
#pragma once

#include <cstdint>

namespace hv::arch {

enum class ExitCode : std::uint8_t {
    pass = 0x10,            // status 33
    selftest_failed = 0x11, // status 35
    panic = 0x12,           // status 37
    refused = 0x13,         // status 39: bad input or a missing processor feature
};

// Without such a device the machine halts.
[[noreturn]] void exit_machine(ExitCode code) noexcept;

} // namespace hv::arch
