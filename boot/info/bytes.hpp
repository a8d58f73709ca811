// Reading numbers and text out of bytes that somebody else wrote: little-endian, at any alignment, never out of bounds.
//
// The pattern of every parser here: ask fits() once for a whole structure, then load() its fields. load() of what does
// not fit is a bug of the caller and asserts. No state, no locks. Floor: boot/info.
#pragma once

#include "arch/generic/assert.hpp"

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace hv::boot {

using Bytes = std::span<std::byte const>;

static_assert(std::endian::native == std::endian::little, "load() copies bytes as they lie");

// Do `length` bytes from `offset` on lie within `bytes`? Right for every pair of numbers, however large.
[[nodiscard]] constexpr bool fits(Bytes bytes, std::size_t offset, std::size_t length)
{
    return offset <= bytes.size() && length <= bytes.size() - offset;
}

template <std::unsigned_integral T>
[[nodiscard]] T load(Bytes bytes, std::size_t offset)
{
    HV_ASSERT(fits(bytes, offset, sizeof(T)));
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// The part [offset, offset + length). It must fit.
[[nodiscard]] inline Bytes part(Bytes bytes, std::size_t offset, std::size_t length)
{
    HV_ASSERT(fits(bytes, offset, length));
    return {bytes.data() + offset, length};
}

// The bytes as text.
[[nodiscard]] inline std::string_view as_text(Bytes bytes)
{
    return bytes.empty() ? std::string_view{}
                         : std::string_view{reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

// The bytes up to the first NUL, or all of them.
[[nodiscard]] inline std::string_view as_c_string(Bytes bytes)
{
    std::size_t length{0};
    while (length < bytes.size() && bytes[length] != std::byte{0})
        ++length;
    return as_text(bytes.first(length));
}

// The sum of all bytes modulo 256; ACPI structures sum to 0.
[[nodiscard]] constexpr std::uint8_t byte_sum(Bytes bytes)
{
    std::uint8_t sum{0};
    for (std::byte const b : bytes)
        sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(b));
    return sum;
}

} // namespace hv::boot
