// Interrupts of the legacy controllers: none are used. Floor: arch/x86_64.
#pragma once

namespace hv::arch {

// Masks both 8259 controllers, whose vectors would collide with exceptions. Once, before interrupts are first turned
// on.
void mask_legacy_interrupts() noexcept;

} // namespace hv::arch
