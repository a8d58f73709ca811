// Bytes on their way into a page: compressed (zlib's format, which browsers unpack by themselves) and as base64, line
// by line, so that neither side needs all of it in one piece. Host only. Floor: tools.
#pragma once

#include "tools/nv/byte_sink.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct z_stream_s; // of zlib.h

namespace hv::nv {

class PackedText {
public:
    // Each line goes to the sink between `before` and `after`.
    PackedText(ByteSink& sink, std::string_view before, std::string_view after);
    ~PackedText();
    PackedText(PackedText const&) = delete;
    PackedText& operator=(PackedText const&) = delete;

    void write(std::span<std::uint8_t const> bytes);
    // Once, last: what is left, and the end of the compressed stream.
    void finish();

private:
    void pack(std::span<std::uint8_t const> bytes, int flush);
    void put_line(std::span<std::uint8_t const> bytes);

    ByteSink& sink_;
    std::string before_, after_;
    std::unique_ptr<z_stream_s> stream_;
    std::vector<std::uint8_t> packed_; // a multiple of three bytes long, so that lines have no padding but the last
    std::string line_;
};

} // namespace hv::nv
