#include "tools/nv/byte_sink.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace hv::nv {

void ByteSink::write(std::string_view text)
{
    write(std::span{static_cast<std::uint8_t const*>(static_cast<void const*>(text.data())), text.size()});
}

std::string_view MemorySink::text() const
{
    return {static_cast<char const*>(static_cast<void const*>(bytes_.data())), bytes_.size()};
}

FileSink::FileSink(std::filesystem::path file, Mode mode)
    : path_{std::move(file)}, mode_{mode}, stream_{std::fopen(path_.c_str(), mode == Mode::append ? "ab" : "wb")}
{
    if (!stream_)
        fail();
}

FileSink::~FileSink()
{
    if (!stream_ || mode_ == Mode::append)
        return;
    stream_.reset();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

void FileSink::fail() const { give_up(fmt::format("{}: cannot write: {}", path_.string(), std::strerror(errno))); }

void FileSink::write(std::span<std::uint8_t const> bytes)
{
    if (std::fwrite(bytes.data(), 1, bytes.size(), stream_.get()) != bytes.size())
        fail();
}

void FileSink::close()
{
    if (std::fclose(stream_.release()) != 0)
        fail();
}

} // namespace hv::nv
