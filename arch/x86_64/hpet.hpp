// The registers of the HPET (IA-PC HPET specification 1.0a, section 2.3) that both its users, the clock's calibration
// and the chopper, need. Offsets in bytes from where the firmware says they are. Floor: arch.
#pragma once

#include <cstdint>

namespace hv::arch {

inline constexpr std::uint64_t hpet_period_at = 4, hpet_config_at = 0x10, hpet_counter_at = 0xF0, hpet_bytes = 0x400;
inline constexpr std::uint32_t hpet_enable = 1;
inline constexpr std::uint64_t femtoseconds_per_ns = 1'000'000; // The period is in femtoseconds.

} // namespace hv::arch
