// Sabotage: bytes that are no KTAP, and an exit status that is none of ours.
#include "arch/x86_64/console.hpp"
#include "arch/x86_64/instructions.hpp"
#include "boot/selftest.hpp"

HV_SELFTEST(sabotage_garbage)
{
    {
        hv::arch::Line line{hv::arch::Output::console};
        for (unsigned i = 0; i < 4096; ++i) {
            char const byte{static_cast<char>(i * 37 + i / 256)};
            line.sink().write({&byte, 1});
        }
        line.sink().write("\nok 1 - not really");
    }
    constexpr std::uint16_t debug_exit_port = 0xF4;
    constexpr std::uint8_t nobodys_code = 0x2A;
    hv::arch::out8(debug_exit_port, nobodys_code);
}
