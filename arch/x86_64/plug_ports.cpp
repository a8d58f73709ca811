#include "arch/x86_64/plug_ports.hpp"

#include "arch/x86_64/instructions.hpp"

namespace hv::arch {
namespace {

namespace pcpu_port {
constexpr std::uint16_t place = 0xCD8, flags = 0xCDC, command = 0xCDD, answer = 0xCE0;
constexpr std::uint8_t ask_for_apic_id = 3;
} // namespace pcpu_port

namespace memory_port {
constexpr std::uint16_t place = 0xA00, base_low = 0xA00, base_high = 0xA04, length_low = 0xA08, length_high = 0xA0C,
                        pxm = 0xA10, flags = 0xA14;
} // namespace memory_port

// Read: it is so. Written: it has been heard.
enum Flag : std::uint8_t { is_enabled = 1, has_come = 2, shall_go = 4 };
constexpr std::uint8_t nothing_there = 0xFF;

std::uint64_t in64(std::uint16_t low, std::uint16_t high) { return std::uint64_t{in32(high)} << 32 | in32(low); }

} // namespace

PcpuPlace look_at_pcpu_place(std::uint32_t place) noexcept
{
    out32(pcpu_port::place, place);
    std::uint8_t const flags{in8(pcpu_port::flags)};
    if (flags == nothing_there)
        return {};
    for (std::uint8_t const event : {has_come, shall_go})
        if ((flags & event) != 0)
            out8(pcpu_port::flags, event);
    return {.is_there = (flags & is_enabled) != 0, .shall_go = (flags & shall_go) != 0};
}

std::uint32_t apic_id_of_place(std::uint32_t place) noexcept
{
    out32(pcpu_port::place, place);
    out8(pcpu_port::command, pcpu_port::ask_for_apic_id);
    return in32(pcpu_port::answer);
}

std::optional<PluggedMemory> memory_in_place(std::uint32_t place) noexcept
{
    out32(memory_port::place, place);
    std::uint8_t const flags{in8(memory_port::flags)};
    if (flags == nothing_there || (flags & is_enabled) == 0)
        return std::nullopt;
    if ((flags & has_come) != 0)
        out8(memory_port::flags, has_come);
    return PluggedMemory{.base = PhysAddr{in64(memory_port::base_low, memory_port::base_high)},
                         .length = in64(memory_port::length_low, memory_port::length_high),
                         .pxm = in32(memory_port::pxm)};
}

} // namespace hv::arch
