// Host flavour of <arch/irq.hpp>: a thread is never interrupted.
#pragma once

namespace hv::arch {

[[nodiscard]] inline bool irqs_are_off() { return true; }

} // namespace hv::arch
