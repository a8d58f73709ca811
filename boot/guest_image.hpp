// The guest image (guest/) inside the kernel's: whole pages, to be mapped read-execute for ring 3. Floor: boot.
#pragma once

#include <cstddef>
#include <span>

extern "C" std::byte const guest_image[], guest_image_end[]; // NOLINT(readability-identifier-naming): guest_image.S

namespace hv::boot {

[[nodiscard]] inline std::span<std::byte const> guest_image_pages() { return {guest_image, guest_image_end}; }

} // namespace hv::boot
