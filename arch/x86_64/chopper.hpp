// The chopper: makes an emulator that counts instructions change from one pCPU to the next every so often.
//
// Such an emulator runs a pCPU until it waits or until the next timer of any device is due, so most races never show.
// The chopper is a periodic HPET comparator whose interrupt is masked: nothing in the kernel hears of it, but each of
// its periods ends the turn of whichever pCPU runs. Every period gives other interleavings, the same ones run after
// run, so it serves as their seed. Elsewhere it does nothing. Boot pCPU only. Floor: arch/x86_64.
#pragma once

#include "arch/generic/result.hpp"
#include "arch/generic/time.hpp"
#include "arch/generic/types.hpp"

#include <cstdint>

namespace hv::arch {

enum class ChopperError : std::uint8_t { no_periodic_comparator, too_long };
[[nodiscard]] char const* text_of(ChopperError error);

// Starts it: `registers` is the HPET's, `period` is rounded up to its ticks. Nothing else may want the HPET afterwards.
[[nodiscard]] Status<ChopperError> start_chopper(PhysAddr registers, Duration period) noexcept;

// For long waits in which nothing happens: without the chopper they cost nothing.
class ChopperPause {
public:
    ChopperPause() noexcept;
    ~ChopperPause();
    ChopperPause(ChopperPause const&) = delete;
    ChopperPause& operator=(ChopperPause const&) = delete;
};

} // namespace hv::arch
