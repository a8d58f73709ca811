// The serial ports COM1 and COM2: output byte by byte, input by interrupt into a ring.
//
// Output takes no lock: its user's (console.hpp). Input has one writer, the interrupt of the pCPU that it is routed to,
// and one reader, a task of that pCPU. When the ring is full the port's interrupt is switched off until the reader has
// taken some: what the sender sends then waits in the port and, where the sender is an emulator, before it; bytes that
// the port itself had to drop are counted. Floor: arch/x86_64.
#pragma once

#include "arch/generic/format.hpp"

#include <cstdint>
#include <optional>

namespace hv::arch {

enum class SerialPort : std::uint8_t { com1, com2 };

inline constexpr unsigned serial_port_count = 2;
// ISA interrupts, by port.
inline constexpr unsigned serial_irq[serial_port_count]{4, 3}; // NOLINT(modernize-avoid-c-arrays)

// 115200 baud, 8 bits, no parity. Before this, output is lost.
void serial_init(SerialPort port) noexcept;
// Whether there is such a port.
[[nodiscard]] bool serial_exists(SerialPort port) noexcept;
// Line feeds become carriage return and line feed on COM1, where terminals are.
[[nodiscard]] Sink& serial_sink(SerialPort port) noexcept;

// From here on input is taken: Vector::serial must reach this pCPU. `notice` is called in the interrupt after bytes
// came, on any of the ports that listen.
void serial_listen(SerialPort port, void (*notice)(void* self), void* self) noexcept;
// The next byte that came; nothing: there is none.
[[nodiscard]] std::optional<char> serial_take(SerialPort port) noexcept;
[[nodiscard]] bool serial_has_input(SerialPort port) noexcept;
// Bytes that the port lost since the last time this was asked.
[[nodiscard]] std::uint32_t serial_take_lost(SerialPort port) noexcept;

// The interrupt. Interrupts off.
void serial_interrupt() noexcept;

} // namespace hv::arch
