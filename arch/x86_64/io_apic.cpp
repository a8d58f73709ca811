#include "arch/x86_64/io_apic.hpp"

#include "arch/x86_64/mmio.hpp"

namespace hv::arch {

void io_apic_route(InterruptPin const& pin, Vector vector, std::uint32_t apic_id) noexcept
{
    constexpr std::uint32_t first_entry = 0x10;
    constexpr std::uint32_t active_low = 1u << 13, level = 1u << 15;
    std::uint64_t const select{map_device(pin.controller, 4096)};
    std::uint64_t const window{select + 0x10};
    auto const write = [&](std::uint32_t index, std::uint32_t value) {
        mmio_write32(select, index);
        mmio_write32(window, value);
    };
    // Its destination first: the other half unmasks it.
    write(first_entry + 2 * pin.pin + 1, apic_id << 24);
    write(first_entry + 2 * pin.pin,
          static_cast<std::uint32_t>(vector) | (pin.is_active_low ? active_low : 0) | (pin.is_level ? level : 0));
}

} // namespace hv::arch
