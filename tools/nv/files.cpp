#include "tools/nv/files.hpp"

#include "tools/nv/errors.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace hv::nv {

std::string read_text(std::filesystem::path const& file)
{
    std::error_code error;
    if (std::filesystem::is_directory(file, error))
        refuse(fmt::format("{}: is a folder, give a file", file.string()));
    std::ifstream in{file, std::ios::binary};
    if (!in)
        refuse(fmt::format("{}: cannot read: {}", file.string(), std::strerror(errno)));
    std::ostringstream text;
    text << in.rdbuf();
    return std::move(text).str();
}

std::vector<std::byte> read_bytes(std::filesystem::path const& file)
{
    std::string const text = read_text(file);
    std::span const bytes = std::as_bytes(std::span{text});
    return {bytes.begin(), bytes.end()};
}

void write_text(std::filesystem::path const& file, std::string_view text)
{
    write_bytes(file, std::as_bytes(std::span{text}));
}

void write_bytes(std::filesystem::path const& file, std::span<std::byte const> bytes)
{
    std::ofstream out{file, std::ios::binary | std::ios::trunc};
    std::string_view const text{static_cast<char const*>(static_cast<void const*>(bytes.data())), bytes.size()};
    out << text << std::flush;
    if (!out)
        give_up(fmt::format("{}: cannot write: {}", file.string(), std::strerror(errno)));
}

} // namespace hv::nv
