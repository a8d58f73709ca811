// The real traces of tests/traces, for tests. Host only. Floor: tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace hv::nv {

inline std::vector<std::byte> unpacked(std::string const& file)
{
    std::vector<std::byte> bytes;
    std::FILE* const pipe = ::popen(fmt::format("xz -dc {}", file).c_str(), "r");
    if (pipe == nullptr)
        return bytes;
    std::array<std::byte, 65536> buffer{};
    while (std::size_t const got = std::fread(buffer.data(), 1, buffer.size(), pipe))
        bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
    EXPECT_EQ(::pclose(pipe), 0) << "xz -dc " << file;
    return bytes;
}

} // namespace hv::nv
