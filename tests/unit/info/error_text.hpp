// The line that a user would read.
#pragma once

#include "boot/info/parse_error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace hv::test {

[[nodiscard]] inline std::string text_of(boot::ParseError const& error)
{
    std::array<char, 512> buffer{};
    BufferSink sink{buffer};
    boot::describe(error, sink);
    EXPECT_FALSE(sink.truncated());
    return std::string{sink.text()};
}

} // namespace hv::test
