// Protocol-buffer messages, written without a library: the wire format's varints, 64-bit words and length-delimited
// fields into one buffer that grows. A message inside another is written in place; only when it turns out longer than
// 127 bytes is it moved by the few bytes that its length then takes. Host only. Floor: tools.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace hv::nv {

class ProtoWriter {
public:
    // Field numbers are at least 1. Signed numbers are written as the 64 bits of their two's complement.
    void number(std::uint32_t field, std::uint64_t value)
    {
        need(2 * most_varint_bytes);
        put(std::uint64_t{field} << 3 | varint_type);
        put(value);
    }
    void fixed64(std::uint32_t field, std::uint64_t value)
    {
        need(most_varint_bytes + sizeof value);
        put(std::uint64_t{field} << 3 | fixed64_type);
        std::memcpy(bytes_.data() + size_, &value, sizeof value); // little-endian, as the host
        size_ += sizeof value;
    }
    void text(std::uint32_t field, std::string_view value)
    {
        raw(field, std::span{static_cast<std::uint8_t const*>(static_cast<void const*>(value.data())), value.size()});
    }
    // A message that is ready.
    void raw(std::uint32_t field, std::span<std::uint8_t const> value)
    {
        need(2 * most_varint_bytes + value.size());
        put(std::uint64_t{field} << 3 | length_type);
        put(value.size());
        append(value);
    }
    // Fields that are ready, without a field around them.
    void append(std::span<std::uint8_t const> fields)
    {
        need(fields.size());
        if (!fields.empty())
            std::memcpy(bytes_.data() + size_, fields.data(), fields.size());
        size_ += fields.size();
    }
    // body() writes the message's fields into this writer.
    template <typename Body>
    void message(std::uint32_t field, Body const& body)
    {
        need(2 * most_varint_bytes);
        put(std::uint64_t{field} << 3 | length_type);
        std::size_t const begin = ++size_;
        body();
        std::size_t const length = size_ - begin;
        if (length > most_in_one_byte)
            make_room(begin, length);
        std::size_t const end = size_;
        size_ = begin - 1;
        put(length);
        size_ = end;
    }

    [[nodiscard]] std::span<std::uint8_t const> bytes() const { return {bytes_.data(), size_}; }
    [[nodiscard]] std::size_t size() const { return size_; }
    void clear() { size_ = 0; }

private:
    static constexpr std::uint64_t varint_type = 0, fixed64_type = 1, length_type = 2;
    static constexpr std::size_t most_varint_bytes = 10, most_in_one_byte = 127;

    void need(std::size_t more)
    {
        if (bytes_.size() - size_ < more)
            bytes_.resize(2 * bytes_.size() + more);
    }
    void put(std::uint64_t value)
    {
        for (; value > most_in_one_byte; value >>= 7)
            bytes_[size_++] = static_cast<std::uint8_t>(value | 0x80);
        bytes_[size_++] = static_cast<std::uint8_t>(value);
    }
    void make_room(std::size_t begin, std::size_t length)
    {
        std::size_t more{0};
        for (std::size_t rest = length >> 7; rest != 0; rest >>= 7)
            ++more;
        need(more);
        std::memmove(bytes_.data() + begin + more, bytes_.data() + begin, length);
        size_ += more;
    }

    std::vector<std::uint8_t> bytes_;
    std::size_t size_{0};
};

} // namespace hv::nv
