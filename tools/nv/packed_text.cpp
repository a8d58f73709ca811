#include "tools/nv/packed_text.hpp"

#include "tools/nv/errors.hpp"

#include <zlib.h>

namespace hv::nv {

namespace {

constexpr int level = 1; // 4 saves a thirtieth of the page and takes half as long again
constexpr std::size_t bytes_of_line = 3 * 16384;
constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

} // namespace

PackedText::PackedText(ByteSink& sink, std::string_view before, std::string_view after)
    : sink_{sink}, before_{before}, after_{after}, stream_{std::make_unique<z_stream_s>()}, packed_(bytes_of_line)
{
    if (deflateInit(stream_.get(), level) != Z_OK)
        give_up("zlib does not start: no memory, or not the version that nv was built with");
    stream_->next_out = packed_.data();
    stream_->avail_out = static_cast<uInt>(packed_.size());
}

PackedText::~PackedText() { deflateEnd(stream_.get()); }

void PackedText::put_line(std::span<std::uint8_t const> bytes)
{
    line_ = before_;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::size_t const count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t word{0};
        for (std::size_t i = 0; i < 3; ++i)
            word = word << 8 | (i < count ? bytes[at + i] : 0u);
        for (std::size_t i = 0; i < 4; ++i)
            line_ += i <= count ? digits[word >> (18 - 6 * i) & 63] : '=';
    }
    line_ += after_;
    sink_.write(line_);
}

void PackedText::pack(std::span<std::uint8_t const> bytes, int flush)
{
    // zlib takes the address without const, and does not write there.
    stream_->next_in = const_cast<std::uint8_t*>(bytes.data());
    stream_->avail_in = static_cast<uInt>(bytes.size());
    for (;;) {
        int const result = deflate(stream_.get(), flush);
        bool const is_full = stream_->avail_out == 0, is_done = flush == Z_FINISH ? result == Z_STREAM_END : !is_full;
        if (is_full || (is_done && flush == Z_FINISH)) {
            put_line(std::span{packed_}.first(packed_.size() - stream_->avail_out));
            stream_->next_out = packed_.data();
            stream_->avail_out = static_cast<uInt>(packed_.size());
        }
        if (is_done)
            return;
    }
}

void PackedText::write(std::span<std::uint8_t const> bytes) { pack(bytes, Z_NO_FLUSH); }

void PackedText::finish() { pack({}, Z_FINISH); }

} // namespace hv::nv
