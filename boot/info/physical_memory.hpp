// How the parsers of boot reach physical memory: one function that shows a piece of it, so that they run the same over
// the kernel's direct map, over a test's vector and over a fuzzer's bytes.
//
// What is shown stays readable for as long as the caller of the parser promises; results of parsers are views into it.
// No locks. Floor: boot/info.
#pragma once

#include "arch/generic/types.hpp"
#include "boot/info/bytes.hpp"

#include <cstddef>
#include <span>

namespace hv::boot {

struct PhysicalMemory {
    void const* self;
    // The bytes [base, base + length) of physical memory; empty if they are not all readable.
    std::span<std::byte const> (*window)(void const* self, PhysAddr base, std::size_t length) noexcept;

    // The same, and on the safe side if `window` returns less than it was asked for.
    [[nodiscard]] Bytes read(PhysAddr base, std::size_t length) const noexcept
    {
        if (base.value() + length < base.value())
            return {};
        Bytes const shown{window(self, base, length)};
        return shown.size() < length ? Bytes{} : shown.first(length);
    }
};

} // namespace hv::boot
