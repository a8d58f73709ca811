#include "arch/x86_64/exit.hpp"

#include "arch/x86_64/instructions.hpp"

namespace hv::arch {

void exit_machine(ExitCode code) noexcept
{
    constexpr std::uint16_t debug_exit_port = 0xF4;
    out8(debug_exit_port, static_cast<std::uint8_t>(code));
    halt_forever();
}

} // namespace hv::arch
