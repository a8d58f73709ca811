// Physical memory made of a few blocks, each in an allocation of exactly its size, so that AddressSanitizer sees every
// step beyond one.
#pragma once

#include "boot/info/physical_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace hv::test {

using ByteVector = std::vector<std::byte>;

[[nodiscard]] inline ByteVector bytes_of(std::string_view text)
{
    ByteVector bytes(text.size());
    if (!text.empty())
        std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
}

// Appends little-endian numbers and text.
class ByteWriter {
public:
    template <typename T>
    ByteWriter& put(T value)
    {
        for (std::size_t i = 0; i < sizeof(T); ++i)
            bytes.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
        return *this;
    }
    ByteWriter& u8(std::uint64_t value) { return put(static_cast<std::uint8_t>(value)); }
    ByteWriter& u16(std::uint64_t value) { return put(static_cast<std::uint16_t>(value)); }
    ByteWriter& u32(std::uint64_t value) { return put(static_cast<std::uint32_t>(value)); }
    ByteWriter& u64(std::uint64_t value) { return put(value); }
    ByteWriter& zeros(std::size_t count)
    {
        bytes.resize(bytes.size() + count);
        return *this;
    }
    ByteWriter& text(std::string_view value)
    {
        for (char const c : value)
            u8(static_cast<unsigned char>(c));
        return *this;
    }
    ByteWriter& c_string(std::string_view value) { return text(value).u8(0); }
    ByteWriter& align(std::size_t to)
    {
        while (bytes.size() % to != 0)
            u8(0);
        return *this;
    }
    // Overwrites the u32 at `offset`.
    ByteWriter& patch_u32(std::size_t offset, std::uint32_t value)
    {
        std::memcpy(bytes.data() + offset, &value, sizeof value);
        return *this;
    }

    ByteVector bytes;
};

class FakeMemory {
public:
    // Replaces the block at `base`. Blocks do not touch: reading across a boundary fails.
    FakeMemory& put(std::uint64_t base, ByteVector bytes)
    {
        bytes.shrink_to_fit();
        blocks_[base] = std::move(bytes);
        return *this;
    }
    ByteVector& at(std::uint64_t base) { return blocks_.at(base); }

    // Good for as long as this object is.
    [[nodiscard]] boot::PhysicalMemory view() const
    {
        return {this, [](void const* self, PhysAddr base, std::size_t length) noexcept {
                    return static_cast<FakeMemory const*>(self)->find(base.value(), length);
                }};
    }

private:
    [[nodiscard]] boot::Bytes find(std::uint64_t base, std::size_t length) const noexcept
    {
        auto next = blocks_.upper_bound(base);
        if (next == blocks_.begin())
            return {};
        auto const& [start, bytes] = *--next;
        boot::Bytes const all{bytes};
        return boot::fits(all, base - start, length) ? all.subspan(base - start, length) : boot::Bytes{};
    }

    std::map<std::uint64_t, ByteVector> blocks_;
};

} // namespace hv::test
