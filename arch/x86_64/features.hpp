// What the processor must be able to do, and the switches that turn it on. Floor: arch/x86_64.
#pragma once

#include <cstdint>

namespace hv::arch {

// Prints one line for each feature that the kernel needs and the processor lacks. False: it must not go on.
[[nodiscard]] bool features_suffice() noexcept;
// Turns on, for the calling pCPU: no-execute, write protection in ring 0 and, where there are, SMEP, SMAP and UMIP.
void features_enable() noexcept;
[[nodiscard]] bool has_gigabyte_pages() noexcept;
[[nodiscard]] bool is_virtual_machine() noexcept;
// True under QEMU's emulator, whose APIC timer runs at 1 GHz by definition.
[[nodiscard]] bool is_qemu_tcg() noexcept;

// How APIC ids are made of thread, core and package: the bits to shift away to get core and package.
struct ApicIdShifts {
    unsigned smt{0}, package{0};
};
[[nodiscard]] ApicIdShifts apic_id_shifts() noexcept;

} // namespace hv::arch
